// What the programs see of the explorer: one run at a time, and what it found.
#pragma once

#include "explore.h"

// How threads are chosen. ROTATE: the seed chooses one.
enum {
    EXPLORE_ROTATE,
    EXPLORE_RANDOM, // at random, at every door or at one in three or eight
    EXPLORE_PCT2,   // by priorities, with one point where the first falls back
    EXPLORE_PCT3,
    EXPLORE_PCT4,
    EXPLORE_POS,        // by priorities that are drawn anew where two race
    EXPLORE_EXHAUSTIVE, // every execution of the seed's program, one after the other
    EXPLORE_STRATEGIES
};
// What a load may return: the last store alone (SC), or what C11, or C++20, allows. They differ in release sequences: in C11's
// reading a thread's own later stores go on with one.
enum { EXPLORE_MODEL_ROTATE, EXPLORE_SC, EXPLORE_C11, EXPLORE_C20, EXPLORE_MODELS };

enum { EXPLORE_DECISIONS = 1 << 16, EXPLORE_OPERATIONS = 64 };

typedef struct explore_plan {
    const explore_scenario_t *scenario;
    uint64_t seed;
    uint64_t schedule; // with another number, the same program (what it draws) in another way
    unsigned strategy, model;
    bool replay;              // the decisions are given: what is beyond them is 0, the usual
    const uint8_t *decisions; // each a rank below 256
    size_t decision_count;
    uint64_t dropped[EXPLORE_THREADS]; // operations that are left out, a bit each (explore_operation)
} explore_plan_t;

typedef struct explore_finding {
    uint64_t seed;
    unsigned strategy, model; // as they were
    unsigned step, thread;    // thread EXPLORE_THREADS: the one that sets up and finishes
    unsigned stale;           // loads that returned another than the last store
    unsigned switches;        // of a thread that could have gone on
    unsigned operations[EXPLORE_THREADS];
    size_t decision_count;
    char contract[32];        // of what was expected; or race, leak, deadlock, livelock, crash …
    char message[256];        // begins with the contract
    char where[2][64];        // with a trace: the functions of the two accesses of a race, or of the last steps of two threads
} explore_finding_t;
extern uint8_t explore_decisions[EXPLORE_DECISIONS]; // of the run under way

// Told of a violation, or of a crash where explore_catch_crashes was called. It does not return: what was running is in pieces.
typedef void (*explore_found_t)(const explore_finding_t *finding);
extern explore_found_t explore_found;
void explore_catch_crashes(void); // and threads that run on for half a second of processor time without a door
void explore_catch_sleep(void); // and those that sleep in the system so long; for a process that itself never waits for anybody

// One run. Returns if all was as it should be: true where the seed is done with, false where EXHAUSTIVE has more for it.
bool explore_run(const explore_plan_t *plan);
extern uint64_t explore_steps, explore_pruned; // of all runs; runs that were like one before, of EXHAUSTIVE

// A line for each step goes to `line`; NULL: to nobody.
typedef void (*explore_line_t)(const char *line);
void explore_trace(explore_line_t line);
