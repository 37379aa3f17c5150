// Memory that runs out at a chosen allocation. For programs named test_*_scarce.c: the linker leads what the kernel asks of atomics.h here first.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "expect.h"

static struct {
    uint64_t asked;   // allocations, with those that were refused
    uint64_t refused;
    uint64_t left;    // so many more are granted; UINT64_MAX: all
    bool for_good;    // and then none any more; else that one alone is refused
    int64_t held;     // blocks that were not given back
} memory = {.left = UINT64_MAX};

// From now on the allocation after `left` more is refused, and all after it where `for_good`.
static inline void memory_scarce(uint64_t left, bool for_good) {
    memory.left = left;
    memory.for_good = for_good;
    memory.refused = 0;
}
static inline void memory_plenty(void) { memory.left = UINT64_MAX; }

static inline bool memory_granted(void) {
    memory.asked++;
    if (memory.left == UINT64_MAX) {
        return true;
    }
    if (memory.left > 0) {
        memory.left--;
        return true;
    }
    memory.left = memory.for_good ? 0 : UINT64_MAX;
    memory.refused++;
    return false;
}

static inline void *memory_hold(void *block) {
    EXPECT(block != NULL);
    memory.held++;
    return block;
}

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names
void *__real_shared_alloc(size_t bytes);
void *__real_shared_alloc_aligned(size_t bytes);
void __real_shared_free(void *block);
void *__real_shared_reserve(size_t bytes);
bool __real_shared_commit(void *at, size_t bytes, bool huge);
void __real_shared_release(void *block, size_t bytes);
void *__wrap_shared_alloc(size_t bytes);
void *__wrap_shared_alloc_aligned(size_t bytes);
void __wrap_shared_free(void *block);
void *__wrap_shared_reserve(size_t bytes);
bool __wrap_shared_commit(void *at, size_t bytes, bool huge);
void __wrap_shared_release(void *block, size_t bytes);

void *__wrap_shared_alloc(size_t bytes) { return memory_granted() ? memory_hold(__real_shared_alloc(bytes)) : NULL; }
void *__wrap_shared_alloc_aligned(size_t bytes) {
    return memory_granted() ? memory_hold(__real_shared_alloc_aligned(bytes)) : NULL;
}
void __wrap_shared_free(void *block) {
    memory.held -= block != NULL;
    __real_shared_free(block);
}
void *__wrap_shared_reserve(size_t bytes) { return memory_granted() ? memory_hold(__real_shared_reserve(bytes)) : NULL; }
bool __wrap_shared_commit(void *at, size_t bytes, bool huge) {
    return memory_granted() && __real_shared_commit(at, bytes, huge);
}
void __wrap_shared_release(void *block, size_t bytes) {
    memory.held -= block != NULL;
    __real_shared_release(block, bytes);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
