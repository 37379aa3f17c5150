// A stack of nodes that lie in an array: push and pop from any thread, and a node that was popped may be pushed again at once. Everything that threads share goes
// through the doors of atomics.h, and nothing else is special about it.
//
// The head holds the number of the newest node and a count of changes. Without the count, a pop that has read `head` and `next` may be overtaken by
// others that take this node and the next one and put only this one back: its compare-and-swap succeeds, and makes a node the newest
// that somebody holds. That fault is planted where TREIBER_ABA is defined.
#pragma once

#include "atomics.h"

#define TREIBER_NODES 4u

typedef struct {
    atomic_u64_t head;                    // changes << 32 | number of the newest node; 0: there is none
    atomic_u64_t next[TREIBER_NODES + 1]; // of node i, from 1; the number of the one below it
} treiber_stack_t;

static inline uint64_t treiber_head(uint64_t before, uint64_t node) {
#ifdef TREIBER_ABA
    (void)before;
    return node;
#else
    return ((before >> 32) + 1) << 32 | node;
#endif
}

static inline void treiber_push(treiber_stack_t *stack, uint64_t node) {
    /* relaxed: the compare-and-swap decides */
    uint64_t head = atomic_load_relaxed_u64(&stack->head);
    do {
        /* relaxed: the compare-and-swap publishes it */
        atomic_store_relaxed_u64(&stack->next[node], head & UINT32_MAX);
        /* edge NODE:RA — the node and what it leads to; :RA is in treiber_pop */
    } while (!atomic_cas_acq_rel_u64(&stack->head, &head, treiber_head(head, node)));
}

// 0: there is none.
static inline uint64_t treiber_pop(treiber_stack_t *stack) {
    /* edge NODE:A — that `next` is what was there when it was pushed; :RA is in treiber_push */
    uint64_t head = atomic_load_acquire_u64(&stack->head), next;
    do {
        if ((head & UINT32_MAX) == 0) {
            return 0;
        }
        /* relaxed: read in vain where the head has changed since */
        next = atomic_load_relaxed_u64(&stack->next[head & UINT32_MAX]);
        /* edge NODE:RA — that `next` was read before; :RA is in treiber_push */
    } while (!atomic_cas_acq_rel_u64(&stack->head, &head, treiber_head(head, next)));
    return head & UINT32_MAX;
}
