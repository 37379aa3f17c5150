// Vectors composed along paths: one pass in the order of the edges, so each edge is looked at once.
#include "pdac_graph.h"

static pdac_vector_t composed(pdac_composition_t how, const pdac_vector_t *path, const pdac_vector_t *own) {
    return how == PDAC_SUM ? pdac_vector_sum(path, own) : pdac_vector_max(path, own);
}

// `each` is zero at first, then holds for each node the greatest of the paths to it.
static void pass(const pdac_graph_t *graph, pdac_composition_t how, const uint32_t *order, pdac_vector_t *each,
                 pdac_vector_t *whole) {
    static const pdac_vector_t nothing;
    for (uint32_t i = 0; i < graph->nodes; i++) {
        uint32_t node = order[i];
        const pdac_vector_t *own = graph->needs != NULL ? &graph->needs[node] : &nothing;
        each[node] = composed(how, &each[node], own);
        *whole = pdac_vector_max(whole, &each[node]);
        for (uint32_t e = graph->drafts[node].first_out; e != NO_INDEX; e = graph->drawn[e].next_out) {
            pdac_vector_t *next = &each[graph->drawn[e].after];
            *next = pdac_vector_max(next, &each[node]);
        }
    }
}

status_t pdac_compose(const pdac_graph_t *graph, pdac_composition_t how, pdac_vector_t *each, pdac_vector_t *whole) {
    pdac_vector_t most = {{0}};
    uint32_t *order = pdac_in_order(graph);
    pdac_vector_t *own = shared_alloc_aligned(((size_t)graph->nodes + 1) * sizeof *own);
    if (order == NULL || own == NULL) {
        shared_free(order);
        shared_free(own);
        return STATUS_NO_MEMORY;
    }
    pass(graph, how, order, own, &most);
    for (uint32_t i = 0; each != NULL && i < graph->nodes; i++) {
        each[i] = own[i];
    }
    if (whole != NULL) {
        *whole = most;
    }
    shared_free(order);
    shared_free(own);
    return STATUS_OK;
}
