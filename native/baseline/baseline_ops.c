// The baseline in the shape of capability_ops.h.
#include "baseline_capability.h"

#define SHAPE_OPS capability_baseline_ops
#define SHAPE_NAME "baseline"
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#include "capability_ops_shape.h"
