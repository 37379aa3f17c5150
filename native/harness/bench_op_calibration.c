#include "arms.h"

static bench_t bench = ARMS_BENCH("op_calibration", "what this machine's parts cost: arithmetic, atomics, caches, memory, a line between two threads",
                                  "one operation of the part", NULL, 0, NULL);
BENCH_REGISTER(bench)
