/* op_dag: a task per node over the scheduler under locks, and a count of predecessors in each. */
#include <stdatomic.h>
#include <stdlib.h>

#include "arms.h"
#include "baseline_scheduler.h"
#include "op_dag.h"

typedef struct dag dag_t;

typedef struct {
    task_t task;
    dag_t *dag;
    _Atomic uint32_t waits;
    uint32_t first, count;
} node_t;

struct dag {
    baseline_scheduler_t *scheduler;
    scheduler_cpu_t *on;
    node_t *nodes;
    uint32_t count;
};

/* Of a million nodes a sample would take a tenth of a second, and hardly one would be clean. */
static bool is_planned(const run_t *run) { return run->options->threads == 1 && run_int(run, OP_DAG_NODES) <= 1 << 18; }

static task_verdict_t run_node(task_t *task, scheduler_cpu_t *on) {
    node_t *node = task->argument;
    for (uint32_t i = 0; i < node->count; i++) {
        node_t *after = &node->dag->nodes[node->first + i];
        if (atomic_fetch_sub_explicit(&after->waits, 1, memory_order_acq_rel) == 1)
            baseline_scheduler_spawn(on, &after->task);
    }
    return TASK_DONE;
}

static bool setup(run_t *run, void **shared) {
    dag_t *dag = calloc(1, sizeof *dag);
    uint32_t count = (uint32_t)run_int(run, OP_DAG_NODES);
    size_t bytes = (count * sizeof(node_t) + 4095) / 4096 * 4096;
    *shared = dag;
    if (dag)
        dag->nodes = aligned_alloc(4096, bytes);
    if (!dag || !dag->nodes || baseline_scheduler_create(NULL, &dag->scheduler) != STATUS_OK) {
        run_fail(run, "memory exhausted: %u nodes", count);
        return false;
    }
    dag->count = count;
    for (uint32_t i = 0; i < count; i++) {
        node_t *node = &dag->nodes[i];
        task_init(&node->task, run_node, node, TASK_PRIORITY_NORMAL, NULL);
        node->dag = dag;
        node->count = op_dag_successors(run_int(run, OP_DAG_SHAPE), count, i, &node->first);
        atomic_init(&node->waits, 1);
    }
    return true;
}

static bool enter(worker_t *worker, void *shared, void **state) {
    dag_t *dag = shared;
    *state = NULL;
    status_t status = baseline_scheduler_attach(dag->scheduler, 0, &dag->on);
    if (status != STATUS_OK)
        run_fail(worker->run, "baseline: no CPU: %s", status_name(status));
    return status == STATUS_OK;
}

static void prepare(worker_t *worker, void *shared, void *state) {
    (void)worker, (void)state;
    dag_t *dag = shared;
    for (uint32_t i = 0; i < dag->count; i++)
        atomic_store_explicit(&dag->nodes[i].waits, 1, memory_order_relaxed);
}

static uint64_t sample_of(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)state, (void)sample;
    dag_t *dag = shared;
    baseline_scheduler_spawn(dag->on, &dag->nodes[0].task);
    uint64_t ran = 0;
    for (uint64_t more = 1; more > 0; ran += more)
        more = baseline_scheduler_run(dag->on, dag->count);
    return ran;
}

static void leave(worker_t *worker, void *shared, void *state) {
    (void)worker, (void)state;
    baseline_scheduler_detach(((dag_t *)shared)->on);
}

static void finish(run_t *run, void *shared) {
    (void)run;
    dag_t *dag = shared;
    baseline_scheduler_destroy(dag->scheduler);
    free(dag->nodes);
    free(dag);
}

static arm_t arm = {.bench = "op_dag", .name = "baseline", .kind = ARM_BASELINE, .fixed_ops = 1, .planned = is_planned,
                    .setup = setup, .enter = enter, .prepare = prepare, .sample = sample_of, .leave = leave, .finish = finish};
ARM_REGISTER(arm)
