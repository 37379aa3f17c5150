// What a test program does with its scenarios: contract in explore.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore_run.h"

#ifdef __SANITIZE_ADDRESS__
#define RUNS 500 // the sanitizer is slow, and looks at each run closely
#else
#define RUNS 4000
#endif

static const explore_scenario_t *current;

static void report(const explore_finding_t *found) {
    fprintf(stderr, "violation %s (scenario %s, seed %llu, step %u, thread %u)\n", found->message, current->name,
            (unsigned long long)found->seed, found->step, found->thread);
    fflush(NULL);
    _Exit(1);
}

static void print_line(const char *line) { puts(line); }

static void explore_one(const explore_scenario_t *scenario, uint64_t first, uint64_t runs) {
    current = scenario;
    explore_trace(runs == 0 ? print_line : NULL);
    explore_plan_t plan = {.scenario = scenario, .seed = first};
    for (; plan.seed == first || plan.seed - first < runs; plan.seed++) {
        (void)explore_run(&plan);
    }
    printf("ok %s: %llu runs from seed %llu\n", scenario->name, (unsigned long long)(runs > 0 ? runs : 1), (unsigned long long)first);
}

int explore_main(int count, char **arguments, const explore_scenario_t *scenarios, size_t scenario_count) {
    uint64_t runs = count > 1 ? strtoull(arguments[1], NULL, 10) : RUNS;
    uint64_t first = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    const char *only = count > 3 ? arguments[3] : NULL;
    bool found = false;
    setvbuf(stdout, NULL, _IOLBF, 0);
    explore_found = report;
    explore_catch_crashes();
    for (size_t i = 0; i < scenario_count; i++) {
        if (only == NULL || strcmp(only, scenarios[i].name) == 0) {
            explore_one(&scenarios[i], first, runs);
            found = true;
        }
    }
    if (!found) {
        fprintf(stderr, "%s: there is no scenario '%s'\n", arguments[0], only);
        return 2;
    }
    return 0;
}
