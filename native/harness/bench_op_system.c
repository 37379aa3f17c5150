#include <stdio.h>

#include "arms.h"
#include "op_system.h"

static const setting_t settings[] = {
    [OP_SYSTEM_IDS] = SETTING_INTEGER("ids", 1024, 1, 1 << 20, "capabilities that everybody uses"),
    [OP_SYSTEM_CHECKS] = SETTING_INTEGER("checks", 8, 0, 1024, "of them that a task checks"),
};

static bool as_many_as_cpus(const run_t *run, char *why, size_t size) {
    if (run->options->threads <= 255)
        return true;
    snprintf(why, size, "a batch goes to a CPU below 256, not to one of %d", run->options->threads);
    return false;
}

static bench_t bench = ARMS_BENCH("op_system", "the whole: a capability made, a task scheduled, its checks, the capability deleted; baseline, ours",
                                  "one task", settings, sizeof settings / sizeof settings[0], as_many_as_cpus);
BENCH_REGISTER(bench)
