/* The least that a work-stealing deque can be, for the floors: a ring of fixed size, indices that only rise. With `fence`, a
 * full fence in each pop; without, it would need a barrier on the thief's side (which the floors leave out). */
#ifndef ORCH_FLOOR_DEQUE_H
#define ORCH_FLOOR_DEQUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "atomics.h"

enum { FLOOR_PLACES = 4096 };

typedef struct {
    _Alignas(128) _Atomic int64_t top;
    _Alignas(128) _Atomic int64_t bottom;
    _Alignas(128) _Atomic(void *) items[FLOOR_PLACES];
} floor_deque_t;

static inline void floor_push(floor_deque_t *d, void *item) {
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
    atomic_store_explicit(&d->items[bottom & (FLOOR_PLACES - 1)], item, memory_order_relaxed);
    atomic_store_explicit(&d->bottom, bottom + 1, memory_order_release);
}

static inline void floor_push_many(floor_deque_t *d, void *const *items, int64_t count) {
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
    for (int64_t i = 0; i < count; i++)
        atomic_store_explicit(&d->items[(bottom + i) & (FLOOR_PLACES - 1)], items[i], memory_order_relaxed);
    atomic_store_explicit(&d->bottom, bottom + count, memory_order_release);
}

static inline void *floor_pop(floor_deque_t *d, bool fence) {
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1;
    atomic_store_explicit(&d->bottom, bottom, memory_order_relaxed);
    if (fence)
        atomic_fence_seq_cst();
    else
        atomic_signal_fence(memory_order_seq_cst);
    int64_t top = atomic_load_explicit(&d->top, memory_order_relaxed);
    if (top < bottom)
        return atomic_load_explicit(&d->items[bottom & (FLOOR_PLACES - 1)], memory_order_relaxed);
    void *item = NULL;
    if (top == bottom && atomic_compare_exchange_strong_explicit(&d->top, &top, top + 1, memory_order_seq_cst, memory_order_relaxed))
        item = atomic_load_explicit(&d->items[bottom & (FLOOR_PLACES - 1)], memory_order_relaxed);
    atomic_store_explicit(&d->bottom, bottom + 1, memory_order_relaxed);
    return item;
}

static inline int64_t floor_steal(floor_deque_t *d, void **items, int64_t most) {
    int64_t top = atomic_load_explicit(&d->top, memory_order_acquire);
    atomic_fence_seq_cst();
    int64_t count = atomic_load_explicit(&d->bottom, memory_order_acquire) - top;
    count = count < most ? count : most;
    if (count <= 0)
        return 0;
    for (int64_t i = 0; i < count; i++)
        items[i] = atomic_load_explicit(&d->items[(top + i) & (FLOOR_PLACES - 1)], memory_order_relaxed);
    bool got = atomic_compare_exchange_strong_explicit(&d->top, &top, top + count, memory_order_seq_cst, memory_order_relaxed);
    return got ? count : 0;
}

#endif
