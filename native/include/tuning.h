// Self-tuning: one control loop that chooses settings by measuring them where they are used.
//
// A knob is a ladder of values, and belongs to one class of operations: what that class costs is the only evidence about it.
// Whoever does the work does it in chunks of some microseconds and says after each how many operations it held; the loop
// takes the time of a chunk as the cost of the values that were in force. Most of the time it only watches. Now and then, and
// when the cost or the signature of a class has changed, it surveys a knob: chunks take turns on its rungs, so that all
// of them are measured under the same load. The cheapest rung must beat the present one by a margin, and again in a
// duel of the two, before the knob moves. Where two knobs depend on each other, so that neither can gain alone, the rungs of the one
// are surveyed with the other at the far end of its ladder, too: a paired survey, whose move sets both.
//
// A tuning_t is used by one thread and shares nothing: each worker tunes what is its own. It reads no clock; times are given to
// it, in nanoseconds of any one clock, so that the same calls with the same times give the same decisions.
//
// Contract (docs/native/tuning.md has the arguments)
//   - A value in force is one of its ladder, within the bounds given.
//   - A constant cost function leads to values from which no knob alone, and none together with its partner at the far end, gains
//     `gain` or more, and then to no further move.
//   - Surveys without a move become rarer, up to `calm_most` periods apart.
//   - The loop's own time is under `cost_cap` of the time that it sees: it makes its period longer until it is.
//   - Every decision is in the log with its evidence, until TUNING_LOG later ones have replaced it.
// Nothing here waits, and nothing but tuning_create allocates.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "numa.h"
#include "status.h"

typedef struct tuning tuning_t;

#define TUNING_RUNGS 8
#define TUNING_SLOTS (TUNING_RUNGS + 1) // what a survey measures: rungs, and in a paired one what is in force
#define TUNING_IN_FORCE TUNING_RUNGS
#define TUNING_SAMPLES 15
#define TUNING_LOG 256

// Operations whose costs are kept apart.
typedef enum tuning_class {
    TUNING_CHECKS,  // single checks, through a cache or not
    TUNING_BATCHES, // batches of checks
    TUNING_TASKS,   // tasks enqueued, stolen and taken
    TUNING_RUNS,    // tasks that run for long, share a CPU and wait for each other
    TUNING_MEMORY,  // placement of new memory on NUMA nodes: decided from learned latencies, see tuning_place
    TUNING_CLASSES
} tuning_class_t;

typedef enum tuning_knob {
    TUNING_CACHE,    // entries of the capability cache; 0: past it
    TUNING_GROUP,    // checks handed over in one batch. Before the two whose worth depends on it
    TUNING_SIMD,     // shortest batch that goes through vector instructions; TUNING_NEVER: none
    TUNING_PREFETCH, // how many ids ahead a batch touches memory; 0: not at all
    TUNING_VICTIM,   // whom to steal from: a tuning_victim_t
    TUNING_BUNDLE,   // tasks handed over in one batch
    TUNING_QUANTUM,  // how long a task runs before another has its turn, ns
    TUNING_NODE,     // where new memory goes: a numa_policy_t
    TUNING_KNOBS
} tuning_knob_t;

typedef enum tuning_victim {
    TUNING_VICTIM_NEAREST, // in order of distance, from one's own place on
    TUNING_VICTIM_RANDOM,
    TUNING_VICTIM_LAST,    // where the last steal succeeded, then as nearest
    TUNING_VICTIMS
} tuning_victim_t;

#define TUNING_NEVER UINT32_MAX

// How a ladder is surveyed.
typedef enum tuning_survey {
    TUNING_ROTATE, // `dwell` chunks on each rung in turn, again and again
    TUNING_CLIMB,  // from the lowest up, all samples of a rung in a row; ends where the cost has clearly risen
} tuning_survey_t;

typedef struct tuning_ladder {
    const char *name;
    const char *unit;
    tuning_class_t class;
    tuning_survey_t survey;
    uint32_t settle;   // chunks after each change of rung that are not counted,
    uint32_t fill;     // and one more for so much of the value; 0: no more
    uint32_t dwell;    // chunks counted before the next rung has its turn
    uint32_t samples;  // counted chunks per rung that make a survey; at most TUNING_SAMPLES
    uint32_t count;    // rungs
    uint32_t original; // the rung of the fixed setting before there was a loop
    uint32_t partner;  // + 1: a knob of the same class whose far end is tried together with the rungs of this one; 0: none
    uint64_t values[TUNING_RUNGS]; // rising, where the order means anything
} tuning_ladder_t;

extern const tuning_ladder_t tuning_ladders[TUNING_KNOBS];

typedef struct tuning_rules {
    uint64_t period_ns;     // how often a class is looked at, at most
    double gain;            // hysteresis: what a move must bring, as a share of the present cost
    double drift;           // the cost or signature changed by this share: it is another phase
    uint32_t drift_periods; // for so many periods in a row
    uint32_t calm_first;    // periods from one survey to the next, after a move
    uint32_t calm_most;     // doubling up to this without one
    double cost_cap;        // the loop's own share of the time
} tuning_rules_t;

extern const tuning_rules_t tuning_rules_standard;

// --- deciding: pure ---------------------------------------------------------------------------------------------

typedef enum tuning_action {
    TUNING_WATCH,  // nothing happens. Not logged.
    TUNING_SURVEY, // `knob` is being surveyed from now on
    TUNING_DUEL,   // `to` looks better than `from`: these two alone, once more
    TUNING_MOVE,   // `to` is in force
    TUNING_STAY,   // the survey or duel is over, `from` stays in force
    TUNING_ACTIONS
} tuning_action_t;

typedef enum tuning_reason {
    TUNING_START,     // nothing is known yet
    TUNING_TIMER,     // the last survey was long ago
    TUNING_COST,      // the cost has drifted
    TUNING_SIGNATURE, // what is asked for has changed: hit rate, length of batches
    TUNING_NEXT,      // another knob of the class has moved
    TUNING_MEASURED,  // the costs of the rungs
    TUNING_REASONS
} tuning_reason_t;

const char *tuning_action_name(tuning_action_t action);
const char *tuning_reason_name(tuning_reason_t reason);

// What one period or one survey has shown. Costs are ns per operation.
typedef struct tuning_evidence {
    uint32_t samples;               // chunks
    double cost;                    // median
    double signature;               // mean, as the user gave it
    uint32_t counted[TUNING_SLOTS]; // survey and duel: chunks per rung; paired: each with the partner at its far end
    double costs[TUNING_SLOTS];     // and their medians
} tuning_evidence_t;

typedef struct tuning_decision {
    tuning_action_t action;
    tuning_reason_t reason;
    tuning_knob_t knob;
    uint32_t from, to;          // rungs
    bool paired;                // together with the partner,
    uint32_t partner_from, partner_to; // whose rungs these are. The log has a decision of its own for it
    double cost_from, cost_to;  // as measured; 0 where not
    double signature;
    uint32_t samples;           // chunks behind it
    uint64_t when_ns;           // by the times given
} tuning_decision_t;

// One class's search. All zero to begin with, but for `at`.
typedef struct tuning_search {
    tuning_action_t stage;       // WATCH, SURVEY or DUEL
    uint32_t knob;               // under survey or in a duel
    uint32_t challenger;         // rung, in a duel
    bool paired;                 // the survey or duel is of this knob and its partner,
    uint32_t partner_to;         // which is at this rung in it
    uint32_t at[TUNING_KNOBS];   // rungs in force
    uint32_t left;               // knobs that this round still has to survey, and TUNING_KNOBS on those with their partner
    uint32_t rounds;             // since the last calm
    uint32_t alarms;             // surveys for a change of cost that led to no move, in a row
    bool started, moved, ever_moved; // at all; in this round; since the last calm
    tuning_reason_t reason;      // of this round
    uint32_t calm, calm_length;  // periods to the next survey, and how many there were
    uint32_t drifted;            // periods in a row
    double basis, signature;     // since the last survey; 0: not yet known
} tuning_search_t;

// `allowed` is a mask of rungs per knob. The search and the evidence decide, and nothing else does.
tuning_decision_t tuning_decide(const tuning_rules_t *rules, const uint32_t allowed[TUNING_KNOBS], tuning_class_t class,
                                tuning_search_t *search, const tuning_evidence_t *evidence);

// --- the loop ---------------------------------------------------------------------------------------------------

typedef struct tuning_config {
    const tuning_rules_t *rules;    // NULL: tuning_rules_standard
    uint32_t allowed[TUNING_KNOBS]; // masks of rungs; 0: all
    uint32_t start[TUNING_KNOBS];   // rung + 1 to begin with; 0: the original's, or the nearest that is allowed
} tuning_config_t;

// `config` may be NULL. OK, INVALID or NO_MEMORY.
status_t tuning_create(const tuning_config_t *config, tuning_t **made);
void tuning_destroy(tuning_t *tuning);

// The value of a knob for the chunk that begins now. Ask again for each chunk.
uint64_t tuning_value(const tuning_t *tuning, tuning_knob_t knob);
// A chunk of `class` begins at `now`.
void tuning_begin(tuning_t *tuning, tuning_class_t class, uint64_t now);
// It held `operations`, and ends at `now`; the next one of the same class begins. `signature` says what was asked for, such as
// the mean length of batches: a number above 0 that does not depend on the values in force; 0: unknown.
// False, nearly always: it was counted. True: the loop took a look. Then values may have changed, and the caller reads its clock
// again, charges the difference with tuning_charge, and begins the next chunk anew.
bool tuning_end(tuning_t *tuning, tuning_class_t class, uint64_t operations, double signature, uint64_t now);
// What the loop itself took since the last call of this, as measured by the caller.
void tuning_charge(tuning_t *tuning, uint64_t ns);

typedef struct tuning_totals {
    uint64_t chunks, periods, surveys, duels, moves;
    uint64_t seen_ns, charged_ns; // time in chunks, and the loop's own as charged
    uint64_t survey_ns;           // time in chunks of surveys and duels
    uint64_t period_ns;           // at present
} tuning_totals_t;

tuning_totals_t tuning_totals(const tuning_t *tuning);
// The decisions still in the log, oldest first, at most `most` of the latest. Returns how many.
size_t tuning_log(const tuning_t *tuning, tuning_decision_t *decisions, size_t most);

// --- placement on NUMA nodes --------------------------------------------------------------------------------------

#define TUNING_NODES 64u

// Where memory that is used `uses[n]` times from node n, and first touched on node `toucher`, should lie. `latencies[c * nodes + m]`
// is what an access from a CPU of node c to memory of node m takes, in any unit: see numa_distance. Moves away from `present` only for
// a gain of `gain`, as a share of the present cost; what is first touched on its own node stays with NUMA_FIRST_TOUCH rather than
// being bound there. Pure. At most TUNING_NODES nodes; NUMA_FIRST_TOUCH on one node, or where nobody used anything.
// `decision`, unless NULL, gets the evidence: the present and the new expected latency.
numa_placement_t tuning_place(const uint64_t *latencies, unsigned nodes, const uint64_t *uses, unsigned toucher,
                              numa_placement_t present, double gain, tuning_decision_t *decision);
// Puts a decision that was made outside the loop into the log.
void tuning_note(tuning_t *tuning, const tuning_decision_t *decision);
