// An order that every edge follows, kept up edge by edge; so a cycle shows when its last edge is added.
//
// Every node has a place. An edge to a later place needs nothing. An edge from `before` to a place that is not later: what comes after
// `after`, up to the place of `before`, and what comes before `before`, down to the place of `after`, have to change places; nothing else
// can be affected, as all edges so far lead to later places. If the search from `after` meets `before`, the edge would close a
// cycle. Else the places that the two sets hold are dealt out again: first to the second set, then to the first, each in its
// own order. (The algorithm of Pearce and Kelly.)
#include "pdac_graph.h"

#include <stdlib.h>
#include <string.h>

// Nodes as (place << 32 | number), so that sorting words sorts places.
typedef struct region {
    uint64_t *nodes;
    uint32_t count, room;
} region_t;

static bool is_marked(const pdac_graph_t *graph, uint32_t node) { return (graph->marks[node / 64] >> node % 64 & 1) != 0; }

static bool add(pdac_graph_t *graph, region_t *region, uint32_t node) {
    void *nodes = region->nodes;
    bool room = pdac_grow(&nodes, &region->room, region->count + 1, sizeof *region->nodes);
    region->nodes = nodes;
    if (room) {
        graph->marks[node / 64] |= (uint64_t)1 << node % 64;
        region->nodes[region->count++] = (uint64_t)graph->drafts[node].order << 32 | node;
    }
    return room;
}

// All that comes after the region's one node, up to the place of `before`. CYCLE where that is among it.
static status_t search_after(pdac_graph_t *graph, region_t *region, pdac_node_t before) {
    uint32_t bound = graph->drafts[before].order;
    for (uint32_t i = 0; i < region->count; i++) {
        uint32_t node = (uint32_t)region->nodes[i];
        for (uint32_t e = graph->drafts[node].first_out; e != NO_INDEX; e = graph->drawn[e].next_out) {
            uint32_t next = graph->drawn[e].after;
            if (next == before) {
                return STATUS_CYCLE;
            }
            if (graph->drafts[next].order < bound && !is_marked(graph, next) && !add(graph, region, next)) {
                return STATUS_NO_MEMORY;
            }
        }
    }
    return STATUS_OK;
}

static status_t search_before(pdac_graph_t *graph, region_t *region, pdac_node_t after) {
    uint32_t bound = graph->drafts[after].order;
    for (uint32_t i = 0; i < region->count; i++) {
        uint32_t node = (uint32_t)region->nodes[i];
        for (uint32_t e = graph->drafts[node].first_in; e != NO_INDEX; e = graph->drawn[e].next_in) {
            uint32_t next = graph->drawn[e].before;
            if (graph->drafts[next].order > bound && !is_marked(graph, next) && !add(graph, region, next)) {
                return STATUS_NO_MEMORY;
            }
        }
    }
    return STATUS_OK;
}

static int by_place(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

// `places` has room for both regions.
static void deal_places(pdac_graph_t *graph, region_t *first, region_t *second, uint64_t *places) {
    uint32_t count = 0;
    qsort(first->nodes, first->count, sizeof *first->nodes, by_place);
    qsort(second->nodes, second->count, sizeof *second->nodes, by_place);
    for (uint32_t i = 0; i < first->count; i++) {
        places[count++] = first->nodes[i] >> 32;
    }
    for (uint32_t i = 0; i < second->count; i++) {
        places[count++] = second->nodes[i] >> 32;
    }
    qsort(places, count, sizeof *places, by_place);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t node = i < first->count ? first->nodes[i] : second->nodes[i - first->count];
        graph->drafts[(uint32_t)node].order = (uint32_t)places[i];
    }
}

static void unmark(pdac_graph_t *graph, region_t *region) {
    for (uint32_t i = 0; i < region->count; i++) {
        graph->marks[(uint32_t)region->nodes[i] / 64] = 0;
    }
    shared_free(region->nodes);
}

static bool make_marks(pdac_graph_t *graph) {
    void *marks = graph->marks;
    bool made = pdac_grow(&marks, &graph->marks_room, graph->nodes_room / 64 + 1, sizeof *graph->marks);
    graph->marks = marks;
    return made;
}

status_t pdac_put_in_order(pdac_graph_t *graph, pdac_node_t before, pdac_node_t after) {
    if (graph->drafts[before].order < graph->drafts[after].order) {
        return STATUS_OK;
    }
    region_t later = {0};
    region_t earlier = {0};
    status_t status = STATUS_NO_MEMORY;
    if (make_marks(graph) && add(graph, &later, after)) {
        status = search_after(graph, &later, before);
    }
    if (status == STATUS_OK) {
        status = add(graph, &earlier, before) ? search_before(graph, &earlier, after) : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        uint64_t *places = shared_alloc(((uint64_t)later.count + earlier.count) * sizeof *places);
        if (places == NULL) {
            status = STATUS_NO_MEMORY;
        } else {
            deal_places(graph, &earlier, &later, places);
        }
        shared_free(places);
    }
    if (graph->marks != NULL) {
        unmark(graph, &later);
        unmark(graph, &earlier);
    }
    return status;
}

uint32_t *pdac_in_order(const pdac_graph_t *graph) {
    uint32_t *nodes = shared_alloc(((size_t)graph->nodes + 1) * sizeof *nodes);
    if (nodes != NULL) {
        for (uint32_t i = 0; i < graph->nodes; i++) {
            nodes[graph->drafts[i].order] = i;
        }
    }
    return nodes;
}
