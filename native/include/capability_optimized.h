// The parts of capability.h that are worth inlining: the same answers, without the call.
//
//   capability_check_inline   capability_check, inlined
//   capability_t              a capability found once: where its words are, and which id they must show
//   capability_check_fast     a check of such a capability; says yes inline, and leaves every other answer to
//   capability_check_delegated, which is a function of its own and answers as capability_check
//   capability_prefetch       starts to fetch what a check will read
//
// All of it is wait-free, writes nothing shared, and may run beside everything: C1 to C3 hold as for capability_check.
#pragma once

#include "atomics.h"
#include "capability.h"

// What a check reads of a capability. kernel/capability_layout.h says what `state` means; it is the id while the capability lives.
typedef struct cap_entry {
    _Alignas(16) atomic_u64_t state; // written by create, delegate, transfer, and who ends the capability
    atomic_u64_t rights;             // written by create, delegate, transfer, grant, attenuate
} cap_entry_t;
_Static_assert(sizeof(cap_entry_t) == 16, "a check reads one sixteen-byte entry");

// Revocation epochs. Each covers the slots of some batches, and is raised after one of their capabilities has ended or its
// rights have changed, before the call that did so returns. Whoever keeps an answer (capability_cache.h) reads the epoch first, then
// asks, and may give the same answer again as long as the epoch is the same. Only raised while something is kept of the table.
#define CAPABILITY_EPOCHS 1024u
#ifndef CAPABILITY_EPOCH_SLOTS // a test may give each slot its own
#define CAPABILITY_EPOCH_SLOTS 64u // neighbours that share one
#endif

// What every table begins with. Constant while the table lives.
typedef struct capability_view {
    cap_entry_t *entries; // mask + 1 of them, of which those never used may not be written
    uint64_t mask;        // an id's entry is entries[id & mask]
    atomic_u64_t *epochs; // CAPABILITY_EPOCHS of them
} capability_view_t;

static inline const capability_view_t *capability_view(const capability_table_t *table) {
    return (const capability_view_t *)(const void *)table;
}

static inline const cap_entry_t *capability_entry(const capability_view_t *view, cap_id_t id) {
    return &view->entries[id & view->mask];
}

// Of the slot that `id` names; no slot where it is not the id of any, and then nothing is to be kept.
static inline atomic_u64_t *capability_epoch(atomic_u64_t *epochs, cap_id_t id) {
    return &epochs[id / CAPABILITY_EPOCH_SLOTS % CAPABILITY_EPOCHS];
}

// Whether the entry shows `id` alive with all of `need`. The rights are read first: see kernel/capability.c.
static inline bool capability_entry_holds(const cap_entry_t *entry, cap_id_t id, cap_rights_t need) {
    /* edge RIGHTS:A — that the state has left the generation before; :R is in publish_words */
    cap_rights_t rights = atomic_load_acquire_u64(&entry->rights);
    /* edge LIFE:A — the capability, or its end; :R is in capability_create */
    uint64_t state = atomic_load_acquire_u64(&entry->state);
    return ((unsigned)(state == id) & (unsigned)((rights & need) == need)) != 0;
}

static inline bool capability_check_inline(const capability_table_t *table, cap_id_t id, cap_rights_t need) {
    return capability_entry_holds(capability_entry(capability_view(table), id), id, need);
}

// Good for as long as the table lives, whatever becomes of the capability: a stale one fails for ever.
typedef struct capability {
    const cap_entry_t *entry;
    cap_id_t id;
} capability_t;

// Any 64 bits; whether it lives is for the checks to say.
static inline capability_t capability_find(const capability_table_t *table, cap_id_t id) {
    return (capability_t){capability_entry(capability_view(table), id), id};
}

// The slow path: answers as capability_check for the capability's id. A capability's rights are its own words, and never more
// than those of what it was delegated from, so there is no chain of parents to go up.
bool capability_check_delegated(const capability_t *capability, cap_rights_t need);

static inline bool capability_check_fast(const capability_t *capability, cap_rights_t need) {
    if (__builtin_expect(capability_entry_holds(capability->entry, capability->id, need), 1)) {
        return true;
    }
    return capability_check_delegated(capability, need);
}

// Any 64 bits. A hint: nothing depends on it.
static inline void capability_prefetch(const capability_table_t *table, cap_id_t id) {
    cpu_prefetch(capability_entry(capability_view(table), id));
}
