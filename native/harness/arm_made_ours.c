/* op_create_delete: the lock-free table. */
#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#include "arm_made.h"
