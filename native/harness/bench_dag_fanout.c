/* The PDAC graph where one node is before all others, and one after all: a counter that every node counts down. */
#define DAG_BENCH "dag_fanout"
#define DAG_SUMMARY "One node before all, one after all, made once and run again and again: a join of the whole width."
#define DAG_LAST true
#include "dag_shape.h"

static uint32_t before(uint32_t node) { return node == 0 ? NO_NODE : 0; }

static status_t connect_all(pdac_graph_t *graph, uint32_t nodes) {
    status_t status = STATUS_OK;
    for (uint32_t i = 1; i < nodes - 1 && status == STATUS_OK; i++) {
        status = pdac_connect(graph, 0, i);
        if (status == STATUS_OK)
            status = pdac_connect(graph, i, nodes - 1);
    }
    return status;
}
