// The test program of one file of scenarios, whose name CMake gives to it: test_explore_NAME of scenario_NAME.c.
#include "explore.h"

static const explore_scenario_t *registered;
static size_t registered_count;

void explore_register(const char *subject, const char *contracts, const explore_scenario_t *scenarios, size_t count) {
    (void)subject;
    (void)contracts;
    registered = scenarios;
    registered_count = count;
}

int main(int count, char **arguments) { return explore_main(count, arguments, registered, registered_count); }
