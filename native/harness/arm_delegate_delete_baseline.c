/* op_delegate_delete: the table under one lock. */
#include "baseline_capability.h"

#define ARM_BENCH "op_delegate_delete"
#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#define CHANGE_OPS 1
#define CHANGE_BODY "op_delegate_delete.h"
#include "arm_change.h"
