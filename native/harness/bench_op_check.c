#include "op_check.h"

#include "arms.h"

static const setting_t settings[] = {
    [OP_CHECK_IDS] = SETTING_INTEGER("ids", 1024, 1, 1 << 24, "capabilities in the table"),
};

static bench_t bench = ARMS_BENCH("op_check", "check by id and generation, with a real call: floor, baseline, peers, ours",
                                  "one check of one id for one right", settings,
                                  sizeof settings / sizeof settings[0], NULL);
BENCH_REGISTER(bench)
