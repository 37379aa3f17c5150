/* The PDAC graph with no room for a second worker. */
#define DAG_BENCH "dag_chain"
#define DAG_SUMMARY "A chain of nodes, made once and run again and again: the cost of one dependency."
#define DAG_LAST false
#include "dag_shape.h"

static uint32_t before(uint32_t node) { return node - 1; } /* NO_NODE of the first */

static status_t connect_all(pdac_graph_t *graph, uint32_t nodes) {
    status_t status = STATUS_OK;
    for (uint32_t i = 1; i < nodes && status == STATUS_OK; i++)
        status = pdac_connect(graph, i - 1, i);
    return status;
}
