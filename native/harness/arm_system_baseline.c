/* op_system: table and scheduler under locks. */
#include "baseline_capability.h"
#include "baseline_scheduler.h"

#define ARM_NAME "baseline"
#define ARM_KIND ARM_BASELINE
#define ARM_SCHEDULER baseline_scheduler_t
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#define SCHEDULER(F) baseline_scheduler_##F
#define JOB_STATE(SCHEDULER, TASK) baseline_task_state(SCHEDULER, TASK)
#include "arm_system.h"
