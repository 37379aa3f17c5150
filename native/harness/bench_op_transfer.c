#include "arms.h"

static bench_t bench = ARMS_BENCH("op_transfer", "transfer to and fro between two parents: baseline, ours", "one transfer", NULL, 0, NULL);
BENCH_REGISTER(bench)
