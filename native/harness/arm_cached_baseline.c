/* op_cached_check: the table under one lock, which has no cache. */
#include "baseline_capability.h"

#define ARM_BENCH "op_cached_check"
#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define ARM_SCALES true
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#include "arm_check_table.h"
