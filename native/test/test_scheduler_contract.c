// The lock-free scheduler meets the contract that the baseline meets, in each mode of its deques, from small deques that must grow.
#include "scheduler_suite.h"

int main(void) {
    scheduler_config_t fenced = {.cpus = SUITE_CPUS, .mode = SCHEDULER_DEQUE_FENCED};
    scheduler_config_t small = {.cpus = SUITE_CPUS, .deque_first = 2, .first_index = UINT64_MAX - 100, .first_generation = 1000};
    EXPECT_EQ(run_scheduler_contract(&scheduler_lockfree_ops, &fenced), 0);
    return run_scheduler_contract(&scheduler_lockfree_ops, &small);
}
