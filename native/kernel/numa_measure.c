// Learns how long a load takes from each node to each: one thread goes from node to node and follows links through memory of
// the other. The links form one cycle over all lines in mixed order, so neither caches nor prefetchers help where the memory is
// larger than they are. Only samples in which the thread kept its CPU count; the least of them is taken: noise only adds.
#include "numa_layout.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum { STEPS = 2048 }; // of one sample: some hundred microseconds from far memory

typedef struct line { _Alignas(CPU_LINE) struct line *next; } line_t;

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static long switches(void) {
    struct rusage usage = {0};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw + usage.ru_nvcsw;
}

// One cycle through all lines (Sattolo's shuffle), with a generator of its own.
static void link_lines(line_t *lines, size_t count) {
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < count; i++) {
        lines[i].next = &lines[i];
    }
    for (size_t i = count - 1; i > 0; i--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        size_t j = (size_t)(state % i);
        line_t *swapped = lines[i].next;
        lines[i].next = lines[j].next;
        lines[j].next = swapped;
    }
}

// Picoseconds per step, or 0 when every sample was disturbed.
static uint64_t follow(line_t *lines, unsigned milliseconds) {
    uint64_t least = 0, end = now_ns() + (uint64_t)milliseconds * 1000000u;
    line_t *at = lines;
    do {
        long before = switches();
        uint64_t start = now_ns();
        for (int step = 0; step < STEPS; step++) {
            at = at->next;
        }
        uint64_t took = (now_ns() - start) * 1000u / STEPS;
        // No link is NULL; but the compiler does not know, and so it cannot leave the walk out.
        if (at != NULL && switches() == before && took > 0 && (least == 0 || took < least)) {
            least = took;
        }
    } while (now_ns() < end);
    return least;
}

// Moves the thread to one CPU of the node that it may use.
static bool go_to(const numa_topology_t *topology, unsigned node, const numa_cpu_set_t *allowed) {
    for (unsigned cpu = numa_next_cpu(topology, node, 0); cpu < NUMA_MAX_CPUS;
         cpu = numa_next_cpu(topology, node, cpu + 1)) {
        numa_cpu_set_t one = {{0}};
        bit_add(one.bits, cpu);
        if (bit_has(allowed->bits, cpu) && numa_calls.set_affinity(&one) == 0) {
            return true;
        }
    }
    return false;
}

static unsigned measure_to(numa_distances_t *distances, unsigned to, size_t bytes, unsigned milliseconds,
                           const numa_cpu_set_t *allowed) {
    const numa_topology_t *topology = distances->topology;
    unsigned measured = 0;
    line_t *lines = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (lines == MAP_FAILED) {
        return 0;
    }
    if (numa_place(topology, lines, bytes, (numa_placement_t){NUMA_BIND, to}) == STATUS_OK) {
        (void)numa_ask_huge(lines, bytes); // so that it is the memory that is measured, and not the walk of page tables
        link_lines(lines, bytes / sizeof *lines);
        for (unsigned from = 0; from < topology->nodes; from++) {
            uint64_t picoseconds = go_to(topology, from, allowed) ? follow(lines, milliseconds) : 0;
            if (picoseconds > 0) {
                numa_distances_learn(distances, from, to, picoseconds);
                measured++;
            }
        }
    }
    munmap(lines, bytes);
    return measured;
}

// `own`: of this thread, which is often pinned; `allowed`: with those of the first one, which seldom is.
static bool find_allowed(numa_cpu_set_t *own, numa_cpu_set_t *allowed) {
    numa_cpu_set_t first = {{0}};
    if (numa_calls.get_affinity(own) != 0) {
        return false;
    }
    if (numa_calls.get_first_affinity(&first) != 0) {
        first = (numa_cpu_set_t){{0}};
    }
    for (size_t i = 0; i < sizeof own->bits / sizeof own->bits[0]; i++) {
        allowed->bits[i] = own->bits[i] | first.bits[i];
    }
    return true;
}

unsigned numa_distances_measure(numa_distances_t *distances, size_t bytes, unsigned milliseconds) {
    const numa_topology_t *topology = distances->topology;
    numa_cpu_set_t own = {{0}}, allowed = {{0}};
    size_t whole = (bytes + 4095) & ~(size_t)4095;
    unsigned measured = 0;
    if (whole == 0 || !find_allowed(&own, &allowed)) {
        return 0;
    }
    for (unsigned to = 0; to < topology->nodes; to++) {
        if (numa_has_memory(topology, to)) {
            measured += measure_to(distances, to, whole, milliseconds, &allowed);
        }
    }
    (void)numa_calls.set_affinity(&own);
    return measured;
}
