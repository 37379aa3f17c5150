// Inside the capability table: what a slot looks like, and what its words mean. For kernel/capability*.c alone.
//
// An id is generation << 27 | index. A slot has two parts, in two arrays:
//   cap_entry_t  16 bytes, all that a check reads;
//   cap_slot_t   64 bytes, what changing operations need: the object, the tree, the lists.
//
// entry.state says whose the slot is. For generation g and index i:
//   live      the id itself, g << 27 | i: so a check compares once
//   dead      g << 27 | (i ^ 1)    ended, its slot still in the tree
//   pending   g << 27 | (i ^ 2)    a child that is linked to its parent and not yet anybody's
//   retired   g << 27 | (i ^ 3)    out of the tree, and then free for generation g + 1
//   0         never used
// An id whose low bits lead to entry i has those of i, so no 64 bits whatever equal a state that is not live. Entry 0 is never used.
//
// slot.children is the index of the first child, 0 for none, and the bit CLOSED: no child can be added any more. It only gets
// set. dead and CLOSED with no child left in the list: the whole subtree has ended, and nothing below is to be visited.
#pragma once

#include "atomics.h"
#include "capability.h"
#include "capability_optimized.h"
#include "reclaim.h"

#define INDEX_BITS 27
#define INDEX_MASK (((uint64_t)1 << INDEX_BITS) - 1)
#define GENERATION_MAX (((uint64_t)1 << (64 - INDEX_BITS)) - 1)
#define CHILDREN_CLOSED ((uint64_t)1 << 32)
#define SLOT_BATCH 64u                 // slots move between a thread and the table in batches
#define SLOT_CHUNK ((uint64_t)1 << 17) // slots whose memory is taken together: 2 MiB of entries
#define SWEEP_AT_LEAST 32u             // dead children, before their parent's list is swept

typedef enum { PHASE_LIVE = 0, PHASE_DEAD = 1, PHASE_PENDING = 2, PHASE_RETIRED = 3 } phase_t;

typedef struct cap_slot {
    _Alignas(CPU_LINE) atomic_u64_t children; // written by delegate (from below) and who ends the capability
    atomic_u64_t object;                      // constant while the slot is one capability's
    atomic_u64_t parent;                      // id; constant likewise
    atomic_u32_t next;                        // next sibling; written by delegate, then by who sweeps the parent
    atomic_u32_t dead;                        // children that ended since the last sweep
    atomic_u32_t sweep_at;                    // how many of them make a sweep worth while; written by who sweeps
    atomic_u32_t sweeping;                    // 1 while somebody does
    reclaim_node_t limbo;                     // in the tree: nothing; then the list of who takes it out of use
    plain_u32_t chain;                        // free: the next slot of the batch
    atomic_u32_t batch;                       // free, first of its batch: the next batch
} cap_slot_t;
_Static_assert(sizeof(cap_slot_t) == CPU_LINE, "a slot is one line");

struct capability_table {
    // Constant.
    capability_view_t view; // first: capability_optimized.h reads it
    cap_slot_t *slots;
    uint64_t first_generation;
    numa_placement_t placement;
    reclaim_t *domain;
    // Written by who makes or ends a cache.
    atomic_u64_t caches;
    // Written by who ends a capability or changes its rights, while there are caches.
    _Alignas(CPU_PAIR) atomic_u64_t epochs[CAPABILITY_EPOCHS];
    // Written by the first one who makes a column: the seat of each slot's capability (capability_column.c), or 0.
    atomic_u64_t members;
    // Written when a thread needs a batch of slots.
    _Alignas(CPU_PAIR) atomic_u64_t batches; // free batches: count of changes << 32 | index of the first
    _Alignas(CPU_PAIR) atomic_u64_t fresh;   // first index never given out
    // Written once each.
    _Alignas(CPU_PAIR) atomic_u32_t committed[CAPABILITY_MAX_CAPACITY / SLOT_CHUNK]; // 1: the chunk is writable
    atomic_u32_t members_committed[CAPABILITY_MAX_CAPACITY / SLOT_CHUNK];
    struct capability_thread {
        // All of it written by its thread alone; the counters are read by others.
        _Alignas(CPU_PAIR) atomic_u64_t created;
        atomic_u64_t deleted;
        atomic_u64_t worn;
        capability_table_t *table;
        reclaim_thread_t *reclaim;
        uint32_t ready;      // chain of slots to take from
        uint32_t freed;      // chain of slots given back
        uint32_t freed_count;
        uint64_t fresh;      // indices never used: from here
        uint64_t fresh_end;  // to here
    } threads[CAPABILITY_MAX_THREADS];
};
_Static_assert(CAPABILITY_MAX_CAPACITY >> INDEX_BITS == 1, "an id has room for every slot");
_Static_assert(offsetof(struct capability_table, view) == 0, "capability_view() finds it there");
_Static_assert(SLOT_BATCH % CAPABILITY_EPOCH_SLOTS == 0, "neighbours that come into use together share an epoch");
_Static_assert(CAPABILITY_MAX_THREADS == RECLAIM_MAX_THREADS, "a seat here is a seat there");

static inline uint64_t index_of(uint64_t id) { return id & INDEX_MASK; }
static inline uint64_t generation_of(uint64_t state) { return state >> INDEX_BITS; }
static inline uint64_t state_of(uint64_t generation, uint64_t index, phase_t phase) {
    return generation << INDEX_BITS | (index ^ (uint64_t)phase);
}
static inline phase_t phase_of(uint64_t state, uint64_t index) { return (phase_t)((state ^ index) & 3); }

// --- capability_table.c ---------------------------------------------------------------------------------------------
// Makes a part of an array writable, and puts it where the table's placement says. Safe to repeat. False without memory.
bool table_commit(const capability_table_t *table, void *at, size_t bytes, bool huge);

// --- capability_slots.c: which slots are in use -----------------------------------------------------------------
// Puts a slot index, never 0, into *index: OK, FULL or NO_MEMORY. Outside.
status_t slot_take(capability_thread_t *self, uint64_t *index);
// The generation that the slot's next capability gets.
uint64_t slot_next_generation(const capability_table_t *table, uint64_t index);
// Back from slot_take: no id of it has reached anybody, and it is in no list.
void slot_untake(capability_thread_t *self, uint64_t index);
// If the slot is dead, makes it retired and true: the caller alone passes it to slot_retire.
bool slot_claim(capability_table_t *table, uint64_t index);
void slot_retire(capability_thread_t *self, uint64_t index);
void slot_flush(capability_thread_t *self); // gives all that the thread holds to the table
void count(atomic_u64_t *counter, int64_t by); // a counter that only its own thread writes

// --- capability.c: making ---------------------------------------------------------------------------------------
// Fills a slot that is the caller's; its state is still that of the generation before.
void publish_words(capability_table_t *table, uint64_t index, uint64_t object, cap_rights_t rights, cap_id_t parent);
bool is_live(const capability_table_t *table, cap_id_t id);
// What a parent must hold so that `rights` can be delegated from it.
bool may_delegate(cap_rights_t held, cap_rights_t rights);
// Ends a child that is in its parent's list and nobody's yet.
void undo_child(capability_thread_t *self, uint64_t index);
// Whatever closed the capability is about to end it. Does it, so that whoever learns of it finds it ended: STALE.
status_t help_end(capability_thread_t *self, cap_id_t id);
status_t grant_inside(capability_table_t *table, cap_id_t id, cap_rights_t add);
status_t attenuate_inside(capability_table_t *table, cap_id_t id, cap_rights_t drop);

// --- capability_column.c: rights columns ----------------------------------------------------------------------------
// All but release inside. The rights of the capability in `index` have changed: its place in a column follows.
void column_renew(const capability_table_t *table, uint64_t index);
// It is closed and about to be made dead, if it is not: its place asks the table from now on. Then column_end, once it is dead.
typedef struct column_end {
    struct column_seat *seat; // NULL: it has no place
    uint64_t token;
} column_end_t;
column_end_t column_close(const capability_table_t *table, uint64_t index);
void column_end(const capability_table_t *table, column_end_t end, cap_id_t id);
void members_release(capability_table_t *table);

// --- capability_tree.c: the tree ----------------------------------------------------------------------------------
// All inside.
// Answers kept about the capability in `index` are not given any more: after it was changed, before the call returns.
void epoch_raise(capability_table_t *table, uint64_t index);
// The node after `at` in the subtree of `root`, parents first; 0 after the last.
uint64_t tree_next(const capability_table_t *table, uint64_t root, uint64_t at);
// Links a pending slot below `parent`; false when the parent takes no children any more.
bool tree_push(capability_table_t *table, uint64_t parent, uint64_t child);
// `index` is closed: makes it dead if it is not.
void tree_kill(capability_thread_t *self, uint64_t index);
// `root` is closed: makes it and its subtree dead, and takes the subtree out of use.
void tree_end(capability_thread_t *self, uint64_t root);
// Takes `index` out of use, or leaves it to its parent's next sweep. For the one caller that closed it, after tree_end.
void tree_finish(capability_thread_t *self, uint64_t index);
// Whether nobody lives, or is about to, in the list that starts with `first`. Below the dead, somebody may still: see tree_end.
bool tree_all_dead(const capability_table_t *table, uint64_t first);
