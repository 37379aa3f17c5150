// The system calls of placement, raw: no library is needed, and glibc's CPU sets are too small for a big machine.
#include "numa_layout.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int answer(long result) { return result < 0 ? -errno : 0; }

static int bind(void *at, size_t bytes, int mode, const numa_node_set_t *nodes) {
    return answer(syscall(SYS_mbind, at, bytes, mode, nodes, nodes != NULL ? (unsigned long)NUMA_MAX_NODES + 1 : 0ul, 0u));
}

static int set_policy(int mode, const numa_node_set_t *nodes) {
    return answer(syscall(SYS_set_mempolicy, mode, nodes, nodes != NULL ? (unsigned long)NUMA_MAX_NODES + 1 : 0ul));
}

static int page_node(const void *page, int *kernel_node) {
    const void *pages[1] = {page};
    int status[1] = {-1};
    long result = syscall(SYS_move_pages, 0, 1ul, pages, NULL, status, 0);
    *kernel_node = status[0];
    return result < 0 ? -errno : status[0] < 0 ? status[0] : 0;
}

static int ask_huge(void *at, size_t bytes) { return answer(madvise(at, bytes, MADV_HUGEPAGE)); }

static int get_affinity(numa_cpu_set_t *cpus) { return answer(syscall(SYS_sched_getaffinity, 0, sizeof *cpus, cpus)); }

static int set_affinity(const numa_cpu_set_t *cpus) {
    return answer(syscall(SYS_sched_setaffinity, 0, sizeof *cpus, cpus));
}

static int get_first_affinity(numa_cpu_set_t *cpus) {
    return answer(syscall(SYS_sched_getaffinity, getpid(), sizeof *cpus, cpus));
}

numa_calls_t numa_calls = {bind, set_policy, page_node, ask_huge, get_affinity, set_affinity, get_first_affinity};
