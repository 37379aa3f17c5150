/* op_system: lock-free table and scheduler. */
#include "capability.h"
#include "scheduler.h"

#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define ARM_SCHEDULER scheduler_lockfree_t
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#define SCHEDULER(F) scheduler_##F
#define JOB_STATE(SCHEDULER, TASK) task_state(TASK)
#include "arm_system.h"
