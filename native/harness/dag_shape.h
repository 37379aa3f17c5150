/* A graph of one shape, of bodies that hold order against a mark per node. Included by bench_dag_*.c, which say:
 *
 *   DAG_BENCH    name, a string      DAG_SUMMARY  one sentence
 *   connect_all  the edges           before       the node before one that has a single one; NO_NODE
 *   DAG_LAST     whether the last node comes after all others
 */
#include "dag.h"

#include <string.h>

#define NO_NODE UINT32_MAX

enum { NODES, VERIFY };
enum { VERIFY_NONE, VERIFY_ONCE, VERIFY_ORDER };
static const char *const verifications[] = {"none", "once", "order", NULL};

static const setting_t settings[] = {
    [NODES] = SETTING_INTEGER("nodes", 1 << 20, 4, 1 << 26, "nodes of the graph"),
    [VERIFY] = SETTING_ONE_OF("verify", VERIFY_ORDER, verifications,
                              "P1: what each node looks at: nothing; its mark, once per run; and the mark of the one before"),
};

typedef struct {
    dag_t dag;
    _Atomic(uint8_t) *marks; /* by node: the run in which it ran last, modulo 256 */
    uint64_t runs;
} shape_t;

static status_t connect_all(pdac_graph_t *graph, uint32_t nodes);
static uint32_t before(uint32_t node);

static void tell(shape_t *shape, uint32_t worker, pdac_node_t node, const char *what) {
    run_violation(shape->dag.workers[worker], "P1", "node %u of run %u %s", node,
                  atomic_load_explicit(&shape->dag.run, memory_order_relaxed), what);
}

static void body_none(void *context, pdac_node_t node, uint32_t worker) { (void)context, (void)node, (void)worker; }

static void body_once(void *context, pdac_node_t node, uint32_t worker) {
    shape_t *shape = context;
    uint8_t run = (uint8_t)atomic_load_explicit(&shape->dag.run, memory_order_relaxed);
    uint8_t last = atomic_load_explicit(&shape->marks[node], memory_order_relaxed);
    if (last != (uint8_t)(run - 1))
        tell(shape, worker, node, last == run ? "ran twice" : "did not run in the run before");
    atomic_store_explicit(&shape->marks[node], run, memory_order_relaxed);
}

static void body_order(void *context, pdac_node_t node, uint32_t worker) {
    shape_t *shape = context;
    uint8_t run = (uint8_t)atomic_load_explicit(&shape->dag.run, memory_order_relaxed);
    uint32_t from = before(node);
    if (from != NO_NODE && atomic_load_explicit(&shape->marks[from], memory_order_relaxed) != run)
        tell(shape, worker, node, "ran before the one before it");
    if (DAG_LAST && node == shape->dag.nodes - 1)
        for (uint32_t i = 0; i < node; i++)
            if (atomic_load_explicit(&shape->marks[i], memory_order_relaxed) != run)
                tell(shape, worker, i, "had not run when the last one began");
    body_once(context, node, worker);
}

static void judge(dag_t *dag, worker_t *worker) {
    shape_t *shape = (shape_t *)dag;
    pdac_outcome_t outcome = pdac_outcome(dag->graph);
    shape->runs++;
    if (outcome.ran != dag->nodes)
        run_violation(worker, "P1", "%llu of %u nodes ran", (unsigned long long)outcome.ran, dag->nodes);
}

static bool setup(run_t *run) {
    static pdac_fn_t *const bodies[] = {body_none, body_once, body_order};
    shape_t *shape = calloc(1, sizeof *shape);
    uint32_t nodes = (uint32_t)run_int(run, NODES);
    run->shared = shape;
    if (shape)
        shape->marks = calloc(nodes, sizeof *shape->marks);
    if (!shape || !shape->marks) {
        run_fail(run, "memory exhausted: %u nodes", nodes);
        return false;
    }
    dag_t *dag = &shape->dag;
    pdac_config_t config = {.seed = run->options->seed};
    pdac_task_t task = {.body = bodies[run_int(run, VERIFY)], .context = shape};
    pdac_node_t first = 0;
    dag->judge = judge;
    return dag_create(run, dag, &config) &&
           dag_good(run, pdac_graph_create(dag->engine, nodes, DAG_LAST ? 2 * nodes : nodes, &dag->graph), "the graph") &&
           dag_good(run, pdac_add_many(dag->graph, &task, nodes, &first), "the nodes") &&
           dag_good(run, connect_all(dag->graph, nodes), "the edges") && dag_begin(run, dag);
}

static bool enter(worker_t *worker) { return dag_enter(worker, worker->run->shared); }

static uint64_t batch(worker_t *worker) {
    dag_t *dag = worker->run->shared;
    dag_start_once(worker, dag);
    return dag_batch(worker, dag);
}

static void leave(worker_t *worker) { dag_leave(worker, worker->run->shared); }

static void finish(worker_t *worker) {
    shape_t *shape = worker->run->shared;
    uint32_t run = atomic_load(&shape->dag.run);
    uint64_t missing = 0;
    for (uint32_t i = 0; run_int(worker->run, VERIFY) != VERIFY_NONE && i < shape->dag.nodes; i++)
        missing += atomic_load_explicit(&shape->marks[i], memory_order_relaxed) != (uint8_t)run;
    if (missing > 0)
        run_violation(worker, "P1", "%llu nodes did not run in run %u", (unsigned long long)missing, run);
    run_counter(worker->run, "runs", (double)shape->runs, "1");
    dag_destroy(&shape->dag);
    free(shape->marks);
    free(shape);
}

static bench_t bench = {
    .name = DAG_BENCH,
    .summary = DAG_SUMMARY,
    .unit_of_work = "one node: dispatch, body, and making its successors ready",
    .contracts = "P1,P5",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = account_threads_fit,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
