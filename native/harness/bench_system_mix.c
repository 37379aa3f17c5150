#define MIX_BENCH "system_mix"
#define MIX_SUMMARY "the whole lock-free system at work: tasks with capabilities, delegated, checked, run and revoked in flight"
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#define WORK(F) scheduler_##F
#define WORK_TYPE scheduler_lockfree_t
#include "mix.h"
