#include "arms.h"

static bench_t bench = ARMS_BENCH("op_delegate_delete", "delegate of a child and delete of it: baseline, ours", "one delegate and one delete", NULL, 0, NULL);
BENCH_REGISTER(bench)
