#define WORK_BENCH "task_churn"
#define WORK_SUMMARY "tasks made, blocked, unblocked, ended and taken by hand from every thread on the lock-free scheduler, held against S1 to S6"
#define WORK(F) scheduler_##F
#define WORK_TYPE scheduler_lockfree_t
#define WORK_STATE(SCHEDULER, TASK) ((void)(SCHEDULER), task_state(TASK))
#include "work_churn.h"
