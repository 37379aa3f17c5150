#include <stdio.h>

#include "arms.h"
#include "op_tasks.h"

static const setting_t settings[] = {
    [OP_STEAL_BATCH] = SETTING_INTEGER("batch", OP_BATCH, 1, OP_BATCH, "the most that are taken at a time"),
};

static bool two_at_most(const run_t *run, char *why, size_t size) {
    if (run->options->threads <= 2)
        return true;
    snprintf(why, size, "measures one thread, or a thief beside an owner, not %d", run->options->threads);
    return false;
}

static bench_t bench = ARMS_BENCH("op_steal", "1024 tasks of one CPU taken by another: floor, baseline, ours; with two threads across cores",
                                  "one task stolen", settings, sizeof settings / sizeof settings[0], two_at_most);
BENCH_REGISTER(bench)
