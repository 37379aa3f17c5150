/* Running one PDAC graph again and again: what the benches of graphs have in common. A worker drives the scheduler's CPU of its own
 * number; who ends a run starts the next. */
#ifndef ORCH_DAG_H
#define ORCH_DAG_H

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "harness.h"
#include "pdac.h"
#include "scheduler_account.h"

enum { DAG_BUDGET = 8192 }; /* nodes in one batch: some tens of microseconds to a few milliseconds */

typedef struct dag {
    scheduler_lockfree_t *scheduler;
    pdac_t *engine;
    pdac_graph_t *graph;
    uint32_t nodes;
    int threads;
    worker_t **workers;          /* by number; each written by its worker as it enters */
    _Atomic(uint32_t) run;       /* the number of the run, from 1 on; written between runs */
    _Atomic(bool) ending;        /* no run is started any more */
    _Atomic(int) idle;           /* workers that found nothing to run */
    _Atomic(uint64_t) entries;   /* times that one began to look after it had found nothing */
    _Atomic(bool) stuck;
    void (*judge)(struct dag *dag, worker_t *worker); /* between two runs; NULL: nothing to judge */
} dag_t;

typedef struct {
    _Alignas(128) scheduler_cpu_t *on;
    bool idle;
} dag_seat_t;

static inline bool dag_good(run_t *run, status_t status, const char *what) {
    if (status != STATUS_OK)
        run_fail(run, "%s could not be made: %s", what, status_name(status));
    return status == STATUS_OK;
}

/* The scheduler and the workers' list; config->scheduler is set. */
static inline bool dag_create(run_t *run, dag_t *dag, pdac_config_t *config) {
    dag->threads = run->options->threads;
    dag->workers = calloc((size_t)dag->threads, sizeof(worker_t *));
    /* a graph takes few tasks from a deque, and each steal by membarrier would stop who runs it */
    scheduler_config_t cpus = {.cpus = (uint32_t)dag->threads, .mode = SCHEDULER_DEQUE_FENCED};
    if (!dag->workers) {
        run_fail(run, "memory exhausted: %d workers", dag->threads);
        return false;
    }
    if (!dag_good(run, scheduler_create(&cpus, &dag->scheduler), "the scheduler"))
        return false;
    config->scheduler = dag->scheduler;
    return dag_good(run, pdac_create(config, &dag->engine), "the engine");
}

static inline void dag_over(void *context, pdac_graph_t *graph) {
    dag_t *dag = context;
    uint32_t run = atomic_load_explicit(&dag->run, memory_order_relaxed);
    if (dag->judge)
        dag->judge(dag, dag->workers[0]);
    if (atomic_load_explicit(&dag->ending, memory_order_relaxed))
        return;
    atomic_store_explicit(&dag->run, run + 1, memory_order_relaxed);
    (void)pdac_start(graph);
}

static inline bool dag_begin(run_t *run, dag_t *dag) {
    if (!dag_good(run, pdac_seal(dag->graph), "the graph's layout"))
        return false;
    dag->nodes = pdac_nodes(dag->graph);
    pdac_set_over(dag->graph, dag_over, dag);
    return true;
}

static inline bool dag_enter(worker_t *worker, dag_t *dag) {
    dag_seat_t *seat = aligned_alloc(_Alignof(dag_seat_t), sizeof *seat);
    worker->state = seat;
    if (!seat) {
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    *seat = (dag_seat_t){.idle = false};
    dag->workers[worker->index] = worker;
    return dag_good(worker->run, scheduler_attach(dag->scheduler, (uint32_t)worker->index, &seat->on), "the worker's CPU");
}

/* P5: nobody runs anything, nothing is queued, and the run is not over. It never will be; no clock is asked. */
static inline void dag_look_whether_stuck(worker_t *worker, dag_t *dag) {
    uint64_t entries = atomic_load(&dag->entries);
    if (atomic_load(&dag->idle) != dag->threads || scheduler_queued(dag->scheduler) != 0 || pdac_is_over(dag->graph))
        return;
    if (atomic_load(&dag->idle) == dag->threads && atomic_load(&dag->entries) == entries && !atomic_exchange(&dag->stuck, true))
        run_violation(worker, "P5", "nothing runs and nothing is queued, but run %u is not over", atomic_load(&dag->run));
}

/* Some nodes. Who finds nothing gives his CPU to somebody who may have some. */
static inline uint64_t dag_batch(worker_t *worker, dag_t *dag) {
    dag_seat_t *seat = worker->state;
    if (seat->idle) {
        atomic_fetch_add(&dag->entries, 1);
        atomic_fetch_sub(&dag->idle, 1);
        seat->idle = false;
    }
    uint64_t done = scheduler_run(seat->on, DAG_BUDGET);
    if (done == 0) {
        seat->idle = true;
        atomic_fetch_add(&dag->idle, 1);
        dag_look_whether_stuck(worker, dag);
        sched_yield();
    }
    return done;
}

/* The first run begins when all have entered, so that nobody's CPU is missing. */
static inline void dag_start_once(worker_t *worker, dag_t *dag) {
    if (worker->index == 0 && atomic_load_explicit(&dag->run, memory_order_relaxed) == 0) {
        atomic_store_explicit(&dag->run, 1, memory_order_relaxed);
        (void)pdac_start(dag->graph);
    }
}

static inline void dag_leave(worker_t *worker, dag_t *dag) {
    dag_seat_t *seat = worker->state;
    atomic_store(&dag->ending, true);
    while (!pdac_is_over(dag->graph) && !atomic_load(&dag->stuck))
        (void)dag_batch(worker, dag);
    if (seat->idle)
        atomic_fetch_sub(&dag->idle, 1);
    scheduler_detach(seat->on);
    free(seat);
}

static inline void dag_destroy(dag_t *dag) {
    pdac_graph_destroy(dag->graph);
    pdac_destroy(dag->engine);
    scheduler_destroy(dag->scheduler);
    free(dag->workers);
}

#endif
