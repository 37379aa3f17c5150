// The lock-free table meets the contract through caches, too.
#include "contract_suite.h"

int main(void) { return run_contract(&capability_kept_ops); }
