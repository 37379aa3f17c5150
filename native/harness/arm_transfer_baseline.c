/* op_transfer: the table under one lock. */
#include "baseline_capability.h"

#define ARM_BENCH "op_transfer"
#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#define CHANGE_OPS 1
#define CHANGE_BODY "op_transfer.h"
#include "arm_change.h"
