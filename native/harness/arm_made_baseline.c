/* op_create_delete: the table under one lock. */
#include "baseline_capability.h"

#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#include "arm_made.h"
