#include "arms.h"

static bench_t bench = ARMS_BENCH("op_enqueue", "tasks handed in by batches of 32: floor, baseline, peers, ours",
                                  "one task enqueued", NULL, 0, arms_one_thread);
BENCH_REGISTER(bench)
