// Where memory is put: mbind for a range, set_mempolicy for a thread, madvise for huge pages. On one node there is nothing to ask
// the kernel for, and a kernel without NUMA lacks the calls.
#include "numa_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HUGE_PAGE ((uintptr_t)2 << 20)
#define HUGE_LINE "AnonHugePages:" // in smaps, then KiB

// The kernel's mode and nodes for a placement: OK or INVALID.
static status_t translate(const numa_topology_t *topology, numa_placement_t placement, int *mode,
                          numa_node_set_t *nodes) {
    memset(nodes, 0, sizeof *nodes);
    switch (placement.policy) {
    case NUMA_FIRST_TOUCH: *mode = NUMA_MODE_LOCAL; return STATUS_OK;
    case NUMA_INTERLEAVE:
        *mode = NUMA_MODE_INTERLEAVE;
        for (unsigned node = 0; node < topology->nodes; node++) {
            if (topology->memory[node]) {
                bit_add(nodes->bits, topology->kernel_node[node]);
            }
        }
        return STATUS_OK;
    case NUMA_BIND:
        *mode = NUMA_MODE_BIND;
        if (!numa_has_memory(topology, placement.node)) {
            return STATUS_INVALID;
        }
        bit_add(nodes->bits, topology->kernel_node[placement.node]);
        return STATUS_OK;
    case NUMA_POLICY_COUNT: break;
    }
    return STATUS_INVALID;
}

status_t numa_place(const numa_topology_t *topology, void *at, size_t bytes, numa_placement_t placement) {
    int mode = NUMA_MODE_LOCAL;
    numa_node_set_t nodes;
    status_t status = translate(topology, placement, &mode, &nodes);
    if (status != STATUS_OK || topology->nodes == 1 || bytes == 0) {
        return status;
    }
    return numa_calls.bind(at, bytes, mode, mode == NUMA_MODE_LOCAL ? NULL : &nodes) == 0 ? STATUS_OK : STATUS_DENIED;
}

status_t numa_place_thread(const numa_topology_t *topology, numa_placement_t placement) {
    int mode = NUMA_MODE_LOCAL;
    numa_node_set_t nodes;
    status_t status = translate(topology, placement, &mode, &nodes);
    if (status != STATUS_OK || topology->nodes == 1) {
        return status;
    }
    return numa_calls.set_policy(mode, mode == NUMA_MODE_LOCAL ? NULL : &nodes) == 0 ? STATUS_OK : STATUS_DENIED;
}

unsigned numa_node_of_page(const numa_topology_t *topology, const void *page) {
    int number = -1;
    if (numa_calls.page_node(page, &number) == 0) {
        for (unsigned node = 0; node < topology->nodes; node++) {
            if (topology->kernel_node[node] == (unsigned)number) {
                return node;
            }
        }
    }
    return topology->nodes;
}

// --- huge pages -------------------------------------------------------------------------------------------------------

static bool switched_off(void) {
    char text[64] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (file == NULL) {
        return false; // the call will say
    }
    bool never = fgets(text, sizeof text, file) != NULL && strstr(text, "[never]") != NULL;
    fclose(file);
    return never;
}

numa_huge_t numa_ask_huge(void *at, size_t bytes) {
    uintptr_t first = ((uintptr_t)at + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)at + bytes) & ~(HUGE_PAGE - 1);
    if (end <= first) {
        return NUMA_HUGE_REFUSED;
    }
    if (switched_off()) {
        return NUMA_HUGE_OFF;
    }
    return numa_calls.ask_huge((void *)first, end - first) == 0 ? NUMA_HUGE_ASKED : NUMA_HUGE_REFUSED;
}

size_t numa_huge_bytes(const void *at, size_t bytes) {
    FILE *file = fopen("/proc/self/smaps", "re");
    if (file == NULL) {
        return 0;
    }
    char line[512];
    bool inside = false;
    size_t huge = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char *end = NULL;
        uintptr_t from = strtoul(line, &end, 16); // a mapping begins: FROM-TO
        if (end != line && *end == '-') {
            inside = from < (uintptr_t)at + bytes && strtoul(end + 1, NULL, 16) > (uintptr_t)at;
        } else if (inside && strncmp(line, HUGE_LINE, strlen(HUGE_LINE)) == 0) {
            huge += strtoul(line + strlen(HUGE_LINE), NULL, 10) * 1024;
        }
    }
    fclose(file);
    return huge < bytes ? huge : bytes;
}

const char *numa_huge_name(numa_huge_t huge) {
    switch (huge) {
    case NUMA_HUGE_ASKED: return "asked";
    case NUMA_HUGE_OFF: return "off";
    case NUMA_HUGE_REFUSED: return "refused";
    }
    return "unknown";
}
