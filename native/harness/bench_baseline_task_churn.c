#include "baseline_scheduler.h"
#define WORK_BENCH "baseline_task_churn"
#define WORK_SUMMARY "the same churn on the scheduler under locks, with the same oracles"
#define WORK(F) baseline_scheduler_##F
#define WORK_TYPE baseline_scheduler_t
#define WORK_STATE(SCHEDULER, TASK) baseline_task_state(SCHEDULER, TASK)
#include "work_churn.h"
