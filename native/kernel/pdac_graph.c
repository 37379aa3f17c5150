// Building a graph: nodes and edges. pdac_order.c refuses cycles, pdac_seal.c lays the finished graph out.
#include "pdac_graph.h"

#include <string.h>

// --- arrays that grow ---------------------------------------------------------------------------------------------

bool pdac_grow(void **array, uint32_t *room, uint32_t need, size_t size) {
    if (need <= *room) {
        return true;
    }
    uint64_t doubled = (uint64_t)*room * 2;
    uint64_t wanted = doubled > need ? doubled : need;
    if (wanted > NO_INDEX) {
        wanted = NO_INDEX;
    }
    void *grown = shared_alloc_aligned(wanted * size); // vectors are aligned
    if (grown == NULL) {
        return false;
    }
    if (*array != NULL) {
        memcpy(grown, *array, *room * size);
        shared_free(*array);
    }
    *array = grown;
    *room = (uint32_t)wanted;
    return true;
}

static bool grow_nodes(pdac_graph_t *graph, uint32_t need) {
    void *drafts = graph->drafts;
    bool grown = pdac_grow(&drafts, &graph->nodes_room, need, sizeof *graph->drafts);
    graph->drafts = drafts;
    return grown;
}

static bool grow_edges(pdac_graph_t *graph, uint64_t need) {
    void *drawn = graph->drawn;
    bool grown = need < NO_INDEX && pdac_grow(&drawn, &graph->edges_room, (uint32_t)need, sizeof *graph->drawn);
    graph->drawn = drawn;
    return grown;
}

static bool grow_guards(pdac_graph_t *graph, uint64_t need) {
    void *guards = graph->guards;
    bool grown = need < NO_INDEX >> GUARDS_SHIFT && pdac_grow(&guards, &graph->guards_room, (uint32_t)need, sizeof *graph->guards);
    graph->guards = guards;
    return grown;
}

// Vectors are there from the first node that has one; then all before it have none.
static bool grow_needs(pdac_graph_t *graph, uint32_t need) {
    void *needs = graph->needs;
    uint32_t wanted = need > graph->nodes_room ? need : graph->nodes_room;
    bool grown = pdac_grow(&needs, &graph->needs_room, wanted, sizeof *graph->needs);
    graph->needs = needs;
    return grown;
}

// --- life ---------------------------------------------------------------------------------------------------------

status_t pdac_graph_create(pdac_t *engine, uint32_t nodes, uint32_t edges, pdac_graph_t **graph) {
    pdac_graph_t *made = shared_alloc_aligned(sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->engine = engine;
    if (!grow_nodes(made, nodes > PDAC_NODES_MAX ? PDAC_NODES_MAX : nodes) || !grow_edges(made, edges)) {
        pdac_graph_destroy(made);
        return STATUS_NO_MEMORY;
    }
    *graph = made;
    return STATUS_OK;
}

void pdac_graph_destroy(pdac_graph_t *graph) {
    pdac_unseal(graph);
    shared_free(graph->drafts);
    shared_free(graph->drawn);
    shared_free(graph->needs);
    shared_free(graph->guards);
    shared_free(graph->marks);
    shared_free(graph);
}

uint32_t pdac_nodes(const pdac_graph_t *graph) { return graph->nodes; }

// --- nodes --------------------------------------------------------------------------------------------------------

// The number of this pair of body and context; PDAC_BODIES_MAX where there is no room.
static uint32_t find_body(pdac_graph_t *graph, const pdac_task_t *task) {
    for (uint32_t i = graph->bodies_count; i > 0; i--) { // the last one is the likeliest
        const pdac_body_t *body = &graph->bodies[i - 1];
        if (body->run == task->body && body->context == task->context) {
            return i - 1;
        }
    }
    if (graph->bodies_count == PDAC_BODIES_MAX) {
        return PDAC_BODIES_MAX;
    }
    graph->bodies[graph->bodies_count] = (pdac_body_t){.run = task->body, .context = task->context};
    return graph->bodies_count++;
}

static bool needs_nothing(const pdac_vector_t *needs) {
    static const pdac_vector_t nothing;
    return needs == NULL || pdac_vector_fits(needs, &nothing);
}

static status_t judge(const pdac_graph_t *graph, const pdac_task_t *task, uint32_t count) {
    const pdac_t *engine = graph->engine;
    if (graph->sealed || task->body == NULL || task->class >= engine->classes || task->guards_count > GUARDED_MAX ||
        (task->guards_count > 0 && (engine->gate.check == NULL || task->guards == NULL))) {
        return STATUS_INVALID;
    }
    if (!needs_nothing(task->needs) && engine->metered && !pdac_vector_fits(task->needs, &engine->system)) {
        return STATUS_EXCESS;
    }
    return count > PDAC_NODES_MAX - graph->nodes ? STATUS_FULL : STATUS_OK;
}

// Everything that a draft needs beside itself, so that nothing fails after it.
static bool make_room(pdac_graph_t *graph, const pdac_task_t *task, uint32_t count) {
    bool metered = !needs_nothing(task->needs);
    uint64_t guards = (uint64_t)graph->guards_count + task->guards_count;
    return grow_nodes(graph, graph->nodes + count) && (task->guards_count == 0 || grow_guards(graph, guards)) &&
           ((!metered && graph->needs == NULL) || grow_needs(graph, graph->nodes + count));
}

status_t pdac_add_many(pdac_graph_t *graph, const pdac_task_t *task, uint32_t count, pdac_node_t *first) {
    status_t status = judge(graph, task, count);
    if (status != STATUS_OK) {
        return status;
    }
    if (!make_room(graph, task, count)) {
        return STATUS_NO_MEMORY;
    }
    uint32_t body = find_body(graph, task);
    if (body == PDAC_BODIES_MAX) {
        return STATUS_FULL;
    }
    bool metered = !needs_nothing(task->needs);
    pdac_draft_t draft = {.first_out = NO_INDEX,
                          .last_out = NO_INDEX,
                          .first_in = NO_INDEX,
                          .guards_first = graph->guards_count,
                          .guards_count = (uint8_t)task->guards_count,
                          .body = (uint8_t)body,
                          .class = (uint8_t)task->class};
    draft.traits = (uint8_t)((task->guards_count > 0 ? TRAIT_GUARDED : 0) | (metered ? TRAIT_METERED : 0));
    for (uint32_t i = 0; i < task->guards_count; i++) {
        graph->guards[graph->guards_count++] = task->guards[i];
    }
    *first = graph->nodes;
    for (uint32_t i = 0; i < count; i++) {
        draft.order = graph->nodes;
        if (graph->needs != NULL) {
            graph->needs[graph->nodes] = metered ? *task->needs : (pdac_vector_t){{0}};
        }
        graph->drafts[graph->nodes++] = draft;
    }
    return STATUS_OK;
}

status_t pdac_add(pdac_graph_t *graph, const pdac_task_t *task, pdac_node_t *node) {
    return pdac_add_many(graph, task, 1, node);
}

// --- edges --------------------------------------------------------------------------------------------------------

status_t pdac_connect(pdac_graph_t *graph, pdac_node_t before, pdac_node_t after) {
    if (graph->sealed || before >= graph->nodes || after >= graph->nodes) {
        return STATUS_INVALID;
    }
    if (before == after) {
        return STATUS_CYCLE;
    }
    if (!grow_edges(graph, (uint64_t)graph->edges + 1)) {
        return STATUS_NO_MEMORY;
    }
    status_t status = pdac_put_in_order(graph, before, after);
    if (status != STATUS_OK) {
        return status;
    }
    pdac_draft_t *from = &graph->drafts[before];
    pdac_draft_t *to = &graph->drafts[after];
    uint32_t edge = graph->edges++;
    graph->drawn[edge] =
        (pdac_edge_t){.before = before, .after = after, .next_out = NO_INDEX, .next_in = to->first_in};
    if (from->last_out == NO_INDEX) {
        from->first_out = edge;
    } else {
        graph->drawn[from->last_out].next_out = edge; // so that successors stay in the order of the calls
    }
    from->last_out = edge;
    to->first_in = edge;
    return STATUS_OK;
}

status_t pdac_connect_many(pdac_graph_t *graph, const pdac_node_t (*edges)[2], size_t count, size_t *done) {
    status_t status = STATUS_OK;
    size_t i = 0;
    while (i < count && status == STATUS_OK) {
        status = pdac_connect(graph, edges[i][0], edges[i][1]);
        i += status == STATUS_OK;
    }
    if (done != NULL) {
        *done = i;
    }
    return status;
}
