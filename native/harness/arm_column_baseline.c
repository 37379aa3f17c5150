/* op_column: what there is without columns and batches, one check after the other in the table under one lock. */
#include "baseline_capability.h"

#define ARM_BENCH "op_column"
#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define ARM_SCALES false
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#include "arm_check_table.h"
