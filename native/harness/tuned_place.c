/* The knob of placement: where the table of the bench tuned_mix lies, from latencies between nodes as they were learned here. */
#include <stdlib.h>

#include "tuned_world.h"

enum { PROBE_BYTES = 1 << 22, PROBE_MS = 2 };

/* How many workers use the table from each node; those that are not pinned may be anywhere. */
static void count_uses(const run_t *run, const numa_topology_t *topology, unsigned nodes, uint64_t *uses) {
    const options_t *options = run->options;
    for (int i = 0; i < options->cpus_count; i++)
        uses[numa_node_of_cpu(topology, (unsigned)options->cpus[i])]++;
    for (unsigned n = 0; n < nodes && options->cpus_count == 0; n++)
        uses[n] = 1;
}

static bool learn(const numa_topology_t *topology, unsigned nodes, uint64_t *latencies) {
    numa_distances_t *distances = NULL;
    if (numa_distances_create(topology, &distances) != STATUS_OK)
        return false;
    (void)numa_distances_measure(distances, PROBE_BYTES, PROBE_MS); /* where it cannot, the firmware's figures stay */
    for (unsigned c = 0; c < nodes; c++) {
        for (unsigned m = 0; m < nodes; m++)
            latencies[c * nodes + m] = numa_distance(distances, c, m);
    }
    numa_distances_free(distances);
    return true;
}

numa_placement_t tuned_place(const run_t *run, tuning_decision_t *decision) {
    const numa_topology_t *topology = numa_system();
    unsigned nodes = numa_nodes(topology);
    numa_placement_t present = {.policy = NUMA_FIRST_TOUCH};
    uint64_t *latencies = nodes <= TUNING_NODES ? calloc((size_t)nodes * nodes, sizeof *latencies) : NULL;
    uint64_t uses[TUNING_NODES] = {0};
    *decision = (tuning_decision_t){.action = TUNING_STAY, .reason = TUNING_START, .knob = TUNING_NODE};
    if (latencies && (nodes == 1 || learn(topology, nodes, latencies))) {
        unsigned toucher = run->options->cpus_count == 0 ? 0 : numa_node_of_cpu(topology, (unsigned)run->options->cpus[0]);
        count_uses(run, topology, nodes, uses);
        present = tuning_place(latencies, nodes, uses, toucher, present, tuning_rules_standard.gain, decision);
    }
    free(latencies);
    return present;
}
