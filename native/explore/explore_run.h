// What the programs see of the explorer: one run at a time, and what it found.
#pragma once

#include "explore.h"

// How threads are chosen. ROTATE: the seed chooses one.
enum {
    EXPLORE_ROTATE,
    EXPLORE_RANDOM,
    EXPLORE_PCT2,
    EXPLORE_PCT3,
    EXPLORE_PCT4,
    EXPLORE_POS,
    EXPLORE_EXHAUSTIVE,
    EXPLORE_STRATEGIES
};
// What a load may return: the last store alone (SC), or what C11, or C++20, allows.
enum { EXPLORE_MODEL_ROTATE, EXPLORE_SC, EXPLORE_C11, EXPLORE_C20, EXPLORE_MODELS };

typedef struct explore_finding {
    uint64_t seed;
    unsigned strategy, model; // as they were
    unsigned step, thread;    // thread EXPLORE_THREADS: the one that sets up and finishes
    char contract[32];        // of what was expected; or race, leak, deadlock, livelock, crash …
    char message[256];        // begins with the contract
} explore_finding_t;

// Told of a violation, or of a crash where explore_catch_crashes was called. It does not return: what was running is in pieces.
typedef void (*explore_found_t)(const explore_finding_t *finding);
extern explore_found_t explore_found;
void explore_catch_crashes(void); // and threads that run on for seconds of processor time without a door

// One run. Returns if all was as it should be.
void explore_run(const explore_scenario_t *scenario, uint64_t seed, unsigned strategy, unsigned model);
extern uint64_t explore_steps; // of all runs
// A line for each step goes to `line`; NULL: to nobody.
typedef void (*explore_line_t)(const char *line);
void explore_trace(explore_line_t line);
