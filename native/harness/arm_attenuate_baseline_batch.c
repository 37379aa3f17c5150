/* op_attenuate: the table under one lock, in batches. */
#include "baseline_capability.h"

#define ARM_BENCH "op_attenuate"
#define ARM_NAME "baseline_batch"
#define ARM_KIND ARM_BASELINE
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#define CHANGE_OPS 64
#define CHANGE_BODY "op_attenuate_batch.h"
#include "arm_change.h"
