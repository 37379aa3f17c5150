/* Tasks: the lock-free scheduler. */
#include "scheduler.h"

#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define SCHEDULER(F) scheduler_##F
typedef scheduler_lockfree_t scheduler_t;
#include "arm_tasks.h"
