#include "arms.h"

static bench_t bench = ARMS_BENCH("op_attenuate", "attenuate of roots that others were made beside, one by one and in batches of 64: baseline, ours", "one attenuate", NULL, 0, NULL);
BENCH_REGISTER(bench)
