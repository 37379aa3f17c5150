#include "placed.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "numa.h"

enum { NODES_SHOWN = 16, NODES_TOLD = 1024, SAMPLES = 64, RANGES_MAX = 4096, ENOUGH = 1 << 20 };

typedef struct {
    double bytes[NODES_TOLD]; /* by the kernel's number of the node */
    double all;
    size_t page;
} found_t;

/* Pages of [begin, end), evenly over it; one that nobody has touched counts for nothing. */
static void ask(uintptr_t begin, uintptr_t end, found_t *found) {
    const void *pages[SAMPLES];
    int nodes[SAMPLES];
    size_t all = (end - begin) / found->page, count = all < SAMPLES ? all : SAMPLES;
    for (size_t i = 0; i < count; i++) {
        pages[i] = (const void *)(begin + i * all / count * found->page);
        nodes[i] = -1;
    }
    if (count == 0 || syscall(SYS_move_pages, 0, (unsigned long)count, pages, NULL, nodes, 0) < 0)
        return;
    double each = (double)(end - begin) / (double)count;
    for (size_t i = 0; i < count; i++)
        if (nodes[i] >= 0 && nodes[i] < NODES_TOLD) {
            found->bytes[nodes[i]] += each;
            found->all += each;
        }
}

/* A line of maps: begin-end permissions offset device inode [path]. Whether the range is private, can be written and is no file's. */
static bool is_memory(const char *line, uintptr_t *begin, uintptr_t *end) {
    char *at = NULL;
    *begin = strtoull(line, &at, 16);
    if (*at != '-')
        return false;
    *end = strtoull(at + 1, &at, 16);
    if (strncmp(at, " rw-p ", 6) != 0)
        return false;
    at += 6;
    for (int passed = 0; passed < 2; passed++) { // offset and device
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    char *after = NULL;
    return strtoul(at, &after, 10) == 0 && after != at;
}

static void ask_all(found_t *found) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return;
    char line[512];
    for (int ranges = 0; ranges < RANGES_MAX && fgets(line, sizeof line, maps);) {
        uintptr_t begin = 0, end = 0;
        if (!is_memory(line, &begin, &end))
            continue;
        ask(begin, end, found);
        ranges++;
    }
    fclose(maps);
}

/* What is where it was asked for; -1 where nothing says where that is. */
static double there(const options_t *options, const numa_topology_t *topology, const found_t *found) {
    if (options->mem == MEM_NODE)
        return options->mem_node < NODES_TOLD ? found->bytes[options->mem_node] : -1;
    if (options->mem != MEM_LOCAL || options->cpus_count == 0)
        return -1;
    bool seen[NODES_TOLD] = {false};
    double sum = 0;
    for (int i = 0; i < options->cpus_count; i++) {
        unsigned node = numa_kernel_node(topology, numa_node_of_cpu(topology, (unsigned)options->cpus[i]));
        if (node >= NODES_TOLD || seen[node])
            continue;
        seen[node] = true;
        sum += found->bytes[node];
    }
    return sum;
}

void placed_count(run_t *run) {
    static char names[NODES_SHOWN][24];
    static found_t found;
    const numa_topology_t *topology = numa_system();
    unsigned with_memory = 0;
    for (unsigned node = 0; node < numa_nodes(topology); node++)
        with_memory += numa_has_memory(topology, node);
    if (with_memory < 2)
        return;
    found = (found_t){.page = (size_t)sysconf(_SC_PAGESIZE)};
    ask_all(&found);
    if (found.all < ENOUGH)
        return;
    for (unsigned node = 0; node < numa_nodes(topology) && node < NODES_SHOWN; node++) {
        unsigned number = numa_kernel_node(topology, node);
        snprintf(names[node], sizeof names[node], "memory_node%u", number);
        if (number < NODES_TOLD && numa_has_memory(topology, node))
            run_counter(run, names[node], found.bytes[number], "B");
    }
    double placed = there(run->options, topology, &found);
    if (placed >= 0)
        run_metric(run, "memory_placed", 100 * placed / found.all, "%");
}
