// A scheduler on a machine with NUMA nodes: from whom a CPU steals first, and on which node its queues lie.
//
//     scheduler_numa_t numa = {.distances = distances, .queues = SCHEDULER_QUEUES_OWN_NODE};
//     scheduler_create_numa(&config, &numa, &scheduler);       // then as any other: scheduler_destroy ends it
//
// Placement is a wish about speed, never about meaning: where the kernel refuses, the scheduler is right all the same, and so it is where
// threads run elsewhere than `machine_cpu` says.
#pragma once

#include <stdint.h>

#include "numa.h"
#include "scheduler.h"
#include "status.h"

typedef enum scheduler_queues {
    SCHEDULER_QUEUES_FIRST_TOUCH = 0, // on the heap: what create makes on the node of its thread, what grows on that of its CPU's thread
    SCHEDULER_QUEUES_INTERLEAVE,      // page by page over all nodes with memory
    SCHEDULER_QUEUES_OWN_NODE,        // of each CPU on its node, or the nearest one with memory, whoever touches it first
    SCHEDULER_QUEUES_COUNT
} scheduler_queues_t;

typedef struct scheduler_numa {
    const numa_topology_t *topology;   // NULL: numa_system(). Outlives the scheduler.
    const numa_distances_t *distances; // of that topology, as learned up to now: who is near is settled at create. NULL: the firmware's
    const uint32_t *machine_cpu;       // per CPU of the scheduler, the machine's CPU on which its thread runs; NULL: the one with its number
    scheduler_queues_t queues;
} scheduler_numa_t;

// scheduler_create with node_of, node_distance, nodes and memory of `config` worked out from `numa`, whatever they were. A CPU's victims
// come nearest node first, its own before all. Of the queues, the arrays of the deques and the blocks of
// batches lie exactly as asked; the rest of a CPU's
// words in whole pages, of which one that the words of two CPUs share lies where the later one's do: number CPUs of a node one after
// the other. OK, INVALID (as create, or `queues` out of range) or NO_MEMORY.
status_t scheduler_create_numa(const scheduler_config_t *config, const scheduler_numa_t *numa, scheduler_lockfree_t **scheduler);
