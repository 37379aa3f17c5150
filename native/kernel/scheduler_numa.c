// Nodes for the scheduler: ranks of nodes as its distances, and memory that lies where it is asked to.
//
// Memory is taken from the system in chunks, each placed before it is touched, and all of it given back when the scheduler ends. A CPU's
// chunks are used by whoever drives it, and by create before that: never by two at once. An array that was outgrown stays
// until then, as in a deque on the heap.
#include "scheduler_numa.h"

#include <unistd.h>

#include "scheduler_layout.h"

#define CHUNK ((size_t)2 << 20)      // address space; a page costs memory once it is touched
#define COMMITTED ((size_t)64 << 10) // made writable at once: less than a huge page, which few queues fill

typedef struct chunk {
    struct chunk *older;
    size_t bytes, used, writable;
} chunk_t;

typedef struct arena {
    deque_memory_t base; // first: see arena_take
    const numa_topology_t *topology;
    numa_placement_t placement;
    chunk_t *newest;
} arena_t;

typedef struct numa_memory {
    scheduler_memory_t base; // first: see memory_of
    uint32_t cpus;
    bool own_node;
    size_t page;
    arena_t whole;
    arena_t of_cpu[];
} numa_memory_t;

static size_t rounded_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// --- chunks -----------------------------------------------------------------------------------------------------------

static bool make_writable(chunk_t *chunk, size_t end) {
    size_t wanted = rounded_up(end, COMMITTED);
    if (wanted > chunk->writable) {
        if (!shared_commit((char *)chunk + chunk->writable, wanted - chunk->writable, false)) {
            return false;
        }
        chunk->writable = wanted;
    }
    return true;
}

static bool add_chunk(arena_t *arena, size_t bytes) {
    size_t size = rounded_up(bytes + CPU_PAIR, CHUNK);
    chunk_t *chunk = shared_reserve(size);
    if (chunk == NULL) {
        return false;
    }
    (void)numa_place(arena->topology, chunk, size, arena->placement); // a wish
    if (!shared_commit(chunk, COMMITTED, false)) {
        shared_release(chunk, size);
        return false;
    }
    *chunk = (chunk_t){.older = arena->newest, .bytes = size, .used = CPU_PAIR, .writable = COMMITTED};
    arena->newest = chunk;
    return true;
}

static void *arena_take(deque_memory_t *memory, size_t bytes) {
    arena_t *arena = (arena_t *)(void *)memory;
    size_t size = rounded_up(bytes, CPU_PAIR);
    chunk_t *chunk = arena->newest;
    if ((chunk == NULL || chunk->bytes - chunk->used < size) && !add_chunk(arena, size)) {
        return NULL;
    }
    chunk = arena->newest;
    if (!make_writable(chunk, chunk->used + size)) {
        return NULL;
    }
    void *at = (char *)chunk + chunk->used;
    chunk->used += size;
    return at;
}

static void arena_end(arena_t *arena) {
    for (chunk_t *chunk = arena->newest; chunk != NULL;) {
        chunk_t *older = chunk->older;
        shared_release(chunk, chunk->bytes);
        chunk = older;
    }
}

static arena_t arena_of(const numa_topology_t *topology, numa_placement_t placement) {
    return (arena_t){.base = {arena_take}, .topology = topology, .placement = placement};
}

// --- the scheduler's memory -----------------------------------------------------------------------------------------------

static numa_memory_t *memory_of(scheduler_memory_t *base) { return (numa_memory_t *)(void *)base; }

static void *take_whole(scheduler_memory_t *base, size_t bytes) {
    numa_memory_t *memory = memory_of(base);
    return memory->whole.base.take(&memory->whole.base, bytes);
}

static void settle(scheduler_memory_t *base, uint32_t cpu, void *at, size_t bytes) {
    numa_memory_t *memory = memory_of(base);
    if (memory->own_node) {
        uintptr_t from = (uintptr_t)at / memory->page * memory->page;
        size_t length = rounded_up((uintptr_t)at + bytes - from, memory->page);
        const arena_t *arena = &memory->of_cpu[cpu];
        (void)numa_place(arena->topology, (void *)from, length, arena->placement); // a wish
    }
}

static deque_memory_t *rings_of(scheduler_memory_t *base, uint32_t cpu) { return &memory_of(base)->of_cpu[cpu].base; }

static void end_memory(scheduler_memory_t *base) {
    numa_memory_t *memory = memory_of(base);
    for (uint32_t i = 0; i < memory->cpus; i++) {
        arena_end(&memory->of_cpu[i]);
    }
    arena_end(&memory->whole);
    shared_free(memory);
}

static numa_placement_t placement_of(const numa_topology_t *topology, scheduler_queues_t queues, unsigned node) {
    return queues == SCHEDULER_QUEUES_OWN_NODE ? (numa_placement_t){NUMA_BIND, numa_nearest_memory(topology, node)}
                                               : (numa_placement_t){.policy = NUMA_INTERLEAVE};
}

static numa_memory_t *make_memory(const numa_topology_t *topology, scheduler_queues_t queues, const uint16_t *node_of, uint32_t cpus) {
    numa_memory_t *memory = shared_alloc(sizeof *memory + cpus * sizeof memory->of_cpu[0]);
    if (memory == NULL) {
        return NULL;
    }
    *memory = (numa_memory_t){.base = {.whole = take_whole, .settle = settle, .rings = rings_of, .end = end_memory},
                              .cpus = cpus,
                              .own_node = queues == SCHEDULER_QUEUES_OWN_NODE,
                              .page = (size_t)sysconf(_SC_PAGESIZE)};
    numa_placement_t shared = {.policy = memory->own_node ? NUMA_FIRST_TOUCH : NUMA_INTERLEAVE};
    memory->whole = arena_of(topology, shared);
    for (uint32_t i = 0; i < cpus; i++) {
        memory->of_cpu[i] = arena_of(topology, placement_of(topology, queues, node_of[i]));
    }
    return memory;
}

// --- nodes ------------------------------------------------------------------------------------------------------------

static void fill_nodes(const scheduler_numa_t *numa, const numa_topology_t *topology, uint32_t cpus, uint16_t *node_of) {
    for (uint32_t i = 0; i < cpus; i++) {
        node_of[i] = (uint16_t)numa_node_of_cpu(topology, numa->machine_cpu != NULL ? numa->machine_cpu[i] : i);
    }
}

// What the scheduler takes as distances need not be figures: ranks give the same order.
static void fill_ranks(const scheduler_numa_t *numa, const numa_topology_t *topology, uint8_t *distances) {
    unsigned nodes = numa_nodes(topology);
    uint16_t ranks[NUMA_MAX_NODES];
    for (unsigned from = 0; from < nodes; from++) {
        numa_rank_nodes(topology, numa->distances, from, ranks);
        for (unsigned to = 0; to < nodes; to++) {
            distances[(size_t)from * nodes + to] = ranks[to] < UINT8_MAX ? (uint8_t)ranks[to] : UINT8_MAX;
        }
    }
}

static status_t create_with(scheduler_config_t config, const scheduler_numa_t *numa, const numa_topology_t *topology,
                            scheduler_lockfree_t **scheduler) {
    numa_memory_t *memory = NULL;
    if (numa->queues != SCHEDULER_QUEUES_FIRST_TOUCH) {
        memory = make_memory(topology, numa->queues, config.node_of, config.cpus);
        if (memory == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    config.memory = memory != NULL ? &memory->base : NULL;
    status_t status = scheduler_create(&config, scheduler);
    if (status != STATUS_OK && memory != NULL) {
        end_memory(&memory->base);
    }
    return status;
}

status_t scheduler_create_numa(const scheduler_config_t *config, const scheduler_numa_t *numa, scheduler_lockfree_t **scheduler) {
    scheduler_config_t own = config != NULL ? *config : (scheduler_config_t){.cpus = 1};
    if (own.cpus < 1 || own.cpus > SCHEDULER_MAX_CPUS || numa->queues >= SCHEDULER_QUEUES_COUNT) {
        return STATUS_INVALID;
    }
    const numa_topology_t *topology = numa->topology != NULL ? numa->topology : numa_system();
    size_t nodes = numa_nodes(topology);
    uint16_t *node_of = shared_alloc(own.cpus * sizeof *node_of);
    uint8_t *distances = shared_alloc(nodes * nodes);
    status_t status = STATUS_NO_MEMORY;
    if (node_of != NULL && distances != NULL) {
        fill_nodes(numa, topology, own.cpus, node_of);
        fill_ranks(numa, topology, distances);
        own.node_of = node_of;
        own.node_distance = distances;
        own.nodes = (uint32_t)nodes;
        status = create_with(own, numa, topology, scheduler);
    }
    shared_free(node_of);
    shared_free(distances);
    return status;
}
