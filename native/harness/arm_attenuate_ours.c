/* op_attenuate: the lock-free table. */
#include "capability.h"

#define ARM_BENCH "op_attenuate"
#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#define CHANGE_OPS 64
#define CHANGE_BODY "op_attenuate.h"
#include "arm_change.h"
