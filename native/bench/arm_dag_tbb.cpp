/* op_dag: TBB's flow graph, a continue_node per node, in an arena of one thread. */
#include <tbb/flow_graph.h>
#include <tbb/task_arena.h>

#include <memory>
#include <vector>

#include "arms.h"
#include "op_dag.h"

namespace {

using Node = tbb::flow::continue_node<tbb::flow::continue_msg>;

struct Dag {
    tbb::task_arena arena{1, 1};
    std::unique_ptr<tbb::flow::graph> graph;
    std::vector<std::unique_ptr<Node>> nodes;
    uint64_t ran = 0;
};

bool one_thread(const run_t *run) { return run->options->threads == 1; }

bool setup(run_t *run, void **shared) {
    auto *dag = new Dag;
    *shared = dag;
    auto count = static_cast<uint32_t>(run_int(run, OP_DAG_NODES));
    dag->arena.execute([&] {
        dag->graph = std::make_unique<tbb::flow::graph>();
        for (uint32_t i = 0; i < count; i++)
            dag->nodes.push_back(std::make_unique<Node>(*dag->graph, [dag](const tbb::flow::continue_msg &) { dag->ran++; }));
        for (uint32_t i = 0; i < count; i++) {
            uint32_t first = 0;
            uint32_t successors = op_dag_successors(run_int(run, OP_DAG_SHAPE), count, i, &first);
            for (uint32_t j = 0; j < successors; j++)
                tbb::flow::make_edge(*dag->nodes[i], *dag->nodes[first + j]);
        }
    });
    return true;
}

uint64_t sample_of(worker_t *, void *shared, void *, const sample_t *) {
    auto *dag = static_cast<Dag *>(shared);
    dag->ran = 0;
    dag->arena.execute([&] {
        dag->nodes[0]->try_put(tbb::flow::continue_msg());
        dag->graph->wait_for_all();
    });
    return dag->ran;
}

void finish(run_t *, void *shared) { delete static_cast<Dag *>(shared); }

arm_t arm;
__attribute__((constructor)) void register_tbb_dag() {
    arm.bench = "op_dag";
    arm.name = "tbb";
    arm.kind = ARM_PEER;
    arm.fixed_ops = 1;
    arm.planned = one_thread;
    arm.setup = setup;
    arm.sample = sample_of;
    arm.finish = finish;
    arm_register(&arm);
}

} // namespace
