// Where memory should lie, given who uses it and what each way takes. Pure.
#include "tuning.h"

typedef struct demand {
    const uint64_t *latencies;
    const uint64_t *uses;
    unsigned nodes;
    double total;
} demand_t;

// Mean latency of a use, where the memory lies on node `memory`.
static double cost_on(const demand_t *demand, unsigned memory) {
    double sum = 0;
    for (unsigned n = 0; n < demand->nodes; n++) {
        sum += (double)demand->uses[n] * (double)demand->latencies[n * demand->nodes + memory];
    }
    return sum / demand->total;
}

static double cost_spread(const demand_t *demand) {
    double sum = 0;
    for (unsigned m = 0; m < demand->nodes; m++) {
        sum += cost_on(demand, m);
    }
    return sum / demand->nodes;
}

static double cost_of(const demand_t *demand, numa_placement_t placement, unsigned toucher) {
    if (placement.policy == NUMA_INTERLEAVE) {
        return cost_spread(demand);
    }
    return cost_on(demand, placement.policy == NUMA_BIND ? placement.node : toucher);
}

// The best single node, or all of them where none is better: they share the traffic then.
static numa_placement_t best_of(const demand_t *demand, unsigned toucher, double gain) {
    unsigned best = toucher; // of equals, the one that needs no call
    for (unsigned m = 0; m < demand->nodes; m++) {
        best = cost_on(demand, m) < cost_on(demand, best) ? m : best;
    }
    if (cost_on(demand, best) > cost_spread(demand) * (1 - gain)) {
        return (numa_placement_t){.policy = NUMA_INTERLEAVE};
    }
    if (best == toucher) {
        return (numa_placement_t){.policy = NUMA_FIRST_TOUCH};
    }
    return (numa_placement_t){.policy = NUMA_BIND, .node = best};
}

static bool is_usable(const demand_t *demand, numa_placement_t present, unsigned toucher) {
    return demand->nodes > 1 && demand->nodes <= TUNING_NODES && toucher < demand->nodes && demand->total > 0 &&
           (present.policy != NUMA_BIND || present.node < demand->nodes);
}

numa_placement_t tuning_place(const uint64_t *latencies, unsigned nodes, const uint64_t *uses, unsigned toucher,
                              numa_placement_t present, double gain, tuning_decision_t *decision) {
    demand_t demand = {.latencies = latencies, .uses = uses, .nodes = nodes};
    for (unsigned n = 0; n < nodes && n < TUNING_NODES; n++) {
        demand.total += (double)uses[n];
    }
    numa_placement_t chosen = {.policy = NUMA_FIRST_TOUCH};
    double before = 0;
    double after = 0;
    if (is_usable(&demand, present, toucher)) {
        chosen = best_of(&demand, toucher, gain);
        before = cost_of(&demand, present, toucher);
        after = cost_of(&demand, chosen, toucher);
        // Evenly used memory is spread for the sake of the controllers, which latencies without load do not show.
        bool even = chosen.policy == NUMA_INTERLEAVE && after <= before * (1 + gain);
        if (!even && after > before * (1 - gain)) {
            chosen = present;
            after = before;
        }
    }
    if (decision) {
        bool same = chosen.policy == present.policy && (chosen.policy != NUMA_BIND || chosen.node == present.node);
        *decision = (tuning_decision_t){
            .action = same ? TUNING_STAY : TUNING_MOVE,
            .reason = TUNING_MEASURED,
            .knob = TUNING_NODE,
            .from = present.policy,
            .to = chosen.policy,
            .cost_from = before,
            .cost_to = after,
            .signature = chosen.policy == NUMA_BIND ? chosen.node : 0,
            .samples = demand.total > UINT32_MAX ? UINT32_MAX : (uint32_t)demand.total,
        };
    }
    return chosen;
}
