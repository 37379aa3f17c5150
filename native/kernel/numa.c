// Which nodes there are, read from sysfs. Whatever is missing or makes no sense there leaves what a machine without NUMA has:
// one node, with all CPUs and all memory.
#include "numa_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1 << 16, PATH_BYTES = 4096 };
#define DISTANCE_REMOTE 20u // of two nodes of which the firmware says nothing

// --- text -----------------------------------------------------------------------------------------------------------

typedef struct reader {
    const char *root;
    char text[TEXT_BYTES]; // of the file that was read last
} reader_t;

static bool read_text(reader_t *reader, const char *path) {
    char whole[PATH_BYTES];
    int length = snprintf(whole, sizeof whole, "%s/devices/system/%s", reader->root, path);
    reader->text[0] = 0;
    FILE *file = length > 0 && (size_t)length < sizeof whole ? fopen(whole, "re") : NULL;
    if (file == NULL) {
        return false;
    }
    size_t got = fread(reader->text, 1, sizeof reader->text - 1, file);
    fclose(file);
    reader->text[got] = 0;
    return got > 0;
}

// A decimal number at *text, and moves behind it; `max` + 1 where there is none, or a larger one.
static unsigned take_number(const char **text, unsigned max) {
    const char *at = *text;
    unsigned value = 0;
    if (*at < '0' || *at > '9') {
        return max + 1;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value > max ? value : value * 10 + (unsigned)(*at - '0');
    }
    *text = at;
    return value > max ? max + 1 : value;
}

// Calls `each` for every number of a list such as "0-3,8", up to the first that is none. False when it held none at all.
typedef void each_fn_t(numa_topology_t *topology, unsigned number, unsigned argument);
static bool for_list(const char *text, unsigned max, each_fn_t *each, numa_topology_t *topology, unsigned argument) {
    bool any = false;
    for (const char *at = text;;) {
        unsigned first = take_number(&at, max), last = first;
        if (*at == '-') {
            at++;
            last = take_number(&at, max);
        }
        if (first > max || last > max || last < first) {
            return any;
        }
        for (unsigned number = first; number <= last; number++) {
            each(topology, number, argument);
        }
        any = true;
        if (*at != ',') {
            return any;
        }
        at++;
    }
}

// --- what the files say ---------------------------------------------------------------------------------------------

static void add_node(numa_topology_t *topology, unsigned number, unsigned argument) {
    (void)argument;
    bool ascending = topology->nodes == 0 || number > topology->kernel_node[topology->nodes - 1];
    if (ascending && topology->nodes < NUMA_MAX_NODES) {
        topology->kernel_node[topology->nodes++] = (uint16_t)number;
    }
}

static void add_memory(numa_topology_t *topology, unsigned number, unsigned argument) {
    (void)argument;
    for (unsigned node = 0; node < topology->nodes; node++) {
        topology->memory[node] |= topology->kernel_node[node] == number;
    }
}

static void add_possible_cpu(numa_topology_t *topology, unsigned number, unsigned argument) {
    (void)argument;
    topology->cpus = number + 1 > topology->cpus ? number + 1 : topology->cpus;
}

static void add_cpu(numa_topology_t *topology, unsigned number, unsigned node) {
    topology->node_of_cpu[number] = (uint16_t)node;
    topology->known[number] = true;
    add_possible_cpu(topology, number, 0);
}

static void read_distances(reader_t *reader, numa_topology_t *topology, unsigned node) {
    uint16_t *row = &topology->distance[(size_t)node * topology->nodes];
    for (unsigned to = 0; to < topology->nodes; to++) {
        row[to] = to == node ? NUMA_DISTANCE_LOCAL : DISTANCE_REMOTE;
    }
    char path[64];
    snprintf(path, sizeof path, "node/node%u/distance", topology->kernel_node[node]);
    if (!read_text(reader, path)) {
        return;
    }
    const char *at = reader->text;
    for (unsigned to = 0; to < topology->nodes; to++) {
        at += strspn(at, " \t");
        unsigned distance = take_number(&at, 255);
        if (distance > 255) {
            return;
        }
        if (to != node && distance >= NUMA_DISTANCE_LOCAL) {
            row[to] = (uint16_t)distance;
        }
    }
}

static void read_cpus(reader_t *reader, numa_topology_t *topology, unsigned node) {
    char path[64];
    snprintf(path, sizeof path, "node/node%u/cpulist", topology->kernel_node[node]);
    if (read_text(reader, path)) {
        for_list(reader->text, NUMA_MAX_CPUS - 1, add_cpu, topology, node);
    }
}

static void make_one_node(numa_topology_t *topology) {
    topology->nodes = 1;
    topology->memory[0] = true;
    for (unsigned cpu = 0; cpu < topology->cpus; cpu++) {
        topology->known[cpu] = true;
    }
}

static void read_nodes(reader_t *reader, numa_topology_t *topology) {
    if (read_text(reader, "node/online")) {
        for_list(reader->text, NUMA_MAX_NODES - 1, add_node, topology, 0);
    }
    if (topology->nodes > 1 && read_text(reader, "node/has_memory")) {
        for_list(reader->text, NUMA_MAX_NODES - 1, add_memory, topology, 0);
    }
    bool memory = false;
    for (unsigned node = 0; node < topology->nodes; node++) {
        memory |= topology->memory[node];
    }
    for (unsigned node = 0; node < topology->nodes && !memory; node++) {
        topology->memory[node] = true; // nothing is known: all are tried, and the kernel refuses
    }
}

static status_t fill(reader_t *reader, numa_topology_t *topology) {
    topology->cpus = 1;
    if (read_text(reader, "cpu/possible") || read_text(reader, "cpu/online")) {
        for_list(reader->text, NUMA_MAX_CPUS - 1, add_possible_cpu, topology, 0);
    }
    read_nodes(reader, topology);
    if (topology->nodes <= 1) {
        make_one_node(topology);
    }
    topology->distance = calloc((size_t)topology->nodes * topology->nodes, sizeof *topology->distance);
    if (topology->distance == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (unsigned node = 0; node < topology->nodes; node++) {
        if (topology->nodes > 1) {
            read_cpus(reader, topology, node);
        }
        read_distances(reader, topology, node);
    }
    return STATUS_OK;
}

status_t numa_topology_read(const char *root, numa_topology_t **out) {
    reader_t *reader = calloc(1, sizeof *reader);
    numa_topology_t *topology = calloc(1, sizeof *topology);
    status_t status = STATUS_NO_MEMORY;
    if (reader != NULL && topology != NULL) {
        reader->root = root != NULL ? root : "/sys";
        status = fill(reader, topology);
    }
    free(reader);
    if (status != STATUS_OK) {
        numa_topology_free(topology);
        return status;
    }
    *out = topology;
    return STATUS_OK;
}

void numa_topology_free(numa_topology_t *topology) {
    if (topology != NULL) {
        free(topology->distance);
        free(topology);
    }
}

// --- this machine's ---------------------------------------------------------------------------------------------------

static atomic_u64_t system_topology; // a numa_topology_t, or 0: not read yet

static const numa_topology_t *smallest(void) {
    static const uint16_t distance[1] = {NUMA_DISTANCE_LOCAL};
    static const numa_topology_t one = {
        .nodes = 1, .cpus = 1, .memory = {true}, .known = {true}, .distance = (uint16_t *)(uintptr_t)distance};
    return &one;
}

const numa_topology_t *numa_system(void) {
    /* edge SYSTEM:A — what was read; :RA is in numa_system */
    uint64_t found = atomic_load_acquire_u64(&system_topology);
    if (found != 0) {
        return (const numa_topology_t *)(uintptr_t)found;
    }
    numa_topology_t *made = NULL;
    if (numa_topology_read(NULL, &made) != STATUS_OK) {
        return smallest();
    }
    /* edge SYSTEM:RA — what was read; :A is in numa_system */
    if (atomic_cas_acq_rel_u64(&system_topology, &found, (uint64_t)(uintptr_t)made)) {
        return made;
    }
    numa_topology_free(made); // another thread was first
    return (const numa_topology_t *)(uintptr_t)found;
}

__attribute__((destructor)) static void forget_system(void) {
    /* edge SYSTEM:A — what was read; :RA is in numa_system */
    numa_topology_free((numa_topology_t *)(uintptr_t)atomic_load_acquire_u64(&system_topology));
}

// --- answers ----------------------------------------------------------------------------------------------------------

unsigned numa_nodes(const numa_topology_t *topology) { return topology->nodes; }
unsigned numa_cpus(const numa_topology_t *topology) { return topology->cpus; }
unsigned numa_kernel_node(const numa_topology_t *topology, unsigned node) { return topology->kernel_node[node]; }
bool numa_has_memory(const numa_topology_t *topology, unsigned node) {
    return node < topology->nodes && topology->memory[node];
}

unsigned numa_node_of_cpu(const numa_topology_t *topology, unsigned cpu) {
    return cpu < NUMA_MAX_CPUS ? topology->node_of_cpu[cpu] : 0;
}

unsigned numa_next_cpu(const numa_topology_t *topology, unsigned node, unsigned from) {
    for (unsigned cpu = from; cpu < topology->cpus; cpu++) {
        if (topology->known[cpu] && topology->node_of_cpu[cpu] == node) {
            return cpu;
        }
    }
    return NUMA_MAX_CPUS;
}

unsigned numa_firmware_distance(const numa_topology_t *topology, unsigned from, unsigned to) {
    return topology->distance[(size_t)from * topology->nodes + to];
}
