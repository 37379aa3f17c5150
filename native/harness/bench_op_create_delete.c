#include "arms.h"

static bench_t bench = ARMS_BENCH("op_create_delete", "a capability made and ended, 16 at a time: floor (malloc and free), baseline, ours",
                                  "one create and its delete", NULL, 0, NULL);
BENCH_REGISTER(bench)
