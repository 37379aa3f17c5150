// The lock-free table asked through caches, in the shape of capability_ops.h.
#include "capability_kept.h"

#define SHAPE_OPS capability_kept_ops
#define SHAPE_NAME "kept"
#define TABLE(F) kept_##F
#define CAP(F) kept_capability_##F
#include "capability_ops_shape.h"
