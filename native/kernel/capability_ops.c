// The lock-free table in the shape of capability_ops.h.
#define SHAPE_OPS capability_lockfree_ops
#define SHAPE_NAME "lockfree"
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#include "capability_ops_shape.h"
