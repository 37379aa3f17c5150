/* op_dag: by hand over a plain stack. A node is a function, its argument, a count and its successors; who makes the last
 * predecessor of a node end goes on with it. One thread, no vectors, guards or classes. */
#include <stdatomic.h>
#include <stdlib.h>

#include "arms.h"
#include "op_dag.h"

typedef struct node {
    void (*run)(struct node *node);
    _Atomic uint32_t waits;
    uint32_t first, count;
} node_t;

typedef struct {
    node_t *nodes;
    uint32_t *stack;
    uint32_t count;
} graph_t;

static void nothing(node_t *node) { KEEP(node); }

static bool one_thread(const run_t *run) { return run->options->threads == 1; }

static bool setup(run_t *run, void **shared) {
    graph_t *made = calloc(1, sizeof *made);
    uint32_t count = (uint32_t)run_int(run, OP_DAG_NODES);
    *shared = made;
    if (made) {
        made->count = count;
        made->nodes = calloc(count, sizeof *made->nodes);
        made->stack = calloc(count, sizeof *made->stack);
    }
    if (!made || !made->nodes || !made->stack) {
        run_fail(run, "memory exhausted: %u nodes", count);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        node_t *node = &made->nodes[i];
        node->run = nothing;
        node->count = op_dag_successors(run_int(run, OP_DAG_SHAPE), count, i, &node->first);
    }
    return true;
}

static void prepare(worker_t *worker, void *shared, void *state) {
    (void)worker, (void)state;
    graph_t *graph = shared;
    for (uint32_t i = 1; i < graph->count; i++)
        atomic_store_explicit(&graph->nodes[i].waits, 1, memory_order_relaxed);
}

static uint64_t sample_of(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)state, (void)sample;
    graph_t *graph = shared;
    uint32_t depth = 1;
    uint64_t ran = 0;
    graph->stack[0] = 0;
    while (depth > 0) {
        node_t *node = &graph->nodes[graph->stack[--depth]];
        for (node_t *next = node; next; ran++) {
            node = next;
            next = NULL;
            node->run(node);
            for (uint32_t i = 0; i < node->count; i++) {
                node_t *after = &graph->nodes[node->first + i];
                if (atomic_fetch_sub_explicit(&after->waits, 1, memory_order_acq_rel) != 1)
                    continue;
                if (next)
                    graph->stack[depth++] = node->first + i;
                else
                    next = after;
            }
        }
    }
    return ran;
}

static void finish(run_t *run, void *shared) {
    (void)run;
    graph_t *graph = shared;
    free(graph->nodes);
    free(graph->stack);
    free(graph);
}

static arm_t arm = {.bench = "op_dag", .name = "floor", .kind = ARM_FLOOR, .fixed_ops = 1, .planned = one_thread,
                    .setup = setup, .prepare = prepare, .sample = sample_of, .finish = finish};
ARM_REGISTER(arm)
