// Inside numa*.c: the topology's words, and every system call of placement behind one table. For kernel/numa*.c and tests.
#pragma once

#include "atomics.h"
#include "numa.h"

struct numa_topology {
    // Constant.
    unsigned nodes, cpus;
    uint16_t kernel_node[NUMA_MAX_NODES]; // of each node, ascending
    bool memory[NUMA_MAX_NODES];
    uint16_t node_of_cpu[NUMA_MAX_CPUS];
    bool known[NUMA_MAX_CPUS]; // CPUs that some node names
    uint16_t *distance;        // nodes x nodes, from the firmware
};

struct numa_distances {
    const numa_topology_t *topology;
    atomic_u64_t cells[]; // nodes x nodes: picoseconds << 1 | learned
};

// CPUs or nodes as the system calls take them.
enum { NUMA_WORD_BITS = 8 * sizeof(unsigned long) };
typedef struct numa_cpu_set { unsigned long bits[NUMA_MAX_CPUS / NUMA_WORD_BITS]; } numa_cpu_set_t;
typedef struct numa_node_set { unsigned long bits[NUMA_MAX_NODES / NUMA_WORD_BITS]; } numa_node_set_t;

// From the kernel's mempolicy.h, which a machine without kernel headers lacks.
enum { NUMA_MODE_BIND = 2, NUMA_MODE_INTERLEAVE = 3, NUMA_MODE_LOCAL = 4 };

// 0, or minus the error number. Tests put others in their place.
typedef struct numa_calls {
    int (*bind)(void *at, size_t bytes, int mode, const numa_node_set_t *nodes);
    int (*set_policy)(int mode, const numa_node_set_t *nodes);
    int (*page_node)(const void *page, int *kernel_node);
    int (*ask_huge)(void *at, size_t bytes);
    int (*get_affinity)(numa_cpu_set_t *cpus); // of the calling thread, like the next
    int (*set_affinity)(const numa_cpu_set_t *cpus);
    int (*get_first_affinity)(numa_cpu_set_t *cpus); // of the process's first thread
} numa_calls_t;
extern numa_calls_t numa_calls; // kernel/numa_calls.c

static inline bool bit_has(const unsigned long *bits, unsigned at) {
    return (bits[at / NUMA_WORD_BITS] >> (at % NUMA_WORD_BITS) & 1) != 0;
}
static inline void bit_add(unsigned long *bits, unsigned at) { bits[at / NUMA_WORD_BITS] |= 1ul << (at % NUMA_WORD_BITS); }
