#include "arms.h"

static bench_t bench = ARMS_BENCH("op_queue", "a batch of 32 tasks handed in and taken out: floor, baseline, peers, ours",
                                  "one task enqueued, dequeued and completed", NULL, 0, arms_one_thread);
BENCH_REGISTER(bench)
