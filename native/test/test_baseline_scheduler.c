// The baseline meets the contract that the lock-free scheduler meets.
#include "scheduler_suite.h"

int main(void) {
    scheduler_config_t config = {.cpus = SUITE_CPUS};
    return run_scheduler_contract(&scheduler_baseline_ops, &config);
}
