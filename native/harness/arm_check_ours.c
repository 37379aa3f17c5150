/* op_check: the lock-free table. */
#include "capability.h"

#define ARM_BENCH "op_check"
#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define ARM_SCALES true
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#include "arm_check_table.h"
