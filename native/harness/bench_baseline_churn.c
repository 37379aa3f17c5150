#include "baseline_capability.h"
#define CHURN_BENCH "baseline_churn"
#define CHURN_SUMMARY "the same churn on the lock-based table, with the same oracles"
#define CHURN_STALL_MS 0
#define TABLE(F) baseline_##F
#define CAP(F) baseline_capability_##F
#include "churn.h"
