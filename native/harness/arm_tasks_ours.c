/* Tasks: the lock-free scheduler. */
#include "scheduler.h"

#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define SCHEDULER(F) scheduler_##F
#define ARM_SCHEDULER scheduler_lockfree_t
#include "arm_tasks.h"
