// How far apart nodes are, as the firmware says and as was learned, and who is near whom.
//
// A cell of the table is one word, so a reader sees it whole. Two observations of one pair at one moment: both read, both write, one
// is lost; the next makes up for it. Nothing is decided by two cells together that must fit each other.
#include "numa_layout.h"

#include <stdlib.h>

#define FIRMWARE_PICOSECONDS 10000u // firmware's 10, a node to itself, stands for 100 ns
#define WEIGHT 8                    // a later observation moves the figure by one part of it

status_t numa_distances_create(const numa_topology_t *topology, numa_distances_t **out) {
    size_t nodes = topology->nodes;
    numa_distances_t *made = shared_alloc(sizeof *made + nodes * nodes * sizeof made->cells[0]);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->topology = topology;
    for (size_t i = 0; i < nodes * nodes; i++) {
        /* relaxed: who gets the table gets it from the caller */
        atomic_store_relaxed_u64(&made->cells[i], (uint64_t)topology->distance[i] * FIRMWARE_PICOSECONDS << 1);
    }
    *out = made;
    return STATUS_OK;
}

void numa_distances_free(numa_distances_t *distances) { shared_free(distances); }

static size_t cell_of(const numa_distances_t *distances, unsigned from, unsigned to) {
    return (size_t)from * distances->topology->nodes + to;
}

uint64_t numa_distance(const numa_distances_t *distances, unsigned from, unsigned to) {
    /* relaxed: a figure on its own */
    return atomic_load_relaxed_u64(&distances->cells[cell_of(distances, from, to)]) >> 1;
}

bool numa_distance_learned(const numa_distances_t *distances, unsigned from, unsigned to) {
    /* relaxed: a figure on its own */
    return (atomic_load_relaxed_u64(&distances->cells[cell_of(distances, from, to)]) & 1) != 0;
}

void numa_distances_learn(numa_distances_t *distances, unsigned from, unsigned to, uint64_t picoseconds) {
    atomic_u64_t *cell = &distances->cells[cell_of(distances, from, to)];
    /* relaxed: a figure on its own; see the top */
    uint64_t before = atomic_load_relaxed_u64(cell);
    uint64_t seen = picoseconds <= UINT64_MAX >> 8 ? picoseconds : UINT64_MAX >> 8;
    uint64_t figure = seen;
    if ((before & 1) != 0) {
        figure = (before >> 1) - (before >> 1) / WEIGHT + seen / WEIGHT;
    }
    /* relaxed: a figure on its own; see the top */
    atomic_store_relaxed_u64(cell, figure << 1 | 1);
}

// --- nearness ---------------------------------------------------------------------------------------------------------

static uint64_t distance_between(const numa_topology_t *topology, const numa_distances_t *distances, unsigned from,
                                 unsigned to) {
    return distances != NULL ? numa_distance(distances, from, to)
                             : (uint64_t)numa_firmware_distance(topology, from, to) * FIRMWARE_PICOSECONDS;
}

void numa_rank_nodes(const numa_topology_t *topology, const numa_distances_t *distances, unsigned from, uint16_t *ranks) {
    uint64_t figures[NUMA_MAX_NODES]; // read once: they may change meanwhile
    for (unsigned node = 0; node < topology->nodes; node++) {
        figures[node] = distance_between(topology, distances, from, node);
        ranks[node] = UINT16_MAX;
    }
    uint16_t rank = 0;
    for (unsigned ranked = 0; ranked < topology->nodes; rank++) {
        uint64_t least = UINT64_MAX;
        for (unsigned node = 0; node < topology->nodes; node++) {
            least = ranks[node] == UINT16_MAX && figures[node] < least ? figures[node] : least;
        }
        for (unsigned node = 0; node < topology->nodes; node++) {
            if (ranks[node] == UINT16_MAX && figures[node] <= least + least / 10) {
                ranks[node] = rank;
                ranked++;
            }
        }
    }
}

typedef struct order {
    const numa_topology_t *topology;
    const uint16_t *ranks;
    unsigned self;
} order_t;

static uint64_t key_of(const order_t *order, unsigned cpu) {
    uint64_t rank = order->ranks[numa_node_of_cpu(order->topology, cpu)] + 1u;
    return cpu == order->self ? 0 : rank << 32 | (cpu - order->self) % NUMA_MAX_CPUS;
}

// Heap sort: in place, and never slower than n log n.
static void sift(const order_t *order, unsigned *cpus, size_t at, size_t count) {
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && key_of(order, cpus[child]) < key_of(order, cpus[child + 1])) {
            child++;
        }
        if (key_of(order, cpus[child]) <= key_of(order, cpus[at])) {
            return;
        }
        unsigned moved = cpus[at];
        cpus[at] = cpus[child];
        cpus[child] = moved;
        at = child;
    }
}

void numa_sort_cpus(const numa_topology_t *topology, const numa_distances_t *distances, unsigned cpu, unsigned *cpus,
                    size_t count) {
    uint16_t ranks[NUMA_MAX_NODES];
    numa_rank_nodes(topology, distances, numa_node_of_cpu(topology, cpu), ranks);
    order_t order = {topology, ranks, cpu};
    for (size_t at = count / 2; at-- > 0;) {
        sift(&order, cpus, at, count);
    }
    for (size_t end = count; end-- > 1;) {
        unsigned moved = cpus[0];
        cpus[0] = cpus[end];
        cpus[end] = moved;
        sift(&order, cpus, 0, end);
    }
}

unsigned numa_nearest_memory(const numa_topology_t *topology, unsigned node) {
    unsigned best = node;
    uint64_t least = UINT64_MAX;
    for (unsigned to = 0; to < topology->nodes; to++) {
        uint64_t distance = to == node ? 0 : numa_firmware_distance(topology, node, to);
        if (topology->memory[to] && distance < least) {
            best = to;
            least = distance;
        }
    }
    return best;
}
