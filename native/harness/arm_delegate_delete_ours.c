/* op_delegate_delete: the lock-free table. */
#include "capability.h"

#define ARM_BENCH "op_delegate_delete"
#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#define CHANGE_OPS 1
#define CHANGE_BODY "op_delegate_delete.h"
#include "arm_change.h"
