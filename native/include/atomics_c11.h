// Back end of atomics.h: C11 atomics, the C library's memory, the kernel's address space. Include atomics.h instead.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

#ifdef __SANITIZE_THREAD__
#define ATOMICS_MODEL_FENCES 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOMICS_MODEL_FENCES 1
#endif
#endif
#ifndef ATOMICS_MODEL_FENCES
#define ATOMICS_MODEL_FENCES 0
#endif

// A struct each, so that no access can go past the doors by accident.
typedef struct { _Atomic(uint32_t) value; } atomic_u32_t;
typedef struct { _Atomic(uint64_t) value; } atomic_u64_t;
// Shared, but not accessed by two threads at once: some edge orders the accesses, and ThreadSanitizer checks it.
typedef struct { uint32_t value; } plain_u32_t;
typedef struct { void *value; } plain_ptr_t;

// --- loads and stores ---------------------------------------------------------------------------------------------
static inline uint32_t atomic_load_relaxed_u32(const atomic_u32_t *at) {
    return atomic_load_explicit(&at->value, memory_order_relaxed);
}
static inline uint32_t atomic_load_acquire_u32(const atomic_u32_t *at) {
    return atomic_load_explicit(&at->value, memory_order_acquire);
}
static inline uint64_t atomic_load_relaxed_u64(const atomic_u64_t *at) {
    return atomic_load_explicit(&at->value, memory_order_relaxed);
}
static inline uint64_t atomic_load_acquire_u64(const atomic_u64_t *at) {
    return atomic_load_explicit(&at->value, memory_order_acquire);
}
static inline uint64_t atomic_load_seq_cst_u64(const atomic_u64_t *at) {
    return atomic_load_explicit(&at->value, memory_order_seq_cst);
}
static inline void atomic_store_relaxed_u32(atomic_u32_t *at, uint32_t value) {
    atomic_store_explicit(&at->value, value, memory_order_relaxed);
}
static inline void atomic_store_release_u32(atomic_u32_t *at, uint32_t value) {
    atomic_store_explicit(&at->value, value, memory_order_release);
}
static inline void atomic_store_relaxed_u64(atomic_u64_t *at, uint64_t value) {
    atomic_store_explicit(&at->value, value, memory_order_relaxed);
}
static inline void atomic_store_release_u64(atomic_u64_t *at, uint64_t value) {
    atomic_store_explicit(&at->value, value, memory_order_release);
}
static inline void atomic_store_seq_cst_u64(atomic_u64_t *at, uint64_t value) {
    atomic_store_explicit(&at->value, value, memory_order_seq_cst);
}

// --- read-modify-writes -------------------------------------------------------------------------------------------
// A compare-and-swap is strong, and puts what it found into *expected when it fails (acquire, or seq_cst).
static inline bool atomic_cas_acq_rel_u32(atomic_u32_t *at, uint32_t *expected, uint32_t desired) {
    return atomic_compare_exchange_strong_explicit(&at->value, expected, desired, memory_order_acq_rel,
                                                   memory_order_acquire);
}
static inline bool atomic_cas_acq_rel_u64(atomic_u64_t *at, uint64_t *expected, uint64_t desired) {
    return atomic_compare_exchange_strong_explicit(&at->value, expected, desired, memory_order_acq_rel,
                                                   memory_order_acquire);
}
static inline bool atomic_cas_seq_cst_u64(atomic_u64_t *at, uint64_t *expected, uint64_t desired) {
    return atomic_compare_exchange_strong_explicit(&at->value, expected, desired, memory_order_seq_cst,
                                                   memory_order_seq_cst);
}
static inline uint32_t atomic_exchange_acquire_u32(atomic_u32_t *at, uint32_t value) {
    return atomic_exchange_explicit(&at->value, value, memory_order_acquire);
}
static inline uint64_t atomic_exchange_acq_rel_u64(atomic_u64_t *at, uint64_t value) {
    return atomic_exchange_explicit(&at->value, value, memory_order_acq_rel);
}
static inline uint64_t atomic_exchange_seq_cst_u64(atomic_u64_t *at, uint64_t value) {
    return atomic_exchange_explicit(&at->value, value, memory_order_seq_cst);
}
static inline uint32_t atomic_fetch_add_relaxed_u32(atomic_u32_t *at, uint32_t add) {
    return atomic_fetch_add_explicit(&at->value, add, memory_order_relaxed);
}
static inline uint64_t atomic_fetch_add_relaxed_u64(atomic_u64_t *at, uint64_t add) {
    return atomic_fetch_add_explicit(&at->value, add, memory_order_relaxed);
}
static inline uint64_t atomic_fetch_add_acq_rel_u64(atomic_u64_t *at, uint64_t add) {
    return atomic_fetch_add_explicit(&at->value, add, memory_order_acq_rel);
}
static inline uint32_t atomic_fetch_sub_acq_rel_u32(atomic_u32_t *at, uint32_t sub) {
    return atomic_fetch_sub_explicit(&at->value, sub, memory_order_acq_rel);
}
static inline uint64_t atomic_fetch_sub_acq_rel_u64(atomic_u64_t *at, uint64_t sub) {
    return atomic_fetch_sub_explicit(&at->value, sub, memory_order_acq_rel);
}
static inline uint64_t atomic_fetch_add_seq_cst_u64(atomic_u64_t *at, uint64_t add) {
    return atomic_fetch_add_explicit(&at->value, add, memory_order_seq_cst);
}
static inline uint64_t atomic_fetch_or_acq_rel_u64(atomic_u64_t *at, uint64_t bits) {
    return atomic_fetch_or_explicit(&at->value, bits, memory_order_acq_rel);
}
static inline uint64_t atomic_fetch_or_seq_cst_u64(atomic_u64_t *at, uint64_t bits) {
    return atomic_fetch_or_explicit(&at->value, bits, memory_order_seq_cst);
}
static inline uint64_t atomic_fetch_and_seq_cst_u64(atomic_u64_t *at, uint64_t bits) {
    return atomic_fetch_and_explicit(&at->value, bits, memory_order_seq_cst);
}

// --- fences -------------------------------------------------------------------------------------------------------
#if ATOMICS_MODEL_FENCES
extern atomic_u64_t atomics_fence_model; // kernel/atomics.c
// Stronger than the fence in one way: it orders every two fences, also those that no access connects. So a report
// is a real race, and a few races that the real fence would allow are not reported.
static inline void atomic_fence_seq_cst(void) {
    (void)atomic_fetch_add_explicit(&atomics_fence_model.value, 1, memory_order_seq_cst);
}
#else
static inline void atomic_fence_seq_cst(void) { atomic_thread_fence(memory_order_seq_cst); }
#endif
// Two ends of one seq_cst fence: the light one is on the path that is taken often, the heavy one on the rare path, and whatever
// the order in which two threads come to them, one sees what the other did before. With `asymmetric` the light end keeps the compiler from
// reordering and nothing else, and the heavy end makes every core that runs this process fence (membarrier, microseconds, interrupts).
// Both ends are told the same; asymmetric only after atomics_have_asymmetric has said yes in this process.
bool atomics_have_asymmetric(void);
void atomics_fence_everywhere(void); // kernel/atomics.c
static inline void atomic_fence_light_seq_cst(bool asymmetric) {
#if ATOMICS_MODEL_FENCES
    (void)asymmetric;
    atomic_fence_seq_cst();
#else
    if (__builtin_expect(asymmetric, 1)) {
        atomic_signal_fence(memory_order_seq_cst);
    } else {
        atomic_thread_fence(memory_order_seq_cst);
    }
#endif
}
static inline void atomic_fence_heavy_seq_cst(bool asymmetric) {
    atomic_fence_seq_cst();
    if (asymmetric) {
        atomics_fence_everywhere();
    }
}

// --- plain accesses to shared memory ------------------------------------------------------------------------------
static inline uint32_t plain_load_u32(const plain_u32_t *at) { return at->value; }
static inline void plain_store_u32(plain_u32_t *at, uint32_t value) { at->value = value; }
static inline void *plain_load_ptr(const plain_ptr_t *at) { return at->value; }
static inline void plain_store_ptr(plain_ptr_t *at, void *value) { at->value = value; }

// --- shared memory ------------------------------------------------------------------------------------------------
// Zeroed; NULL when there is none. The second is aligned to CPU_PAIR.
void *shared_alloc(size_t bytes);
void *shared_alloc_aligned(size_t bytes);
void shared_free(void *memory);
// Address space that reads as zero and cannot be written, aligned to 2 MiB; NULL when there is none. Costs no memory.
void *shared_reserve(size_t bytes);
// Makes a part of it writable; safe to repeat, from several threads at once. `at` and `bytes` in whole pages.
// With `huge`, the system is asked for large pages. False when there is no memory.
bool shared_commit(void *at, size_t bytes, bool huge);
void shared_release(void *memory, size_t bytes);

// --- waiting ------------------------------------------------------------------------------------------------------
// One round of a wait loop: relaxes the core, and now and then gives the processor to somebody else.
void spin_hint(unsigned round);
// Sleeps while *at is `expected`, until park_wake, for `timeout_ns` at most (UINT64_MAX: for ever). May return early: look again.
void park_wait(atomic_u32_t *at, uint32_t expected, uint64_t timeout_ns);
// Wakes who sleeps on *at, which was changed before.
void park_wake(atomic_u32_t *at);
