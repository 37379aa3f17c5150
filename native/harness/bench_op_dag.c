#include "arms.h"
#include "op_dag.h"

static const char *const shapes[] = {"chain", "tree", "fanout", NULL};
static const setting_t settings[] = {
    [OP_DAG_SHAPE] = SETTING_ONE_OF("shape", OP_DAG_TREE, shapes, "each before the next; a binary tree; one before all others"),
    [OP_DAG_NODES] = SETTING_INTEGER("nodes", 16384, 2, 1 << 22, "tasks of the graph"),
};

static bench_t bench = ARMS_BENCH("op_dag", "a graph of empty tasks, made once and run again and again: floor, baseline, peers, ours",
                                  "one task of the graph", settings, sizeof settings / sizeof settings[0], NULL);
BENCH_REGISTER(bench)
