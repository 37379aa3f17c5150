#include "arms.h"
#include "op_check.h"

static const setting_t settings[] = {
    [OP_CHECK_IDS] = SETTING_INTEGER("ids", 1024, 1, 1 << 18, "capabilities in the table"),
};

static bench_t bench = ARMS_BENCH("op_check_inline", "check by id and generation, inlined into the caller: floor, ours",
                                  "one check of one id for one right", settings,
                                  sizeof settings / sizeof settings[0], NULL);
BENCH_REGISTER(bench)
