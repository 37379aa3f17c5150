// The parts of atomics.h that need not be inlined: memory, waiting, and the word that models fences. A name in parentheses is one that a
// back end may have made a macro of.
#include "atomics.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

#if ATOMICS_MODEL_FENCES
atomic_u64_t atomics_fence_model;
#endif

void *shared_alloc(size_t bytes) { return calloc(1, bytes); }

void *shared_alloc_aligned(size_t bytes) {
    size_t rounded = (bytes + CPU_PAIR - 1) & ~(size_t)(CPU_PAIR - 1);
    void *memory = aligned_alloc(CPU_PAIR, rounded);
    if (memory != NULL) {
        memset(memory, 0, rounded);
    }
    return memory;
}

void (shared_free)(void *memory) { free(memory); }

// Maps a huge page more than asked for, and gives back what lies before and after the aligned part.
void *shared_reserve(size_t bytes) {
    size_t rounded = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    char *raw = mmap(NULL, rounded + HUGE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) {
        return NULL;
    }
    size_t before = (HUGE_PAGE - ((uintptr_t)raw & (HUGE_PAGE - 1))) & (HUGE_PAGE - 1);
    if (before > 0) {
        munmap(raw, before);
    }
    munmap(raw + before + rounded, HUGE_PAGE - before);
    return raw + before;
}

bool shared_commit(void *at, size_t bytes, bool huge) {
    if (mprotect(at, bytes, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    if (huge) {
        (void)madvise(at, bytes, MADV_HUGEPAGE); // a wish: the table is right without it
    }
    return true;
}

void shared_release(void *memory, size_t bytes) {
    if (memory != NULL) {
        munmap(memory, (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
    }
}

bool atomics_have_asymmetric(void) {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void atomics_fence_everywhere(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        // In the child of a fork, perhaps, where nobody has asked yet. It has succeeded in this program before.
        (void)atomics_have_asymmetric();
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
}

void (park_wait)(atomic_u32_t *at, uint32_t expected, uint64_t timeout_ns) {
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u)};
    (void)syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, expected, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL, 0);
}

void (park_wake)(atomic_u32_t *at) { (void)syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

void spin_hint(unsigned round) {
    if (round % 64 == 63) {
        sched_yield();
    } else {
        cpu_relax();
    }
}
