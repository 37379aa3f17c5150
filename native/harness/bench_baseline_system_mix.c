#include "baseline_capability.h"
#include "baseline_scheduler.h"
#define MIX_BENCH "baseline_system_mix"
#define MIX_SUMMARY "the same work on the table and the scheduler under locks, with the same oracles"
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#define WORK(F) baseline_scheduler_##F
#define WORK_TYPE baseline_scheduler_t
#include "mix.h"
