/* Growth without a pause: how long a create takes in a table that grows, beside one that does not. Each worker makes a capability in either by turns,
 * so that whatever slows the machine slows both, and times every call; what is left of the growing table's times above the other's is growth:
 * memory that becomes writable chunk by chunk, and pages that the system gives when they are touched first.
 *
 * The table grows in the measured window alone, until `ids` capabilities live; then the worker has nothing more to do. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "capability.h"
#include "harness.h"
#include "histogram.h"

enum { IDS };
enum { AT_ONCE = 64, STILL_EACH = 4096, HIGHEST_NS = 1000000000 };

static const setting_t settings[] = {
    [IDS] = SETTING_INTEGER("ids", 1 << 22, 1 << 12, 1 << 26, "capabilities that live in the end; 90 bytes each"),
};

typedef enum { GROWING, STILL, TABLES } which_t;
static const char *const names[TABLES] = {"create_growing", "create_still"};

typedef struct {
    capability_thread_t *seats[TABLES];
    histogram_t *times[TABLES];
    uint64_t left; /* to make in the growing table */
} state_t;

typedef struct {
    capability_table_t *tables[TABLES];
    state_t *states;
} shared_t;

static bool make_tables(run_t *run, shared_t *shared) {
    uint64_t threads = (uint64_t)run->options->threads;
    /* each worker may hold a batch of slots that it does not use */
    const uint64_t capacities[TABLES] = {(uint64_t)run_int(run, IDS) + threads * 64, threads * STILL_EACH};
    for (int t = 0; t < TABLES; t++) {
        capability_config_t config = {.capacity = capacities[t]};
        status_t status = capability_table_create(&config, &shared->tables[t]);
        if (status != STATUS_OK) {
            run_fail(run, "the table could not be made: %s", status_name(status));
            return false;
        }
    }
    return true;
}

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    run->shared = shared;
    if (shared)
        shared->states = calloc((size_t)run->options->threads, sizeof *shared->states);
    if (!shared || !shared->states) {
        run_fail(run, "memory exhausted: %d threads", run->options->threads);
        return false;
    }
    return make_tables(run, shared);
}

/* Every slot of the still table is used once, so that none is new in the window. */
static void touch(capability_thread_t *seat) {
    static _Thread_local cap_id_t ids[STILL_EACH];
    for (int i = 0; i < STILL_EACH; i++)
        if (capability_create(seat, 1, CAPABILITY_RIGHTS_ALL, &ids[i]) != STATUS_OK)
            ids[i] = CAPABILITY_NONE; /* a neighbour holds it */
    for (int i = 0; i < STILL_EACH; i++)
        if (ids[i] != CAPABILITY_NONE)
            (void)capability_delete(seat, ids[i]);
}

static bool enter(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    state_t *state = &shared->states[worker->index];
    uint64_t threads = (uint64_t)run->options->threads, ids = (uint64_t)run_int(run, IDS);
    worker->state = state;
    state->left = ids / threads + ((uint64_t)worker->index < ids % threads ? 1 : 0);
    for (int t = 0; t < TABLES; t++) {
        state->times[t] = histogram_create(HIGHEST_NS, HISTOGRAM_DIGITS);
        status_t status = state->times[t] ? capability_thread_join(shared->tables[t], &state->seats[t]) : STATUS_NO_MEMORY;
        if (status != STATUS_OK) {
            run_fail(run, "worker %d has no seat at the table: %s", worker->index, status_name(status));
            return false;
        }
    }
    touch(state->seats[STILL]);
    return true;
}

static status_t timed_create(state_t *state, which_t which, cap_id_t *id) {
    uint64_t begin = clock_ns();
    status_t status = capability_create(state->seats[which], 1, CAPABILITY_RIGHTS_ALL, id);
    uint64_t took = clock_ns() - begin;
    if (status == STATUS_OK)
        histogram_record(state->times[which], took, 1);
    return status;
}

static uint64_t batch(worker_t *worker) {
    state_t *state = worker->state;
    cap_id_t grown = CAPABILITY_NONE, ids[AT_ONCE];
    unsigned made = 0, kept = 0;
    if (state->left == 0 || !run_measuring(worker->run)) {
        (void)sched_yield();
        return 0;
    }
    for (; made < AT_ONCE && state->left > 0; made++) {
        status_t status = timed_create(state, GROWING, &grown);
        if (status != STATUS_OK) {
            run_fail(worker->run, "the table does not grow any more: %s", status_name(status));
            state->left = 0;
            break;
        }
        state->left--;
        kept += timed_create(state, STILL, &ids[kept]) == STATUS_OK ? 1 : 0;
    }
    for (unsigned i = 0; i < kept; i++)
        (void)capability_delete(state->seats[STILL], ids[i]);
    return made;
}

static void leave(worker_t *worker) {
    state_t *state = worker->state;
    for (int t = 0; t < TABLES; t++)
        capability_thread_leave(state->seats[t]);
}

static void tell(run_t *run, which_t which, histogram_t *all) {
    static const struct {
        const char *names[TABLES];
        double share;
    } shares[] = {{{"create_growing_p50", "create_still_p50"}, 0.5},
                  {{"create_growing_p99", "create_still_p99"}, 0.99},
                  {{"create_growing_p9999", "create_still_p9999"}, 0.9999},
                  {{"create_growing_max", "create_still_max"}, 1}};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0] && histogram_total(all) > 0; i++)
        run_metric(run, shares[i].names[which], (double)histogram_at(all, shares[i].share), "ns");
    run_histogram(run, names[which], "ns", all);
}

static void finish(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    uint64_t made = 0;
    for (int t = 0; t < TABLES; t++) {
        histogram_t *all = shared->states[0].times[t];
        for (int i = 1; i < run->options->threads; i++) {
            histogram_add(all, shared->states[i].times[t]);
            histogram_free(shared->states[i].times[t]);
        }
        made = t == GROWING ? histogram_total(all) : made;
        tell(run, (which_t)t, all);
    }
    capability_audit_t audit = capability_audit(shared->tables[GROWING]);
    if (audit.live != made)
        run_violation(worker, "C5", "%llu made, and %llu live", (unsigned long long)made, (unsigned long long)audit.live);
    run_counter(run, "live", (double)audit.live, "1");
    for (int t = 0; t < TABLES; t++)
        capability_table_destroy(shared->tables[t]);
    free(shared->states);
    free(shared);
}

static bench_t bench = {
    .name = "capability_growth",
    .summary = "how long a create takes in a table that grows, beside one that does not",
    .unit_of_work = "one create in the growing table, and one in the other",
    .contracts = "C5",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
