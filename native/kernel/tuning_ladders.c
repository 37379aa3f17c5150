// The knobs: what each may be set to, how it is measured, and what it was fixed at before there was a loop.
#include "tuning.h"

// A cache must fill before its cost is that of its size, so its turns are long. A quantum is measured over several of itself, so
// long ones cost the most to try: from the shortest up, and no further than where it gets worse. Far from the caches, vectors are as
// good without a fetch ahead as with one, and better than one check after the other with a short one; a long fetch with one
// check after the other is the best of all. So these two are tried together.
const tuning_ladder_t tuning_ladders[TUNING_KNOBS] = {
    [TUNING_CACHE] = {.name = "cache", .unit = "entries", .class = TUNING_CHECKS, .survey = TUNING_ROTATE, .settle = 2, .fill = 1024,
                      .dwell = 5, .samples = 5, .count = 6, .original = 1, .values = {0, 64, 256, 1024, 4096, 16384}},
    [TUNING_SIMD] = {.name = "simd", .unit = "checks", .class = TUNING_BATCHES, .survey = TUNING_ROTATE, .settle = 0, .dwell = 1,
                     .samples = 9, .count = 5, .original = 1, .values = {4, 8, 16, 32, TUNING_NEVER}},
    [TUNING_PREFETCH] = {.name = "prefetch", .unit = "checks", .class = TUNING_BATCHES, .survey = TUNING_ROTATE, .settle = 0, .dwell = 1,
                         .samples = 9, .count = 6, .original = 1, .partner = TUNING_SIMD + 1, .values = {0, 4, 8, 16, 32, 64}},
    [TUNING_GROUP] = {.name = "group", .unit = "checks", .class = TUNING_BATCHES, .survey = TUNING_ROTATE, .settle = 0, .dwell = 1,
                      .samples = 9, .count = 6, .original = 1, .values = {4, 8, 16, 32, 64, 256}},
    [TUNING_VICTIM] = {.name = "victim", .unit = "policy", .class = TUNING_TASKS, .survey = TUNING_ROTATE, .settle = 1, .dwell = 1,
                       .samples = 9, .count = 3, .original = TUNING_VICTIM_RANDOM,
                       .values = {TUNING_VICTIM_NEAREST, TUNING_VICTIM_RANDOM, TUNING_VICTIM_LAST}},
    [TUNING_BUNDLE] = {.name = "bundle", .unit = "tasks", .class = TUNING_TASKS, .survey = TUNING_ROTATE, .settle = 1, .dwell = 1,
                       .samples = 9, .count = 5, .original = 2, .values = {1, 4, 8, 16, 32}},
    [TUNING_QUANTUM] = {.name = "quantum", .unit = "ns", .class = TUNING_RUNS, .survey = TUNING_CLIMB, .settle = 1, .dwell = 1,
                        .samples = 5, .count = 6, .original = 5, .values = {30000, 100000, 300000, 1000000, 3000000, 10000000}},
    [TUNING_NODE] = {.name = "node", .unit = "policy", .class = TUNING_MEMORY, .survey = TUNING_ROTATE, .settle = 0, .dwell = 1,
                     .samples = 1, .count = 3, .original = NUMA_FIRST_TOUCH, .values = {NUMA_FIRST_TOUCH, NUMA_INTERLEAVE, NUMA_BIND}},
};

const tuning_rules_t tuning_rules_standard = {
    .period_ns = 2000000,
    .gain = 0.02,
    .drift = 1.0, // on a shared machine the same work takes now 1, now 1.8 times as long
    .drift_periods = 2,
    .calm_first = 32,
    .calm_most = 4096,
    .cost_cap = 0.004, // what the caller cannot time, the watching of chunks, comes on top: both stay under 0.005
};

const char *tuning_action_name(tuning_action_t action) {
    static const char *const names[] = {"watch", "survey", "duel", "move", "stay"};
    _Static_assert(sizeof names / sizeof names[0] == TUNING_ACTIONS, "a name each");
    return (unsigned)action < TUNING_ACTIONS ? names[action] : "unknown";
}

const char *tuning_reason_name(tuning_reason_t reason) {
    static const char *const names[] = {"start", "timer", "cost", "signature", "next", "measured"};
    _Static_assert(sizeof names / sizeof names[0] == TUNING_REASONS, "a name each");
    return (unsigned)reason < TUNING_REASONS ? names[reason] : "unknown";
}
