#include "placement.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPUS_MAX = 8192, NODES_MAX = 1024, MASK_BITS = 8 * sizeof(unsigned long) };

/* From <linux/mempolicy.h>, which a machine without kernel headers lacks. */
enum { POLICY_BIND = 2, POLICY_INTERLEAVE = 3, POLICY_LOCAL = 4 };

typedef struct {
    unsigned long bits[CPUS_MAX / MASK_BITS];
} cpu_mask_t;

static bool mask_has(const cpu_mask_t *mask, int cpu) {
    return (mask->bits[(size_t)cpu / MASK_BITS] >> ((size_t)cpu % MASK_BITS)) & 1;
}

static void mask_add(cpu_mask_t *mask, int cpu) {
    mask->bits[(size_t)cpu / MASK_BITS] |= 1ul << ((size_t)cpu % MASK_BITS);
}

/* The mask as "0-3,8". */
static void mask_text(const cpu_mask_t *mask, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int cpu = 0; cpu < CPUS_MAX && used + 16 < size; cpu++) {
        if (!mask_has(mask, cpu))
            continue;
        int last = cpu;
        while (last + 1 < CPUS_MAX && mask_has(mask, last + 1))
            last++;
        int n = cpu == last ? snprintf(text + used, size - used, "%s%d", used ? "," : "", cpu)
                            : snprintf(text + used, size - used, "%s%d-%d", used ? "," : "", cpu, last);
        used += n > 0 ? (size_t)n : 0;
        cpu = last;
    }
}

static void mask_of_process(cpu_mask_t *mask) {
    memset(mask, 0, sizeof *mask);
    /* the raw call: glibc's takes a set of a fixed size, and a big machine has more CPUs */
    long n = syscall(SYS_sched_getaffinity, 0, sizeof *mask, mask);
    if (n < 0)
        mask_add(mask, 0);
}

static bool cpu_exists(int cpu) {
    char path[64];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d", cpu);
    return access(path, F_OK) == 0;
}

/* A decimal number at *text, moved behind it; -1 where there is none or it is too large. */
static int take_number(const char **text, int max) {
    const char *c = *text;
    int value = 0;
    if (*c < '0' || *c > '9')
        return -1;
    for (; *c >= '0' && *c <= '9'; c++) {
        value = value * 10 + (*c - '0');
        if (value > max)
            return -1;
    }
    *text = c;
    return value;
}

static bool add_cpu(options_t *options, const cpu_mask_t *allowed, int cpu, char *why, size_t size) {
    char text[128];
    mask_text(allowed, text, sizeof text);
    if (!mask_has(allowed, cpu)) {
        snprintf(why, size, cpu_exists(cpu) ? "--cpus: CPU %d may not be used by this process; allowed: %s"
                                            : "--cpus: CPU %d does not exist; there are: %s", cpu, text);
        return false;
    }
    if (options->cpus_count == THREADS_MAX) {
        snprintf(why, size, "--cpus: more than %d CPUs", THREADS_MAX);
        return false;
    }
    options->cpus[options->cpus_count++] = cpu;
    return true;
}

bool placement_parse_cpus(const char *text, options_t *options, char *why, size_t size) {
    cpu_mask_t allowed;
    mask_of_process(&allowed);
    options->cpus_count = 0;
    for (const char *c = text; *c;) {
        int first = take_number(&c, CPUS_MAX - 1), last = first;
        if (first >= 0 && *c == '-') {
            c++;
            last = take_number(&c, CPUS_MAX - 1);
        }
        bool good = first >= 0 && last >= first && (*c == 0 || (*c == ',' && c[1]));
        if (!good) {
            snprintf(why, size, "--cpus: '%s' is not a list of CPUs such as 0,2,4-7", text);
            return false;
        }
        for (int cpu = first; cpu <= last; cpu++)
            if (!add_cpu(options, &allowed, cpu, why, size))
                return false;
        c += *c == ',';
    }
    return true;
}

/* Nodes with memory, as bits; a kernel without NUMA has one node, 0. */
static void nodes_with_memory(unsigned long *nodes) {
    memset(nodes, 0, NODES_MAX / 8);
    char text[4096] = "0";
    FILE *f = fopen("/sys/devices/system/node/has_memory", "re");
    if (f) {
        if (!fgets(text, sizeof text, f))
            strcpy(text, "0");
        fclose(f);
    }
    for (const char *c = text; *c;) {
        int first = take_number(&c, NODES_MAX - 1), last = first;
        if (first >= 0 && *c == '-') {
            c++;
            last = take_number(&c, NODES_MAX - 1);
        }
        if (first < 0)
            break;
        for (int n = first; n <= last; n++)
            nodes[(size_t)n / MASK_BITS] |= 1ul << ((size_t)n % MASK_BITS);
        c += *c == ',';
    }
}

static bool node_in(const unsigned long *nodes, int node) {
    return (nodes[(size_t)node / MASK_BITS] >> ((size_t)node % MASK_BITS)) & 1;
}

bool placement_parse_mem(const char *text, options_t *options, char *why, size_t size) {
    unsigned long nodes[NODES_MAX / MASK_BITS];
    if (strcmp(text, "local") == 0) {
        options->mem = MEM_LOCAL;
        return true;
    }
    if (strcmp(text, "interleave") == 0) {
        options->mem = MEM_INTERLEAVE;
        return true;
    }
    const char *c = text + 5;
    int node = strncmp(text, "node:", 5) == 0 ? take_number(&c, NODES_MAX - 1) : -1;
    if (node < 0 || *c) {
        snprintf(why, size, "--mem: '%s' is none of local, interleave, node:K", text);
        return false;
    }
    nodes_with_memory(nodes);
    if (!node_in(nodes, node)) {
        int highest = 0;
        for (int n = 0; n < NODES_MAX; n++)
            highest = node_in(nodes, n) ? n : highest;
        snprintf(why, size, "--mem: node %d does not exist or has no memory; the highest is %d", node, highest);
        return false;
    }
    options->mem = MEM_NODE;
    options->mem_node = node;
    return true;
}

bool placement_set_memory(const options_t *options, char *why, size_t size) {
    unsigned long nodes[NODES_MAX / MASK_BITS];
    nodes_with_memory(nodes);
    int count = 0;
    for (int n = 0; n < NODES_MAX; n++)
        count += node_in(nodes, n);
    if (count <= 1)
        return true; /* one node: every policy is the same, and a kernel without NUMA lacks the call */
    int mode = POLICY_INTERLEAVE;
    if (options->mem == MEM_LOCAL)
        mode = POLICY_LOCAL;
    if (options->mem == MEM_NODE) {
        mode = POLICY_BIND;
        memset(nodes, 0, sizeof nodes);
        nodes[(size_t)options->mem_node / MASK_BITS] = 1ul << ((size_t)options->mem_node % MASK_BITS);
    }
    long rc = mode == POLICY_LOCAL ? syscall(SYS_set_mempolicy, mode, NULL, 0ul)
                                   : syscall(SYS_set_mempolicy, mode, nodes, (unsigned long)NODES_MAX);
    if (rc == 0)
        return true;
    snprintf(why, size, "the kernel refused the memory policy: %s", strerror(errno));
    return false;
}

bool placement_pin(pthread_attr_t *attributes, const options_t *options, int index) {
    if (options->cpus_count == 0)
        return true;
    cpu_mask_t mask = {0};
    mask_add(&mask, options->cpus[index]);
    return pthread_attr_setaffinity_np(attributes, sizeof mask, (const cpu_set_t *)&mask) == 0;
}

void placement_step_aside(const options_t *options) {
    cpu_mask_t mask;
    mask_of_process(&mask);
    for (int i = 0; i < options->cpus_count; i++)
        mask.bits[(size_t)options->cpus[i] / MASK_BITS] &= ~(1ul << ((size_t)options->cpus[i] % MASK_BITS));
    for (size_t i = 0; i < sizeof mask.bits / sizeof mask.bits[0]; i++)
        if (mask.bits[i]) {
            /* where it fails the main thread stays where it is, which costs accuracy and nothing else */
            (void)syscall(SYS_sched_setaffinity, 0, sizeof mask, &mask);
            return;
        }
}
