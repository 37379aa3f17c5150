#define CHECK_BENCH "capability_check"
#define CHECK_SUMMARY "check by id in the lock-free capability table"
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
#include "check.h"
