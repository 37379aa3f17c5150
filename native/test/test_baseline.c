// The baseline meets the contract that the lock-free table meets.
#include "contract_suite.h"

int main(void) { return run_contract(&capability_baseline_ops); }
