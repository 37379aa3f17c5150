#define CHURN_BENCH "capability_churn"
#define CHURN_SUMMARY "every operation from every thread on the lock-free table, answers held against C1 to C5"
#define CHURN_STALL_MS 10
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#include "churn.h"
