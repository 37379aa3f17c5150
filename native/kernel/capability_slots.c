// Which slots are in use. A slot goes round: fresh or free -> pending, live -> dead -> retired -> (grace) -> free.
//
// A thread takes from its own chains, and passes whole batches of SLOT_BATCH through one shared stack. ABA on that
// stack: its first word counts its changes; and a batch is popped inside, so a slot that another thread popped, used and
// retired meanwhile cannot be pushed again before this thread leaves. The count alone protects from slots that were
// pushed unused by a thread that left the table.
#include "capability_layout.h"

#include <assert.h>

#define STACK_INDEX(word) ((word) & 0xffffffffu)

void count(atomic_u64_t *counter, int64_t by) {
    /* relaxed: written by this thread alone */
    uint64_t value = atomic_load_relaxed_u64(counter);
    /* edge COUNT:R — this and what was counted before it; :A is in capability_stats */
    atomic_store_release_u64(counter, value + (uint64_t)by);
}

static void push_batch(capability_table_t *table, uint64_t first) {
    /* relaxed: nothing is read through it, and the compare-and-swap decides */
    uint64_t top = atomic_load_relaxed_u64(&table->batches);
    uint64_t desired = 0;
    do {
        /* relaxed: the compare-and-swap below publishes it */
        atomic_store_relaxed_u32(&table->slots[first].batch, (uint32_t)STACK_INDEX(top));
        desired = ((top >> 32) + 1) << 32 | first;
        /* edge BATCH:RA — the chain of the batch, and its slots as they were left; :A is in pop_batch */
    } while (!atomic_cas_acq_rel_u64(&table->batches, &top, desired));
}

// The first slot of a batch, or 0.
static uint64_t pop_batch(capability_thread_t *self) {
    capability_table_t *table = self->table;
    reclaim_enter(self->reclaim);
    /* edge BATCH:A — the batch's links; :RA is in push_batch */
    uint64_t top = atomic_load_acquire_u64(&table->batches);
    uint64_t desired = 0;
    do {
        if (STACK_INDEX(top) == 0) {
            break;
        }
        /* relaxed: a value of another time makes the compare-and-swap fail */
        uint32_t below = atomic_load_relaxed_u32(&table->slots[STACK_INDEX(top)].batch);
        desired = ((top >> 32) + 1) << 32 | below;
        /* edge BATCH:RA — the chain of the batch; :RA is in push_batch */
    } while (!atomic_cas_acq_rel_u64(&table->batches, &top, desired));
    reclaim_leave(self->reclaim);
    return STACK_INDEX(top);
}

static bool commit_chunk(capability_table_t *table, uint64_t chunk) {
    /* edge COMMIT:A — that the memory is writable; :R is in commit_chunk */
    if (atomic_load_acquire_u32(&table->committed[chunk]) != 0) {
        return true;
    }
    uint64_t first = chunk * SLOT_CHUNK;
    uint64_t slots = table->view.mask + 1 - first < SLOT_CHUNK ? table->view.mask + 1 - first : SLOT_CHUNK;
    // Two threads may do this at once: it can be repeated, and neither waits.
    if (!table_commit(table, &table->slots[first], slots * sizeof(cap_slot_t), false) ||
        !table_commit(table, &table->view.entries[first], slots * sizeof(cap_entry_t), slots == SLOT_CHUNK)) {
        return false;
    }
    /* edge COMMIT:R — that the memory is writable; :A is in commit_chunk */
    atomic_store_release_u32(&table->committed[chunk], 1);
    return true;
}

static status_t take_fresh(capability_thread_t *self) {
    capability_table_t *table = self->table;
    uint64_t capacity = table->view.mask + 1;
    /* relaxed: the compare-and-swap decides */
    uint64_t from = atomic_load_relaxed_u64(&table->fresh);
    uint64_t end = 0;
    do {
        if (from >= capacity) {
            return STATUS_FULL;
        }
        end = from + SLOT_BATCH < capacity ? from + SLOT_BATCH : capacity;
        if (!commit_chunk(table, from / SLOT_CHUNK) || !commit_chunk(table, (end - 1) / SLOT_CHUNK)) {
            return STATUS_NO_MEMORY;
        }
        /* edge FRESH:RA — whose the indices are; :RA is in take_fresh */
    } while (!atomic_cas_acq_rel_u64(&table->fresh, &from, end));
    self->fresh = from;
    self->fresh_end = end;
    return STATUS_OK;
}

static status_t refill(capability_thread_t *self) {
    if (self->freed != 0) {
        self->ready = self->freed;
        self->freed = 0;
        self->freed_count = 0;
        return STATUS_OK;
    }
    self->ready = (uint32_t)pop_batch(self);
    return self->ready != 0 ? STATUS_OK : take_fresh(self);
}

status_t slot_take(capability_thread_t *self, uint64_t *index) {
    // When the table is full, slots may still wait for the end of a grace period: three moves of the epoch end any.
    for (int attempt = 0; self->ready == 0 && self->fresh == self->fresh_end; attempt++) {
        status_t status = refill(self);
        if (status != STATUS_OK) {
            if (attempt == 3) {
                return status;
            }
            reclaim_poll(self->reclaim);
        }
    }
    if (self->ready != 0) {
        *index = self->ready;
        self->ready = plain_load_u32(&self->table->slots[*index].chain);
    } else {
        *index = self->fresh++;
    }
    return STATUS_OK;
}

uint64_t slot_next_generation(const capability_table_t *table, uint64_t index) {
    /* relaxed: the slot is the caller's */
    uint64_t state = atomic_load_relaxed_u64(&table->view.entries[index].state);
    return state == 0 ? table->first_generation : generation_of(state) + 1;
}

void slot_untake(capability_thread_t *self, uint64_t index) {
    capability_table_t *table = self->table;
    /* relaxed: the slot is the caller's */
    uint64_t state = atomic_load_relaxed_u64(&table->view.entries[index].state);
    if (state != 0 && phase_of(state, index) == PHASE_PENDING) {
        /* edge LIFE:R — nothing: nobody had the id; :A is in capability_check */
        atomic_store_release_u64(&table->view.entries[index].state,
                                 state_of(generation_of(state), index, PHASE_RETIRED));
        if (generation_of(state) == GENERATION_MAX) {
            count(&self->worn, 1);
            return;
        }
    }
    plain_store_u32(&table->slots[index].chain, self->ready);
    self->ready = (uint32_t)index;
}

bool slot_claim(capability_table_t *table, uint64_t index) {
    /* edge LIFE:A — the end of the capability; :RA is in tree_kill */
    uint64_t state = atomic_load_acquire_u64(&table->view.entries[index].state);
    while (phase_of(state, index) == PHASE_DEAD) {
        uint64_t retired = state_of(generation_of(state), index, PHASE_RETIRED);
        /* edge LIFE:RA — that the slot is claimed; :A is in slot_claim */
        if (atomic_cas_acq_rel_u64(&table->view.entries[index].state, &state, retired)) {
            return true;
        }
    }
    return false;
}

// The grace period of a slot is over. `owner` is the thread that found out; NULL while the table is destroyed.
static void slot_free(reclaim_node_t *node, void *owner) {
    capability_thread_t *self = owner;
    if (self == NULL) {
        return;
    }
    capability_table_t *table = self->table;
    cap_slot_t *slot = (cap_slot_t *)((char *)node - offsetof(cap_slot_t, limbo));
    uint64_t index = (uint64_t)(slot - table->slots);
    /* relaxed: the grace period orders it */
    uint64_t state = atomic_load_relaxed_u64(&table->view.entries[index].state);
    assert(phase_of(state, index) == PHASE_RETIRED);
    if (generation_of(state) == GENERATION_MAX) {
        count(&self->worn, 1);
        return;
    }
    plain_store_u32(&slot->chain, self->freed);
    self->freed = (uint32_t)index;
    if (++self->freed_count == SLOT_BATCH) {
        if (self->ready == 0) {
            self->ready = self->freed;
        } else {
            push_batch(table, self->freed);
        }
        self->freed = 0;
        self->freed_count = 0;
    }
}

void slot_retire(capability_thread_t *self, uint64_t index) {
    reclaim_retire(self->reclaim, &self->table->slots[index].limbo, slot_free);
}

void slot_flush(capability_thread_t *self) {
    while (self->fresh != self->fresh_end) {
        uint64_t index = self->fresh++;
        plain_store_u32(&self->table->slots[index].chain, self->ready);
        self->ready = (uint32_t)index;
    }
    if (self->ready != 0) {
        push_batch(self->table, self->ready);
    }
    if (self->freed != 0) {
        push_batch(self->table, self->freed);
    }
    self->ready = 0;
    self->freed = 0;
    self->freed_count = 0;
}
