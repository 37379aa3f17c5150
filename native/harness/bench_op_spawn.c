#include "arms.h"

static bench_t bench = ARMS_BENCH("op_spawn", "an empty task made ready and run, 64 at a time: floor, baseline, peers, ours",
                                  "one task spawned and run", NULL, 0, arms_one_thread);
BENCH_REGISTER(bench)
