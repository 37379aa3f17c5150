// See deque.h for what split, the gate and asking are, and why no task is taken twice.
#include "deque.h"

#include <assert.h>

#define SPLIT_MASK (((uint64_t)1 << 40) - 1)
#define CHANGES_MASK (((uint64_t)1 << 23) - 1)

// The full index whose low 40 bits the gate holds, at or above `from` and less than 2^40 away.
static uint64_t split_above(uint64_t gate, uint64_t from) { return from + (((gate >> DEQUE_SPLIT_SHIFT) - from) & SPLIT_MASK); }

// The gate after `gate`: not asked, with another split.
static uint64_t gate_after(uint64_t gate, uint64_t split) {
    uint64_t changes = ((gate >> 1) + 1) & CHANGES_MASK;
    return (split & SPLIT_MASK) << DEQUE_SPLIT_SHIFT | changes << 1;
}

static deque_ring_t *ring_make(deque_memory_t *memory, uint64_t places) {
    if (places > (uint64_t)1 << 38) {
        return NULL;
    }
    size_t bytes = sizeof(deque_ring_t) + places * sizeof(atomic_u64_t);
    deque_ring_t *ring = memory == NULL ? shared_alloc_aligned(bytes) : memory->take(memory, bytes);
    if (ring != NULL) {
        ring->mask = places - 1;
    }
    return ring;
}

status_t deque_begin(deque_t *deque, uint64_t places, uint64_t first, bool asymmetric) {
    return deque_begin_in(deque, places, first, asymmetric, NULL);
}

status_t deque_begin_in(deque_t *deque, uint64_t places, uint64_t first, bool asymmetric, deque_memory_t *memory) {
    uint64_t rounded = 2;
    while (rounded < places) {
        rounded *= 2;
    }
    deque_ring_t *ring = ring_make(memory, rounded);
    if (ring == NULL) {
        return STATUS_NO_MEMORY;
    }
    *deque = (deque_t){.split = first,
                       .limit = first + rounded,
                       .mask = rounded - 1,
                       .slots = ring->slots,
                       .ring = ring,
                       .asymmetric = asymmetric,
                       .memory = memory};
    /* relaxed: nobody else knows the deque yet */
    atomic_store_relaxed_u64(&deque->bottom, first);
    /* relaxed: as above */
    atomic_store_relaxed_u64(&deque->top, first);
    /* relaxed: as above */
    atomic_store_relaxed_u64(&deque->gate, (first & SPLIT_MASK) << DEQUE_SPLIT_SHIFT);
    /* relaxed: as above */
    atomic_store_relaxed_u64(&deque->shared_ring, (uint64_t)(uintptr_t)ring);
    return STATUS_OK;
}

void deque_end(deque_t *deque) {
    for (deque_ring_t *ring = deque->memory == NULL ? deque->ring : NULL; ring != NULL;) {
        deque_ring_t *older = ring->older;
        shared_free(ring);
        ring = older;
    }
    deque->ring = NULL;
}

static void *slot_load(const deque_ring_t *ring, uint64_t index) {
    /* relaxed: who takes it has acquired the gate, or written it; what is read in vain is not used */
    return (void *)(uintptr_t)atomic_load_relaxed_u64(&ring->slots[index & ring->mask]);
}

static void slot_store(deque_ring_t *ring, uint64_t index, const void *item) {
    /* relaxed: the store of bottom, or of the gate, publishes it */
    atomic_store_relaxed_u64(&ring->slots[index & ring->mask], (uint64_t)(uintptr_t)item);
}

// A larger array with the same tasks at the same indices. Thieves that still read from the old one find there what
// they would find here: nothing is written to it any more.
static bool grow(deque_t *deque, uint64_t top, uint64_t bottom, uint64_t count) {
    uint64_t places = (deque->mask + 1) * 2;
    while (places < bottom - top + count) {
        places *= 2;
    }
    deque_ring_t *ring = ring_make(deque->memory, places);
    if (ring == NULL) {
        return false;
    }
    for (uint64_t i = top; i != bottom; i++) {
        slot_store(ring, i, slot_load(deque->ring, i));
    }
    ring->older = deque->ring;
    deque->ring = ring;
    deque->slots = ring->slots;
    deque->mask = ring->mask;
    deque->limit = top + places;
    /* edge RING:R — the tasks in the new array; :A is in deque_steal */
    atomic_store_release_u64(&deque->shared_ring, (uint64_t)(uintptr_t)ring);
    /* relaxed: a count, written by the owner alone */
    uint64_t grown = atomic_load_relaxed_u64(&deque->grown);
    /* relaxed: as above */
    atomic_store_relaxed_u64(&deque->grown, grown + 1);
    return true;
}

// Room for `count` more at the bottom.
bool deque_make_room(deque_t *deque, uint64_t count) {
    /* relaxed: written by the owner alone */
    uint64_t bottom = atomic_load_relaxed_u64(&deque->bottom);
    if (deque->limit - bottom >= count) {
        return true;
    }
    /* edge TAKEN:A — that the places below top have been read; :RA is in deque_steal */
    uint64_t top = atomic_load_acquire_u64(&deque->top);
    deque->limit = top + deque->mask + 1;
    return deque->limit - bottom >= count || grow(deque, top, bottom, count);
}

bool deque_push_batch(deque_t *deque, void *const *items, uint64_t count) {
    if (!deque_make_room(deque, count)) {
        return false;
    }
    /* relaxed: written by the owner alone */
    uint64_t bottom = atomic_load_relaxed_u64(&deque->bottom);
    for (uint64_t i = 0; i < count; i++) {
        slot_store(deque->ring, bottom + i, items[i]);
    }
    /* edge ITEM:R — the items and what they lead to; :A is in deque_force */
    atomic_store_release_u64(&deque->bottom, bottom + count);
    return true;
}

// Nothing is private: takes back half of what is exposed, in one go, and answers the oldest.
static void *deque_pop_exposed(deque_t *deque) {
    void *items[DEQUE_TAKE_BACK];
    uint64_t split = deque->split;
    /* edge TAKEN:A — that others have read what they took; :RA is in deque_steal */
    uint64_t top = atomic_load_acquire_u64(&deque->top);
    while (top != split) {
        uint64_t count = (split - top - 1) / 2 + 1;
        count = count < DEQUE_TAKE_BACK ? count : DEQUE_TAKE_BACK;
        items[0] = slot_load(deque->ring, top);
        for (uint64_t i = 1; i < count; i++) {
            items[i] = slot_load(deque->ring, top + i);
        }
        /* edge TAKEN:RA — that the places were read; :A is in deque_make_room */
        if (atomic_cas_acq_rel_u64(&deque->top, &top, top + count)) {
            deque->limit = top + count + deque->mask + 1;
            for (uint64_t i = count; i > 1; i--) {
                (void)deque_push(deque, items[i - 1]); // there is room: `count` places have just become free
            }
            return items[0];
        }
    }
    return NULL;
}

// The owner has taken `at` off the bottom, and the gate says that somebody asks, or that it is not the owner's: nothing was private, or was so
// until somebody took by force.
void *deque_pop_asked(deque_t *deque, uint64_t at) {
    /* edge GATE:A — what who took by force has read of the deque; :RA is in deque_force */
    uint64_t gate = atomic_load_acquire_u64(&deque->gate);
    while ((gate & DEQUE_ASKED) != 0) {
        uint64_t split = split_above(gate, deque->split);
        uint64_t exposed = split + (at - split + 1) / 2;
        uint64_t answer = gate_after(gate, exposed);
        /* edge GATE:RA — the tasks below the new split; :A is in deque_steal */
        if (atomic_cas_acq_rel_u64(&deque->gate, &gate, answer)) {
            gate = answer;
        }
    }
    deque->split = split_above(gate, deque->split);
    if (at - deque->split < (uint64_t)1 << 63) {
        return slot_load(deque->ring, at);
    }
    // Put back, where it is exposed already, if it is there.
    assert(deque->split == at + 1);
    /* edge ITEM:R — as before the pop; :A is in deque_force */
    atomic_store_release_u64(&deque->bottom, at + 1);
    return deque_pop_exposed(deque);
}

// Moves split up, up to `bottom`, and answers who asks.
static void expose(deque_t *deque, bool all) {
    /* relaxed: written by the owner alone */
    uint64_t bottom = atomic_load_relaxed_u64(&deque->bottom);
    /* edge GATE:A — what who took by force has read of the deque; :RA is in deque_force */
    uint64_t gate = atomic_load_acquire_u64(&deque->gate);
    for (bool done = false; !done;) {
        uint64_t split = split_above(gate, deque->split);
        split = all || split == bottom ? bottom : split + 1;
        uint64_t answer = gate_after(gate, split);
        /* edge GATE:RA — the tasks below the new split; :A is in deque_steal */
        done = atomic_cas_acq_rel_u64(&deque->gate, &gate, answer);
        if (done) {
            deque->split = split;
        }
    }
}

void deque_expose(deque_t *deque) { expose(deque, true); }

void *deque_pop_oldest(deque_t *deque) {
    /* edge TAKEN:A — that others have read what they took; :RA is in deque_steal */
    uint64_t top = atomic_load_acquire_u64(&deque->top);
    // Somebody may have taken by force since the last pop. After top, so that split is not behind it.
    /* edge GATE:A — what who took by force has read of the deque; :RA is in deque_force */
    deque->split = split_above(atomic_load_acquire_u64(&deque->gate), deque->split);
    if (top == deque->split) {
        expose(deque, false);
    }
    if (top == deque->split) {
        return NULL;
    }
    void *item = slot_load(deque->ring, top);
    /* edge TAKEN:RA — that the place was read; :A is in deque_make_room */
    return atomic_cas_acq_rel_u64(&deque->top, &top, top + 1) ? item : NULL;
}

uint32_t deque_steal(deque_t *deque, void **items, uint32_t max) {
    /* edge TAKEN:A — that others have read what they took; :RA is in deque_steal */
    uint64_t top = atomic_load_acquire_u64(&deque->top);
    /* edge GATE:A — the tasks below split; :RA is in deque_pop_asked */
    uint64_t gate = atomic_load_acquire_u64(&deque->gate);
    uint64_t count = split_above(gate, top) - top;
    count = count < max ? count : max;
    if (count == 0) {
        return 0;
    }
    // After the gate: an array in which a task below split is missing was replaced before split rose.
    /* edge RING:A — the tasks in the array; :R is in grow */
    const deque_ring_t *ring = (const deque_ring_t *)(uintptr_t)atomic_load_acquire_u64(&deque->shared_ring);
    for (uint64_t i = 0; i < count; i++) {
        items[i] = slot_load(ring, top + i);
    }
    /* edge TAKEN:RA — that the places were read; :A is in deque_make_room */
    return atomic_cas_acq_rel_u64(&deque->top, &top, top + count) ? (uint32_t)count : 0;
}

deque_look_t deque_look(const deque_t *deque, uint64_t *queued) {
    /* edge TAKEN:A — no more than others have taken; :RA is in deque_steal */
    uint64_t top = atomic_load_acquire_u64(&deque->top);
    /* edge GATE:A — that split is not behind top; :RA is in deque_pop_asked */
    uint64_t gate = atomic_load_acquire_u64(&deque->gate);
    uint64_t split = split_above(gate, top);
    /* relaxed: a look; who takes looks again. Who parks has fenced */
    uint64_t bottom = atomic_load_relaxed_u64(&deque->bottom);
    bool behind = bottom - split >= (uint64_t)1 << 63; // a pop that will find that it was too late
    *queued = (behind ? split : bottom) - top;
    return split != top ? DEQUE_EXPOSED : *queued != 0 ? DEQUE_PRIVATE : DEQUE_EMPTY;
}

bool deque_ask(deque_t *deque) {
    /* relaxed: the compare-and-swap decides */
    uint64_t gate = atomic_load_relaxed_u64(&deque->gate);
    if ((gate & DEQUE_ASKED) != 0) {
        return true;
    }
    /* relaxed: a look; the answer counts again */
    uint64_t bottom = atomic_load_relaxed_u64(&deque->bottom);
    if (!deque_is_private(gate, bottom - 1)) {
        return false;
    }
    /* edge GATE:RA — nothing but the question; :A is in deque_pop_asked */
    return atomic_cas_acq_rel_u64(&deque->gate, &gate, gate | DEQUE_ASKED);
}

bool deque_force(deque_t *deque) {
    /* edge GATE:A — who asked; :RA is in deque_ask */
    uint64_t gate = atomic_load_acquire_u64(&deque->gate);
    if ((gate & DEQUE_ASKED) == 0) {
        return false;
    }
    /* edge FORCE:S — that somebody asks, before bottom is read; :S is in deque_pop_in */
    atomic_fence_heavy_seq_cst(deque->asymmetric);
    /* edge ITEM:A — the items below bottom; :R is in deque_push_into_room */
    uint64_t bottom = atomic_load_acquire_u64(&deque->bottom);
    uint64_t count = (bottom - (gate >> DEQUE_SPLIT_SHIFT)) & SPLIT_MASK;
    if (count > SPLIT_MASK / 2) {
        count = 0; // a pop is about to find nothing; or split has moved on since, and the compare-and-swap fails
    }
    uint64_t answer = gate_after(gate, (gate >> DEQUE_SPLIT_SHIFT) + (count + 1) / 2);
    /* edge GATE:RA — the tasks below the new split; :A is in deque_steal */
    return atomic_cas_acq_rel_u64(&deque->gate, &gate, answer) && count != 0;
}

uint64_t deque_size(const deque_t *deque) {
    uint64_t queued = 0;
    (void)deque_look(deque, &queued);
    return queued;
}
