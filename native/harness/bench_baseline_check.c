#include "baseline_capability.h"
#define CHECK_BENCH "baseline_check"
#define CHECK_SUMMARY "the same checks in the lock-based table: the Before column"
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#include "check.h"
