/* op_dag: a PDAC graph over the lock-free scheduler, one CPU of it per worker. */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "arms.h"
#include "op_dag.h"
#include "pdac.h"
#include "scheduler.h"

typedef struct {
    scheduler_lockfree_t *scheduler;
    pdac_t *engine;
    pdac_graph_t *graph;
    uint32_t nodes, workers;
    _Atomic(uint32_t) started; /* runs */
    uint32_t *seen;            /* of them, by worker; written by it alone */
} dag_t;

static void nothing(void *context, pdac_node_t node, uint32_t worker) {
    (void)context, (void)worker;
    KEEP(node);
}

static status_t connect_all(const run_t *run, dag_t *dag) {
    status_t status = STATUS_OK;
    for (uint32_t i = 0; i < dag->nodes && status == STATUS_OK; i++) {
        uint32_t first = 0;
        uint32_t count = op_dag_successors(run_int(run, OP_DAG_SHAPE), dag->nodes, i, &first);
        for (uint32_t j = 0; j < count && status == STATUS_OK; j++)
            status = pdac_connect(dag->graph, i, first + j);
    }
    return status;
}

static bool setup_for(run_t *run, void **shared, uint32_t workers) {
    dag_t *dag = calloc(1, sizeof *dag);
    *shared = dag;
    if (!dag) {
        run_fail(run, "memory exhausted: a graph");
        return false;
    }
    dag->nodes = (uint32_t)run_int(run, OP_DAG_NODES);
    dag->workers = workers;
    dag->seen = calloc(workers, sizeof *dag->seen);
    if (!dag->seen) {
        run_fail(run, "memory exhausted: %u workers", workers);
        return false;
    }
    scheduler_config_t cpus = {.cpus = workers, .mode = SCHEDULER_DEQUE_FENCED}; /* a graph takes few tasks from a deque */
    status_t status = scheduler_create(&cpus, &dag->scheduler);
    pdac_config_t config = {.scheduler = dag->scheduler};
    if (status == STATUS_OK)
        status = pdac_create(&config, &dag->engine);
    if (status == STATUS_OK)
        status = pdac_graph_create(dag->engine, dag->nodes, dag->nodes, &dag->graph);
    pdac_task_t task = {.body = nothing};
    pdac_node_t first = 0;
    if (status == STATUS_OK)
        status = pdac_add_many(dag->graph, &task, dag->nodes, &first);
    if (status == STATUS_OK)
        status = connect_all(run, dag);
    if (status == STATUS_OK)
        status = pdac_seal(dag->graph);
    if (status != STATUS_OK)
        run_fail(run, "a graph of %u nodes could not be made: %s", dag->nodes, status_name(status));
    return status == STATUS_OK;
}

static bool setup(run_t *run, void **shared) { return setup_for(run, shared, (uint32_t)run->options->threads); }
static bool setup_alone(run_t *run, void **shared) { return setup_for(run, shared, 1); }
static bool beside_others(const run_t *run) { return run->options->threads > 1; }

static bool enter(worker_t *worker, void *shared, void **state) {
    scheduler_cpu_t *on = NULL;
    *state = NULL;
    if ((uint32_t)worker->index >= ((dag_t *)shared)->workers)
        return true;
    status_t status = scheduler_attach(((dag_t *)shared)->scheduler, (uint32_t)worker->index, &on);
    *state = on;
    if (status != STATUS_OK)
        run_fail(worker->run, "worker %d got no CPU: %s", worker->index, status_name(status));
    return status == STATUS_OK;
}

/* Several workers: whoever finds nothing gives its CPU away now and then, in case the other one has none. */
static uint64_t sample_of(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)sample;
    dag_t *dag = shared;
    if (worker->index == 0 && pdac_start(dag->graph) != STATUS_OK)
        run_fail(worker->run, "the graph could not be started again");
    if (worker->index == 0)
        atomic_store_explicit(&dag->started, dag->seen[0] + 1, memory_order_release);
    uint32_t run = ++dag->seen[worker->index];
    while (atomic_load_explicit(&dag->started, memory_order_acquire) != run) /* else the run before would seem to be this one's end */
        sched_yield();
    for (unsigned idle = 0; !pdac_is_over(dag->graph);)
        if (scheduler_run(state, dag->nodes) == 0 && ++idle % 256 == 0)
            sched_yield();
    pdac_outcome_t outcome = pdac_outcome(dag->graph);
    if (worker->index == 0 && outcome.ran != dag->nodes)
        run_violation(worker, "P1", "%llu of %u nodes ran", (unsigned long long)outcome.ran, dag->nodes);
    return dag->nodes / dag->workers;
}

static void leave(worker_t *worker, void *shared, void *state) {
    (void)worker, (void)shared;
    if (state)
        scheduler_detach(state);
}

static void finish(run_t *run, void *shared) {
    (void)run;
    dag_t *dag = shared;
    pdac_graph_destroy(dag->graph);
    pdac_destroy(dag->engine);
    task_t *rest[16];
    while (scheduler_rest(dag->scheduler, rest, 16) > 0)
        ;
    scheduler_destroy(dag->scheduler);
    free(dag->seen);
    free(dag);
}

static arm_t arm = {.bench = "op_dag", .name = "ours", .kind = ARM_OURS, .fixed_ops = 1, .setup = setup,
                    .enter = enter, .sample = sample_of, .leave = leave, .finish = finish};
ARM_REGISTER(arm)

/* The same over a scheduler of one CPU: what several workers are held against. */
static arm_t arm_alone = {.bench = "op_dag", .name = "ours_1t", .kind = ARM_OURS, .alone = true, .fixed_ops = 1,
                          .planned = beside_others, .setup = setup_alone, .enter = enter, .sample = sample_of,
                          .leave = leave, .finish = finish};
ARM_REGISTER(arm_alone)
