// Between the parts that build a graph.
#pragma once

#include "pdac_layout.h"

// Makes room for `need` elements of `size` bytes; what is new is zero. False without memory; then nothing has changed.
bool pdac_grow(void **array, uint32_t *room, uint32_t need, size_t size);
// Changes the order so that `after` is behind `before`. OK, CYCLE or NO_MEMORY; the last two change nothing.
status_t pdac_put_in_order(pdac_graph_t *graph, pdac_node_t before, pdac_node_t after);
// The numbers of all nodes in the order that edges follow. NULL without memory.
uint32_t *pdac_in_order(const pdac_graph_t *graph);
// Frees what pdac_seal made.
void pdac_unseal(pdac_graph_t *graph);
