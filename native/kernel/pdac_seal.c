// Laying a finished graph out. A cell's place is the turn at which one worker that runs the graph alone would come to it: it goes on
// with a node's first sole successor, and comes back for the others later, last ones first. So a worker reads cells
// from front to back, and a part of the graph that another worker takes lies together, too.
#include "pdac_graph.h"

// Memory that a seal needs: some only while it works.
typedef struct plan {
    pdac_graph_t *graph;
    uint32_t *before;   // by node: how many predecessors
    uint32_t *left;     // by node: how many of them have no place yet
    uint32_t *cell_of;  // by node
    uint32_t *node_at;  // by cell
    uint32_t *stack;
    uint32_t placed, top;
    uint32_t *lists;
    uint32_t lists_count;
} plan_t;

static uint32_t *numbers(uint64_t count) { return shared_alloc((count + 1) * sizeof(uint32_t)); }

static bool plan_create(plan_t *plan, pdac_graph_t *graph) {
    uint32_t nodes = graph->nodes;
    *plan = (plan_t){.graph = graph};
    plan->before = numbers(nodes);
    plan->left = numbers(nodes);
    plan->cell_of = numbers(nodes);
    plan->node_at = numbers(nodes);
    plan->stack = numbers(nodes);
    // at most two numbers and its successors for each node, and the roots
    plan->lists = numbers((uint64_t)nodes * 3 + graph->edges);
    return plan->before != NULL && plan->left != NULL && plan->cell_of != NULL && plan->node_at != NULL &&
           plan->stack != NULL && plan->lists != NULL;
}

static void plan_destroy(plan_t *plan) {
    shared_free(plan->before);
    shared_free(plan->left);
    shared_free(plan->cell_of);
    shared_free(plan->node_at);
    shared_free(plan->stack);
    shared_free(plan->lists);
}

// The successors of a node: soles, or joins. By class, and then in the order of its edges, so that ranges are of one class.
static uint32_t successors(const plan_t *plan, uint32_t node, bool soles, uint32_t *out) {
    const pdac_graph_t *graph = plan->graph;
    uint32_t count = 0;
    for (uint32_t class = 0; class < graph->engine->classes; class++) {
        for (uint32_t e = graph->drafts[node].first_out; e != NO_INDEX; e = graph->drawn[e].next_out) {
            uint32_t after = graph->drawn[e].after;
            if ((plan->before[after] == 1) == soles && graph->drafts[after].class == class) {
                out[count++] = after;
            }
        }
    }
    return count;
}

// Where a node's successors go: behind the lists that are finished. They are written there anew when all have their cells.
static void place(plan_t *plan, uint32_t node) {
    uint32_t *scratch = plan->lists;
    plan->cell_of[node] = plan->placed;
    plan->node_at[plan->placed++] = node;
    uint32_t joins = successors(plan, node, false, scratch);
    for (uint32_t i = 0; i < joins; i++) {
        if (--plan->left[scratch[i]] == 0) {
            plan->stack[plan->top++] = scratch[i];
        }
    }
    for (uint32_t i = successors(plan, node, true, scratch); i > 0; i--) {
        plan->stack[plan->top++] = scratch[i - 1];
    }
}

static void place_all(plan_t *plan) {
    const pdac_graph_t *graph = plan->graph;
    for (uint32_t e = 0; e < graph->edges; e++) {
        plan->before[graph->drawn[e].after]++;
        plan->left[graph->drawn[e].after]++;
    }
    for (uint32_t node = graph->nodes; node > 0; node--) {
        if (plan->before[node - 1] == 0) {
            plan->stack[plan->top++] = node - 1;
        }
    }
    while (plan->top > 0) {
        place(plan, plan->stack[--plan->top]);
    }
}

// Writes the list of a node's successors, and what its cell says of them.
static void write_successors(plan_t *plan, uint32_t node, pdac_cell_t *cell) {
    uint32_t *list = plan->lists + plan->lists_count;
    uint32_t soles = successors(plan, node, true, list + 2);
    uint32_t joins = successors(plan, node, false, list + 2 + soles);
    for (uint32_t i = 0; i < soles + joins; i++) {
        list[2 + i] = plan->cell_of[list[2 + i]];
    }
    if (soles + joins == 0) {
        cell->shape = SHAPE_END;
    } else if (soles + joins == 1 || (soles == 2 && joins == 0)) {
        cell->shape = soles == 2 ? SHAPE_TWO : soles == 1 ? SHAPE_ONE : SHAPE_JOIN;
        cell->a = list[2];
        cell->b = soles == 2 ? list[3] : 0;
    } else {
        list[0] = soles;
        list[1] = joins;
        cell->shape = SHAPE_MANY;
        cell->a = plan->lists_count;
        plan->lists_count += 2 + soles + joins;
    }
}

static void write_cells(plan_t *plan, pdac_cell_t *cells, pdac_join_t *joins) {
    const pdac_graph_t *graph = plan->graph;
    for (uint32_t i = 0; i < graph->nodes; i++) {
        uint32_t node = plan->node_at[i];
        const pdac_draft_t *draft = &graph->drafts[node];
        cells[i] = (pdac_cell_t){
            .node = node, .body = draft->body, .class = draft->class, .traits = draft->traits};
        write_successors(plan, node, &cells[i]);
        if (plan->before[node] > 1) {
            joins[i].all = plan->before[node];
            /* relaxed: the graph is the building thread's until it is started */
            atomic_store_relaxed_u32(&joins[i].left, plan->before[node]);
        }
    }
}

// The nodes without predecessors, class by class.
static void write_roots(plan_t *plan, pdac_graph_t *graph) {
    for (uint32_t class = 0; class < graph->engine->classes; class++) {
        uint32_t first = plan->lists_count;
        for (uint32_t i = 0; i < graph->nodes; i++) {
            uint32_t node = plan->node_at[i];
            if (plan->before[node] == 0 && graph->drafts[node].class == class) {
                plan->lists[plan->lists_count++] = i;
            }
        }
        if (plan->lists_count > first) {
            graph->roots[graph->roots_count++] = ready_range(first, plan->lists_count - first);
        }
    }
}

// What only some graphs have: vectors and guards, by cell.
static bool write_traits(const plan_t *plan, pdac_graph_t *graph) {
    uint8_t traits = 0;
    for (uint32_t i = 0; i < graph->nodes; i++) {
        traits |= graph->drafts[i].traits;
    }
    if (traits & TRAIT_METERED && graph->engine->metered) {
        pdac_vector_t *needs = shared_alloc_aligned((size_t)graph->nodes * sizeof *needs);
        for (uint32_t i = 0; needs != NULL && i < graph->nodes; i++) {
            needs[i] = graph->needs[plan->node_at[i]];
        }
        graph->cell_needs = needs;
    }
    if (traits & TRAIT_GUARDED) {
        uint32_t *guards = numbers(graph->nodes);
        for (uint32_t i = 0; guards != NULL && i < graph->nodes; i++) {
            const pdac_draft_t *draft = &graph->drafts[plan->node_at[i]];
            guards[i] = draft->guards_first << GUARDS_SHIFT | draft->guards_count;
        }
        graph->cell_guards = guards;
        graph->spoilt = shared_alloc((size_t)graph->nodes * sizeof *graph->spoilt);
    }
    graph->plain = graph->cell_needs == NULL && graph->cell_guards == NULL && graph->engine->classes == 1 &&
                   graph->engine->observe == NULL;
    return (!(traits & TRAIT_METERED) || !graph->engine->metered || graph->cell_needs != NULL) &&
           (!(traits & TRAIT_GUARDED) || (graph->cell_guards != NULL && graph->spoilt != NULL));
}

// Copies the lists to memory of their own size.
static bool keep_lists(const plan_t *plan, pdac_graph_t *graph) {
    uint32_t *lists = numbers(plan->lists_count);
    for (uint32_t i = 0; lists != NULL && i < plan->lists_count; i++) {
        lists[i] = plan->lists[i];
    }
    graph->lists = lists;
    return lists != NULL;
}

static bool lay_out(plan_t *plan, pdac_graph_t *graph) {
    place_all(plan);
    pdac_cell_t *cells = shared_alloc_aligned(((size_t)graph->nodes + 1) * sizeof *cells);
    graph->cells = cells;
    graph->joins = shared_alloc_aligned(((size_t)graph->nodes + 1) * sizeof *graph->joins);
    if (cells == NULL || graph->joins == NULL) {
        return false;
    }
    write_cells(plan, cells, graph->joins);
    write_roots(plan, graph);
    uint32_t lanes = graph->engine->lanes_count;
    graph->offers = shared_alloc_aligned(lanes * sizeof *graph->offers);
    for (uint32_t i = 0; graph->offers != NULL && i < lanes; i++) {
        graph->offers[i].look = 1;
    }
    return graph->offers != NULL && keep_lists(plan, graph) && write_traits(plan, graph) &&
           pdac_pool_create(&graph->spare, lanes * 8 + 8, graph) &&
           pdac_pool_create(&graph->spill, graph->nodes / (CHUNK_MOST / 2) + lanes + 1, graph);
}

status_t pdac_seal(pdac_graph_t *graph) {
    if (graph->sealed) {
        return STATUS_INVALID;
    }
    plan_t plan;
    bool made = plan_create(&plan, graph) && lay_out(&plan, graph);
    plan_destroy(&plan);
    if (!made) {
        pdac_unseal(graph);
        return STATUS_NO_MEMORY;
    }
    graph->sealed = true;
    return STATUS_OK;
}

void pdac_unseal(pdac_graph_t *graph) {
    shared_free((void *)graph->cells);
    shared_free(graph->joins);
    shared_free((void *)graph->lists);
    shared_free((void *)graph->cell_needs);
    shared_free((void *)graph->cell_guards);
    shared_free(graph->spoilt);
    shared_free(graph->offers);
    pdac_pool_destroy(&graph->spare);
    pdac_pool_destroy(&graph->spill);
    graph->cells = NULL;
    graph->joins = NULL;
    graph->lists = NULL;
    graph->cell_needs = NULL;
    graph->cell_guards = NULL;
    graph->spoilt = NULL;
    graph->offers = NULL;
    graph->roots_count = 0;
}
