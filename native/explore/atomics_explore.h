// Back end of atomics.h for the explorer: every door asks explore.h what happens. All doors that the naming allows are here, whether
// anybody uses them or not, so that a new use needs no new line.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu.h"
#include "explore.h"

#define ATOMICS_MODEL_FENCES 0

typedef struct { uint32_t value; } atomic_u32_t;
typedef struct { uint64_t value; } atomic_u64_t;
typedef struct { uint32_t value; } plain_u32_t;
typedef struct { uint64_t value; } plain_u64_t;
typedef struct { void *value; } plain_ptr_t;

#define LOAD(order, ORDER, bits)                                                                                       \
    static inline uint##bits##_t atomic_load_##order##_u##bits(const atomic_u##bits##_t *at) {                         \
        return (uint##bits##_t)explore_load(&at->value, bits / 8, ORDER_##ORDER);                                      \
    }
#define STORE(order, ORDER, bits)                                                                                      \
    static inline void atomic_store_##order##_u##bits(atomic_u##bits##_t *at, uint##bits##_t value) {                  \
        explore_store(&at->value, bits / 8, value, ORDER_##ORDER);                                                     \
    }
#define UPDATE(name, NAME, order, ORDER, bits)                                                                         \
    static inline uint##bits##_t atomic_##name##_##order##_u##bits(atomic_u##bits##_t *at, uint##bits##_t value) {     \
        return (uint##bits##_t)explore_update(&at->value, bits / 8, UPDATE_##NAME, value, ORDER_##ORDER);              \
    }
#define CAS(order, ORDER, bits)                                                                                        \
    static inline bool atomic_cas_##order##_u##bits(atomic_u##bits##_t *at, uint##bits##_t *expected,                  \
                                                    uint##bits##_t desired) {                                          \
        uint64_t found = *expected;                                                                                    \
        bool done = explore_cas(&at->value, bits / 8, &found, desired, ORDER_##ORDER);                                 \
        *expected = (uint##bits##_t)found;                                                                             \
        return done;                                                                                                   \
    }
#define CAS_WEAK(order, ORDER, bits)                                                                                   \
    static inline bool atomic_cas_weak_##order##_u##bits(atomic_u##bits##_t *at, uint##bits##_t *expected,             \
                                                         uint##bits##_t desired) {                                     \
        uint64_t found = *expected;                                                                                    \
        bool done = explore_cas_weak(&at->value, bits / 8, &found, desired, ORDER_##ORDER);                            \
        *expected = (uint##bits##_t)found;                                                                             \
        return done;                                                                                                   \
    }
#define UPDATES(order, ORDER, bits)                                                                                    \
    UPDATE(exchange, SET, order, ORDER, bits)                                                                          \
    UPDATE(fetch_add, ADD, order, ORDER, bits)                                                                         \
    UPDATE(fetch_sub, SUB, order, ORDER, bits)                                                                         \
    UPDATE(fetch_or, OR, order, ORDER, bits)                                                                           \
    UPDATE(fetch_and, AND, order, ORDER, bits)                                                                         \
    UPDATE(fetch_xor, XOR, order, ORDER, bits)                                                                         \
    CAS(order, ORDER, bits)                                                                                            \
    CAS_WEAK(order, ORDER, bits)
#define ACCESSES(bits)                                                                                                 \
    LOAD(relaxed, RELAXED, bits)                                                                                       \
    LOAD(acquire, ACQUIRE, bits)                                                                                       \
    LOAD(seq_cst, SEQ_CST, bits)                                                                                       \
    STORE(relaxed, RELAXED, bits)                                                                                      \
    STORE(release, RELEASE, bits)                                                                                      \
    STORE(seq_cst, SEQ_CST, bits)                                                                                      \
    UPDATES(relaxed, RELAXED, bits)                                                                                    \
    UPDATES(acquire, ACQUIRE, bits)                                                                                    \
    UPDATES(release, RELEASE, bits)                                                                                    \
    UPDATES(acq_rel, ACQ_REL, bits)                                                                                    \
    UPDATES(seq_cst, SEQ_CST, bits)
ACCESSES(32)
ACCESSES(64)

static inline void atomic_fence_acquire(void) { explore_fence(ORDER_ACQUIRE); }
static inline void atomic_fence_release(void) { explore_fence(ORDER_RELEASE); }
static inline void atomic_fence_acq_rel(void) { explore_fence(ORDER_ACQ_REL); }
static inline void atomic_fence_seq_cst(void) { explore_fence(ORDER_SEQ_CST); }

static inline bool atomics_have_asymmetric(void) { return true; }
static inline void atomics_fence_everywhere(void) { explore_fence_all(); }
static inline void atomic_fence_light_seq_cst(bool asymmetric) {
    if (!asymmetric) {
        explore_fence(ORDER_SEQ_CST);
    }
}
static inline void atomic_fence_heavy_seq_cst(bool asymmetric) {
    explore_fence(ORDER_SEQ_CST);
    if (asymmetric) {
        explore_fence_all();
    }
}

#define PLAIN(name, type)                                                                                              \
    static inline type plain_load_##name(const plain_##name##_t *at) {                                                 \
        explore_plain(&at->value, sizeof at->value, false);                                                            \
        return at->value;                                                                                              \
    }                                                                                                                  \
    static inline void plain_store_##name(plain_##name##_t *at, type value) {                                          \
        explore_plain(&at->value, sizeof at->value, true);                                                             \
        at->value = value;                                                                                             \
    }
PLAIN(u32, uint32_t)
PLAIN(u64, uint64_t)
PLAIN(ptr, void *)

void *shared_alloc(size_t bytes);
void *shared_alloc_aligned(size_t bytes);
void shared_free(void *memory);
void *shared_reserve(size_t bytes);
bool shared_commit(void *at, size_t bytes, bool huge);
void shared_release(void *memory, size_t bytes);

static inline void park_wait(atomic_u32_t *at, uint32_t expected, uint64_t timeout_ns) {
    explore_wait(&at->value, sizeof at->value, expected, timeout_ns != UINT64_MAX);
}
static inline void park_wake(atomic_u32_t *at) { explore_wake(&at->value, EXPLORE_THREADS); }
static inline void spin_hint(unsigned round) {
    (void)round;
    explore_yield();
}

#undef LOAD
#undef STORE
#undef UPDATE
#undef UPDATES
#undef CAS
#undef CAS_WEAK
#undef ACCESSES
#undef PLAIN

#include "explore_sites.h"
