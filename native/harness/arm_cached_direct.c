/* op_cached_check: the same ids without a cache, to see what one is worth. */
#include "capability.h"

#define ARM_BENCH "op_cached_check"
#define ARM_NAME "direct"
#define ARM_KIND ARM_OURS
#define ARM_SCALES false
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#include "arm_check_table.h"
