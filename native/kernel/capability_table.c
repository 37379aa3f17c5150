// The capability table's life, its threads, and its accounts.
#include "capability_layout.h"

#include <assert.h>

#define CAPACITY_DEFAULT ((uint64_t)1 << 20)
#define CAPACITY_LEAST ((uint64_t)1 << 10) // whole pages of both arrays

static uint64_t capacity_from(uint64_t wanted) {
    uint64_t capacity = CAPACITY_LEAST;
    while (capacity < wanted) {
        capacity *= 2;
    }
    return capacity;
}

static size_t entries_size(uint64_t capacity) { return capacity * sizeof(cap_entry_t); }
static size_t slots_size(uint64_t capacity) { return capacity * sizeof(cap_slot_t); }

static void release_all(capability_table_t *table) {
    uint64_t capacity = table->view.mask + 1;
    if (table->domain != NULL) {
        reclaim_destroy(table->domain);
    }
    members_release(table);
    shared_release(table->view.entries, entries_size(capacity));
    shared_release(table->slots, slots_size(capacity));
    shared_free(table);
}

bool table_commit(const capability_table_t *table, void *at, size_t bytes, bool huge) {
    if (!shared_commit(at, bytes, huge)) {
        return false;
    }
    if (table->placement.policy != NUMA_FIRST_TOUCH) {
        (void)numa_place(numa_system(), at, bytes, table->placement); // a wish: the table is right without it
    }
    return true;
}

status_t capability_table_create(const capability_config_t *config, capability_table_t **out) {
    uint64_t wanted = config != NULL && config->capacity != 0 ? config->capacity : CAPACITY_DEFAULT;
    uint64_t generation = config != NULL && config->first_generation != 0 ? config->first_generation : 1;
    numa_placement_t placement = config != NULL ? config->placement : (numa_placement_t){NUMA_FIRST_TOUCH, 0};
    if (wanted > CAPABILITY_MAX_CAPACITY || generation > GENERATION_MAX ||
        numa_place(numa_system(), NULL, 0, placement) == STATUS_INVALID) {
        return STATUS_INVALID;
    }
    capability_table_t *table = shared_alloc_aligned(sizeof *table);
    if (table == NULL) {
        return STATUS_NO_MEMORY;
    }
    uint64_t capacity = capacity_from(wanted);
    table->view.mask = capacity - 1;
    table->first_generation = generation;
    table->placement = placement;
    table->view.epochs = table->epochs;
    table->domain = reclaim_create();
    table->view.entries = shared_reserve(entries_size(capacity));
    table->slots = shared_reserve(slots_size(capacity));
    size_t first = capacity < SLOT_CHUNK ? capacity : SLOT_CHUNK;
    if (table->domain == NULL || table->view.entries == NULL || table->slots == NULL ||
        !table_commit(table, table->view.entries, entries_size(first), false)) {
        release_all(table);
        return STATUS_NO_MEMORY;
    }
    /* relaxed: who gets the table gets it from the caller */
    atomic_store_relaxed_u64(&table->view.entries[0].state, 1); // index 0 is never used: 0 is no id, and no link
    /* relaxed: as above */
    atomic_store_relaxed_u64(&table->fresh, 1);
    *out = table;
    return STATUS_OK;
}

void capability_table_destroy(capability_table_t *table) { release_all(table); }

status_t capability_thread_join(capability_table_t *table, capability_thread_t **self) {
    reclaim_thread_t *reclaim = NULL;
    status_t status = reclaim_join(table->domain, NULL, &reclaim);
    if (status != STATUS_OK) {
        return status;
    }
    capability_thread_t *thread = &table->threads[reclaim_index(reclaim)];
    thread->table = table;
    thread->reclaim = reclaim;
    reclaim_set_owner(reclaim, thread);
    *self = thread;
    return STATUS_OK;
}

void capability_thread_leave(capability_thread_t *self) {
    reclaim_poll(self->reclaim);
    slot_flush(self);
    reclaim_leave_domain(self->reclaim);
}

void capability_settle(capability_thread_t *self) { reclaim_drain(self->reclaim); }

capability_stats_t capability_stats(const capability_table_t *table) {
    capability_stats_t sum = {0};
    // Deleted first: each was counted as created before it could be deleted, so created is never behind.
    for (unsigned i = 0; i < CAPABILITY_MAX_THREADS; i++) {
        /* edge COUNT:A — what was counted before; :R is in count */
        sum.deleted += atomic_load_acquire_u64(&table->threads[i].deleted);
    }
    for (unsigned i = 0; i < CAPABILITY_MAX_THREADS; i++) {
        /* edge COUNT:A — what was counted before; :R is in count */
        sum.created += atomic_load_acquire_u64(&table->threads[i].created);
    }
    return sum;
}

// --- audit: nothing else runs, so relaxed loads see everything ----------------------------------------------------

static uint64_t chain_length(const capability_table_t *table, uint64_t at) {
    uint64_t length = 0;
    for (; at != 0; at = plain_load_u32(&table->slots[at].chain)) {
        length++;
    }
    return length;
}

static uint64_t free_in_batches(const capability_table_t *table) {
    uint64_t sum = 0;
    /* edge BATCH:A — the batches; :RA is in push_batch */
    uint64_t at = atomic_load_acquire_u64(&table->batches) & 0xffffffffu;
    while (at != 0) {
        sum += chain_length(table, at);
        /* relaxed: nothing else runs */
        at = atomic_load_relaxed_u32(&table->slots[at].batch);
    }
    return sum;
}

static void audit_child(const capability_table_t *table, uint64_t index, capability_audit_t *audit) {
    /* relaxed: nothing else runs */
    cap_id_t parent = atomic_load_relaxed_u64(&table->slots[index].parent);
    if (parent == CAPABILITY_NONE) {
        return;
    }
    const cap_entry_t *above = &table->view.entries[index_of(parent)];
    /* relaxed: nothing else runs */
    cap_rights_t rights = atomic_load_relaxed_u64(&table->view.entries[index].rights);
    /* relaxed: nothing else runs */
    if (atomic_load_relaxed_u64(&above->state) != parent) {
        audit->orphans++;
        /* relaxed: nothing else runs */
    } else if ((rights & ~atomic_load_relaxed_u64(&above->rights)) != 0) {
        audit->excesses++;
    }
}

capability_audit_t capability_audit(const capability_table_t *table) {
    capability_audit_t audit = {0};
    /* edge FRESH:A — the slots in use; :RA is in take_fresh */
    uint64_t end = atomic_load_acquire_u64(&table->fresh);
    audit.slots = end - 1;
    audit.free = free_in_batches(table);
    audit.retired = reclaim_waiting(table->domain);
    for (unsigned i = 0; i < CAPABILITY_MAX_THREADS; i++) {
        const capability_thread_t *thread = &table->threads[i];
        audit.free += chain_length(table, thread->ready) + chain_length(table, thread->freed) +
                      (thread->fresh_end - thread->fresh);
        /* relaxed: nothing else runs */
        audit.worn += atomic_load_relaxed_u64(&thread->worn);
    }
    for (uint64_t i = 1; i < end; i++) {
        /* relaxed: nothing else runs */
        uint64_t state = atomic_load_relaxed_u64(&table->view.entries[i].state);
        if (state == 0) {
            continue;
        }
        phase_t phase = phase_of(state, i);
        assert(phase != PHASE_PENDING);
        audit.live += phase == PHASE_LIVE;
        audit.linked += phase == PHASE_DEAD;
        if (phase == PHASE_LIVE) {
            audit_child(table, i, &audit);
        }
    }
    return audit;
}
