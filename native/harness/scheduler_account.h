/* What the benches of a scheduler share: how many threads it takes, and its account when nothing is left to run. For either scheduler. */
#ifndef ORCH_SCHEDULER_ACCOUNT_H
#define ORCH_SCHEDULER_ACCOUNT_H

#include <stdio.h>

#include "harness.h"
#include "scheduler.h"

static inline bool account_threads_fit(const run_t *run, char *why, size_t size) {
    bool fit = run->options->threads <= (int)SCHEDULER_MAX_CPUS;
    if (!fit)
        snprintf(why, size, "at most %u threads, one per CPU of a scheduler", SCHEDULER_MAX_CPUS);
    return fit;
}

/* S5, at the end: what was accepted has started, and that has finished. */
static inline void account_close(worker_t *worker, scheduler_stats_t stats) {
    if (stats.accepted != stats.started || stats.started != stats.finished)
        run_violation(worker, "S5", "%llu accepted, %llu started, %llu finished", (unsigned long long)stats.accepted,
                      (unsigned long long)stats.started, (unsigned long long)stats.finished);
}

static inline void account_tell_steals(const worker_t *worker, scheduler_stats_t stats) {
    run_counter(worker->run, "steals", (double)stats.steals, "steals");
    run_counter(worker->run, "stolen", (double)stats.stolen, "tasks");
    run_counter(worker->run, "forced", (double)stats.forced, "steals");
}

#endif
