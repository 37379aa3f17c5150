/* Tasks: the scheduler under locks. */
#include "baseline_scheduler.h"

#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define SCHEDULER(F) baseline_scheduler_##F
#define ARM_WHOLE
#define ARM_SCHEDULER baseline_scheduler_t
#include "arm_tasks.h"
