// Nodes of a machine with non-uniform memory: which there are, how far apart, and where memory is put.
//
// A node here is a position, 0 .. numa_nodes-1, in the order of the kernel's own numbers, which may have gaps; numa_kernel_node
// gives those. A machine, or a container, of which nothing can be read has one node with all CPUs. Everything below is right on one
// node: then placement is a no-op that answers OK, and every order is that of the CPUs' numbers.
//
// Placement is a wish about speed, never about meaning: where the kernel refuses (a container without the system calls), the
// answer is DENIED, the memory is where the kernel puts it, and the program goes on.
//
// A topology does not change after it was read, and is read by any thread. A distance table is written by any thread through
// numa_distances_learn; readers see each cell whole. Nothing here belongs on a hot path but numa_node_of_cpu and numa_distance,
// which are wait-free loads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define NUMA_MAX_NODES 1024u
#define NUMA_MAX_CPUS 8192u
#define NUMA_DISTANCE_LOCAL 10u // firmware's figure for a node to itself

typedef struct numa_topology numa_topology_t;   // constant once made
typedef struct numa_distances numa_distances_t; // shared

// --- topology -----------------------------------------------------------------------------------------------------

// Reads ROOT/devices/system/node and .../cpu; `root` NULL is "/sys". What is missing or makes no sense is taken as one node,
// so OK or NO_MEMORY, nothing else.
status_t numa_topology_read(const char *root, numa_topology_t **topology);
void numa_topology_free(numa_topology_t *topology);
// This machine's, read once; never NULL, never to be freed. Any thread.
const numa_topology_t *numa_system(void);

unsigned numa_nodes(const numa_topology_t *topology); // at least 1
unsigned numa_cpus(const numa_topology_t *topology);  // highest CPU number known, plus 1; at least 1
unsigned numa_kernel_node(const numa_topology_t *topology, unsigned node);
bool numa_has_memory(const numa_topology_t *topology, unsigned node);
// Any number may be given: a CPU that is not known is on node 0.
unsigned numa_node_of_cpu(const numa_topology_t *topology, unsigned cpu);
// The first CPU >= `from` on `node`; NUMA_MAX_CPUS where there is none.
unsigned numa_next_cpu(const numa_topology_t *topology, unsigned node, unsigned from);
// The firmware's distance, NUMA_DISTANCE_LOCAL for a node to itself; 20 for two nodes of which it says nothing.
unsigned numa_firmware_distance(const numa_topology_t *topology, unsigned from, unsigned to);

// --- distances: what the firmware says, then what was learned -----------------------------------------------------

// Starts with the firmware's figures. OK or NO_MEMORY. The topology outlives it.
status_t numa_distances_create(const numa_topology_t *topology, numa_distances_t **distances);
void numa_distances_free(numa_distances_t *distances);
// Latency from a CPU of node `from` to memory of node `to`, in picoseconds if `learned`; else the firmware's figure, x 10,000.
uint64_t numa_distance(const numa_distances_t *distances, unsigned from, unsigned to);
bool numa_distance_learned(const numa_distances_t *distances, unsigned from, unsigned to);
// Takes in one observation: the first as it is, later ones with a weight of 1/8. Lock-free; of two at one moment one may be lost.
void numa_distances_learn(numa_distances_t *distances, unsigned from, unsigned to, uint64_t picoseconds);
// Measures all pairs: moves the calling thread from node to node, over CPUs that it or the first thread of the process may use, since who
// measures is often pinned, and back to where it was allowed; about `milliseconds` in each pair, over `bytes` of memory put on each node. Pairs that cannot be had (no allowed CPU, memory refused) stay as they
// are. Answers how many were measured. Takes memory; not for a measured window.
unsigned numa_distances_measure(numa_distances_t *distances, size_t bytes, unsigned milliseconds);

// Puts into ranks[0 .. numa_nodes-1] how near each node is to `from`: 0 the nearest, with all that are at most a tenth farther, since noise in what
// was learned makes no order; and so on. `distances` NULL: the firmware's.
void numa_rank_nodes(const numa_topology_t *topology, const numa_distances_t *distances, unsigned from, uint16_t *ranks);
// Sorts CPUs nearest first as seen from `cpu`, itself first of all. Equally near ones come in the order of their numbers that
// starts behind `cpu`, so that neighbours do not all turn to the same one. What is equally near is what numa_rank_nodes says.
void numa_sort_cpus(const numa_topology_t *topology, const numa_distances_t *distances, unsigned cpu, unsigned *cpus,
                    size_t count);
// The node with memory that is nearest to `node`: itself where it has some.
unsigned numa_nearest_memory(const numa_topology_t *topology, unsigned node);

// --- placement ----------------------------------------------------------------------------------------------------

typedef enum numa_policy {
    NUMA_FIRST_TOUCH = 0, // on the node of the CPU that first writes the page: what the kernel does unasked
    NUMA_INTERLEAVE,      // page by page over all nodes with memory
    NUMA_BIND,            // on one node
    NUMA_POLICY_COUNT
} numa_policy_t;

typedef struct numa_placement {
    numa_policy_t policy;
    unsigned node; // of NUMA_BIND
} numa_placement_t;

// For the pages of [at, at+bytes), which nobody has touched yet; `at` at the start of a page. OK; INVALID for a
// policy or node that does not exist or has no memory; DENIED where the kernel refuses.
status_t numa_place(const numa_topology_t *topology, void *at, size_t bytes, numa_placement_t placement);
// For all memory that the calling thread touches first from now on. Answers as numa_place.
status_t numa_place_thread(const numa_topology_t *topology, numa_placement_t placement);
// The node that holds the page, which was touched; numa_nodes(topology) where the kernel does not say.
unsigned numa_node_of_page(const numa_topology_t *topology, const void *page);

// --- huge pages ---------------------------------------------------------------------------------------------------

typedef enum numa_huge {
    NUMA_HUGE_ASKED = 0, // the kernel took the wish; pages become huge when they are touched, if it finds some
    NUMA_HUGE_OFF,       // switched off on this machine ("never")
    NUMA_HUGE_REFUSED    // the call failed, or the range holds no whole huge page
} numa_huge_t;

numa_huge_t numa_ask_huge(void *at, size_t bytes);
// Bytes of [at, at+bytes) that lie in huge pages now; 0 where the kernel does not say. Slow: reads a file.
size_t numa_huge_bytes(const void *at, size_t bytes);
const char *numa_huge_name(numa_huge_t huge);
