// A work-stealing deque that grows: one owner pushes and pops at the bottom, everybody else steals at the top, in batches. The owner
// reads one word of others at a pop and, in asymmetric mode, fences nowhere; a steal is one compare-and-swap for the whole batch.
//
//        top            split             bottom
//         |   exposed     |    private      |          indices only rise, but bottom's
//
// What lies below `split` is exposed: it is taken at the top by a compare-and-swap of `top`, by thieves and by the owner alike. Since split
// and top only rise, while top is t the tasks from t to split are what they are, and a thief reads them before it takes them. What lies above is the
// owner's alone, and costs it no atomic operation.
//
// Who finds nothing exposed asks: sets ASKED in the `gate`. The owner sees it at its next pop, and exposes half of what is private. Where it
// does not come to that, because it is busy with a long task, the thief takes by force: after a heavy fence (atomics.h) it reads `bottom`
// and moves split in the owner's place, by a compare-and-swap of the gate from what it asked with. Every pop after the fence sees ASKED, and one that sees
// ASKED takes nothing before it has changed the gate itself; so just one of the two succeeds.
//
// Progress: push (but for growth) and pop are wait-free but for losing against a steal or an ask that succeeded; all others are lock-free.
// Reclamation: arrays that were outgrown stay until deque_end, together no larger than the one in use. So a thief may read from any.
// ABA: top and bottom have 64 bits and never come back. The gate holds 40 bits of split and 23 of a count of changes: it comes back after 2^23 asks
// during which split does not move, each with a heavy fence or an answer in between, while one thief sleeps within deque_force.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomics.h"
#include "status.h"

typedef struct deque_ring {
    struct deque_ring *older;
    uint64_t mask;
    atomic_u64_t slots[]; // pointers, as numbers; written by the owner
} deque_ring_t;

#define DEQUE_ASKED ((uint64_t)1)
#define DEQUE_SPLIT_SHIFT 24 // of the gate: the low 40 bits of split
#define DEQUE_TAKE_BACK 64u // the most that the owner takes back from the exposed part at once

// Where the arrays come from, instead of the heap: take gives zeroed memory aligned to CPU_PAIR, or NULL. Called by the owner alone. Nothing is given
// back one by one: who made it ends all of it after deque_end.
typedef struct deque_memory {
    void *(*take)(struct deque_memory *memory, size_t bytes);
} deque_memory_t;

typedef struct deque {
    _Alignas(CPU_PAIR) atomic_u64_t bottom; // written by the owner; read by who looks for something to ask for
    uint64_t split;                         // the owner's: where it last knew split to be, as a full index; never above it
    uint64_t limit;                         // the owner's: bottom may rise so far without another look at top
    uint64_t mask;                          // the owner's, of the ring in use
    atomic_u64_t *slots;                    // the owner's, of the ring in use
    deque_ring_t *ring;                     // the owner's
    atomic_u64_t grown;                     // growths; written by the owner
    bool asymmetric;                        // constant, like the next
    deque_memory_t *memory;                 // NULL: the heap
    _Alignas(CPU_PAIR) atomic_u64_t gate;   // split << 24 | changes << 1 | ASKED; written by the owner, who asks, who takes by force
    atomic_u64_t shared_ring;               // deque_ring_t *; written by the owner as it grows
    _Alignas(CPU_PAIR) atomic_u64_t top;    // written by who takes from the exposed part
} deque_t;
_Static_assert(sizeof(deque_t) == 3 * CPU_PAIR, "three writers, three pairs of lines");

// `places` is rounded up to a power of two, at least 2; indices begin at `first`. OK or NO_MEMORY.
status_t deque_begin(deque_t *deque, uint64_t places, uint64_t first, bool asymmetric);
// The same with arrays from `memory`, which outlives it.
status_t deque_begin_in(deque_t *deque, uint64_t places, uint64_t first, bool asymmetric, deque_memory_t *memory);
void deque_end(deque_t *deque);

// --- the owner ----------------------------------------------------------------------------------------------------

// False where the deque is full and there is no memory: nothing has changed. `item` is not NULL.
static inline bool deque_push(deque_t *deque, void *item);
// NULL: empty.
static inline void *deque_pop(deque_t *deque);
// All of them, or none.
bool deque_push_batch(deque_t *deque, void *const *items, uint64_t count);
// The oldest; NULL where there is none, or a thief was faster.
void *deque_pop_oldest(deque_t *deque);
// Everything exposed: for an owner that goes away.
void deque_expose(deque_t *deque);

// --- everybody else -------------------------------------------------------------------------------------------------

typedef enum { DEQUE_EMPTY = 0, DEQUE_EXPOSED, DEQUE_PRIVATE } deque_look_t;
// What there is to take now; DEQUE_PRIVATE: nothing is exposed. `*queued`: places from the oldest item to the newest. While others run both have moved on,
// and it may be more than there ever was in it.
deque_look_t deque_look(const deque_t *deque, uint64_t *queued);
// Takes up to `max` exposed items, oldest first: how many. 0: none was exposed, or somebody was faster.
uint32_t deque_steal(deque_t *deque, void **items, uint32_t max);
// Asks the owner to expose half. Whether somebody asks now; false: nothing is private.
bool deque_ask(deque_t *deque);
// Exposes half in the owner's place if it has been asked and has not answered. Whether split moved now.
bool deque_force(deque_t *deque);
// Exact when nothing runs.
uint64_t deque_size(const deque_t *deque);

// --- kernel/deque.c, where the short way ends -----------------------------------------------------------------------------
bool deque_make_room(deque_t *deque, uint64_t count);
void *deque_pop_asked(deque_t *deque, uint64_t at);

// Where the next push puts its item.
static inline uint64_t deque_bottom(const deque_t *deque) {
    /* relaxed: written by the owner alone */
    return atomic_load_relaxed_u64(&deque->bottom);
}

// Whether a push there looks for room first.
static inline bool deque_is_full(const deque_t *deque, uint64_t bottom) { return bottom == deque->limit; }

static inline void deque_push_into_room(deque_t *deque, uint64_t bottom, void *item) {
    /* relaxed: the store of bottom publishes it */
    atomic_store_relaxed_u64(&deque->slots[bottom & deque->mask], (uint64_t)(uintptr_t)item);
    /* edge ITEM:R — the item and what it leads to; :A is in deque_force */
    atomic_store_release_u64(&deque->bottom, bottom + 1);
}

static inline bool deque_push(deque_t *deque, void *item) {
    uint64_t bottom = deque_bottom(deque);
    if (__builtin_expect(deque_is_full(deque, bottom), 0) && !deque_make_room(deque, 1)) {
        return false;
    }
    deque_push_into_room(deque, bottom, item);
    return true;
}

// Whether the item lies at or above the split of that gate. The two are less than 2^39 apart, so that the difference of their low 40 bits tells.
static inline bool deque_is_private(uint64_t gate, uint64_t index) {
    uint64_t end = (index << DEQUE_SPLIT_SHIFT) + (((uint64_t)1 << DEQUE_SPLIT_SHIFT) - 1);
    return (int64_t)(end - gate) >= 0;
}

// For who knows the mode of the deque: whether there was an item, so that no item is looked at to know it.
static inline bool deque_pop_in(deque_t *deque, bool asymmetric, void **item) {
    /* relaxed: written by the owner alone */
    uint64_t bottom = atomic_load_relaxed_u64(&deque->bottom) - 1;
    /* edge ITEM:R — the items below, as before; :A is in deque_force */
    atomic_store_release_u64(&deque->bottom, bottom);
    /* edge FORCE:S — that the item is taken, before the look at the gate; :S is in deque_force */
    atomic_fence_light_seq_cst(asymmetric);
    /* relaxed: the fence orders it; deque_pop_asked acquires what it then uses */
    uint64_t gate = atomic_load_relaxed_u64(&deque->gate);
    if (__builtin_expect(!deque_is_private(gate, bottom) || (gate & DEQUE_ASKED) != 0, 0)) {
        *item = deque_pop_asked(deque, bottom);
        return *item != NULL;
    }
    /* relaxed: the owner has written it */
    *item = (void *)(uintptr_t)atomic_load_relaxed_u64(&deque->slots[bottom & deque->mask]);
    return true;
}

static inline void *deque_pop(deque_t *deque) {
    void *item = NULL;
    return deque_pop_in(deque, deque->asymmetric, &item) ? item : NULL;
}
