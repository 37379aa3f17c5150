/* What the arms of op_dag have in common: settings, and the shapes. */
#ifndef ORCH_OP_DAG_H
#define ORCH_OP_DAG_H

#include <stdint.h>

enum { OP_DAG_SHAPE, OP_DAG_NODES }; /* settings */
enum { OP_DAG_CHAIN, OP_DAG_TREE, OP_DAG_FANOUT };

/* The successors of a node: how many, the first; the others follow it. */
static inline uint32_t op_dag_successors(int64_t shape, uint32_t nodes, uint32_t node, uint32_t *first) {
    uint32_t wanted = shape == OP_DAG_TREE ? 2 : shape == OP_DAG_CHAIN || node == 0 ? 1 : 0;
    if (shape == OP_DAG_FANOUT && node == 0)
        wanted = nodes - 1;
    *first = shape == OP_DAG_TREE ? 2 * node + 1 : node + 1;
    if (*first >= nodes)
        return 0;
    return *first + wanted <= nodes ? wanted : nodes - *first;
}

#endif
