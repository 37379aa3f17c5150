#include "capability_kept.h"
#define CHURN_BENCH "kept_churn"
#define CHURN_SUMMARY "the churn on the lock-free table, asked through caches that are resized meanwhile"
#define CHURN_STALL_MS 10
#define TABLE(F) kept_##F
#define CAP(F) kept_capability_##F
#define CHURN_RESIZE(TABLE, ENTRIES) kept_table_resize(TABLE, ENTRIES)
#include "churn.h"
