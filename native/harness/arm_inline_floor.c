/* op_check_inline: the floor of op_check without the call. */
#define ARM_BENCH "op_check_inline"
#define FLOOR_INLINE inline
#include "arm_check_floor.c"
