/* Tasks: the scheduler under locks. */
#include "baseline_scheduler.h"

#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define SCHEDULER(F) baseline_scheduler_##F
#include "arm_tasks.h"
