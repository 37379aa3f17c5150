/* The PDAC graph with work for everybody, and nothing shared. */
#define DAG_BENCH "dag_tree"
#define DAG_SUMMARY "A binary tree of nodes, made once and run again and again: dependencies that spread."
#define DAG_LAST false
#include "dag_shape.h"

static uint32_t before(uint32_t node) { return node == 0 ? NO_NODE : (node - 1) / 2; }

static status_t connect_all(pdac_graph_t *graph, uint32_t nodes) {
    status_t status = STATUS_OK;
    for (uint32_t i = 1; i < nodes && status == STATUS_OK; i++)
        status = pdac_connect(graph, (i - 1) / 2, i);
    return status;
}
