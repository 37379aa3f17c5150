// The capability table: lock-free, growable, with delegation and revocation of whole subtrees.
//
// A capability is an object, a mask of rights, and a place in a tree: what was delegated is a child of what it was
// delegated from. An id holds a slot and that slot's generation. It never comes back: a stale id fails for ever.
//
// Contract (docs/native/capability.md has the arguments and the matrix of who may run beside whom)
//   C1  After revoke(x) has returned, no check that starts later, on any thread, succeeds for x or a descendant.
//   C2  A child never holds a right that its parent did not hold at delegation. After attenuate(x, r) has returned,
//       no check that starts later finds r in a capability that was a descendant of x when the call started.
//   C3  A check never reads freed memory, and a slot reused never answers for its former id.
//   C4  check and lookup are wait-free; every other operation is lock-free.
//   C5  Counts balance: created = live + deleted; nothing leaks.
//   C6  A batch answers for each id what the single call would, absent, stale and revoked ones and no rights included. So do
//       the forms of capability_optimized.h, capability_cache.h and capability_simd.h.
//
// Who may call what: check and lookup need no registration and may be called from any thread, also from a signal
// handler. Everything that changes the table takes the caller's own capability_thread_t. Every operation may run
// beside every other, but table_create, table_destroy and audit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "numa.h"
#include "status.h"

typedef uint64_t cap_id_t;
typedef uint64_t cap_rights_t;

#define CAPABILITY_NONE ((cap_id_t)0) // never the id of a capability

// All 64 bits are the user's, but for the one that the table itself looks at: who lacks it cannot delegate.
#define CAPABILITY_RIGHT_READ ((cap_rights_t)1 << 0)
#define CAPABILITY_RIGHT_WRITE ((cap_rights_t)1 << 1)
#define CAPABILITY_RIGHT_EXECUTE ((cap_rights_t)1 << 2)
#define CAPABILITY_RIGHT_DELEGATE ((cap_rights_t)1 << 63)
#define CAPABILITY_RIGHTS_ALL (~(cap_rights_t)0)

#define CAPABILITY_MAX_CAPACITY ((uint64_t)1 << 27) // one slot is never used: so 2^26 can live at once, and more
#define CAPABILITY_MAX_THREADS 1024u

typedef struct capability_table capability_table_t;   // shared
typedef struct capability_thread capability_thread_t; // one thread's seat at one table

typedef struct capability_config {
    uint64_t capacity;         // slots; 0: 2^20; rounded up to a power of two; at most CAPABILITY_MAX_CAPACITY.
                               // Address space is reserved for all of them, memory is taken in chunks as they come
                               // into use. The baseline has no limit and ignores it.
    uint64_t first_generation; // 0: 1. For tests of a slot's last generations.
    numa_placement_t placement; // of each chunk, as it comes into use; where the kernel refuses, the table is right all the same
} capability_config_t;

typedef struct capability_info {
    uint64_t object;     // as given to create
    cap_rights_t rights; // at the time of the lookup
    cap_id_t parent;     // CAPABILITY_NONE for a root. The parent may be gone.
} capability_info_t;

// Sums over all threads, read while they run: created >= deleted in every answer.
typedef struct capability_stats {
    uint64_t created; // successful create and delegate
    uint64_t deleted; // ended, by delete or revoke, own or an ancestor's
} capability_stats_t;

// Found by walking the table: an independent account of the same things.
typedef struct capability_audit {
    uint64_t live;     // capabilities that a check would find
    uint64_t slots;    // ever taken into use = live + free + retired + linked + worn
    uint64_t free;     // ready for use
    uint64_t retired;  // waiting for the end of a grace period
    uint64_t linked;   // dead, not yet unlinked from a living parent's list of children
    uint64_t worn;     // never used again, because their generations are used up
    uint64_t orphans;  // live with a dead parent: a violation of C1
    uint64_t excesses; // live with a right that the parent lacks: a violation of C2
} capability_audit_t;

// --- the table and its threads ----------------------------------------------------------------------------------

// `config` may be NULL. OK, INVALID or NO_MEMORY.
status_t capability_table_create(const capability_config_t *config, capability_table_t **table);
// All threads have left. No other call runs.
void capability_table_destroy(capability_table_t *table);

// A seat for the calling thread. OK or FULL. A seat is used by one thread at a time.
status_t capability_thread_join(capability_table_t *table, capability_thread_t **self);
void capability_thread_leave(capability_thread_t *self);

// --- reading: wait-free, nothing shared is written --------------------------------------------------------------

// Whether `id` lives and holds every right in `need`. `need` 0 asks for life alone. Any 64 bits may be given as id.
bool capability_check(const capability_table_t *table, cap_id_t id, cap_rights_t need);
// OK with `info` filled, or STALE with `info` untouched.
status_t capability_lookup(const capability_table_t *table, cap_id_t id, capability_info_t *info);
// Bit i of `allowed`, which has (count + 63) / 64 words, is check(ids[i], need); the bits after the last are 0. How many are
// set. Each id is asked at a moment of its own within the call. Fetches ahead, so that misses overlap.
uint64_t capability_check_batch(const capability_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                                uint64_t *allowed);

// --- changing: lock-free ----------------------------------------------------------------------------------------

// A new root. OK, FULL or NO_MEMORY.
status_t capability_create(capability_thread_t *self, uint64_t object, cap_rights_t rights, cap_id_t *id);
// Adds rights to a root. A child never gains a right: DENIED. OK, STALE or DENIED.
status_t capability_grant(capability_thread_t *self, cap_id_t id, cap_rights_t add);
// Takes rights from `id`, and from all its descendants, one after the other. OK or STALE.
status_t capability_attenuate(capability_thread_t *self, cap_id_t id, cap_rights_t drop);
// A child of `parent` on the same object. DENIED where the parent lacks DELEGATE or one of `rights`.
// OK, STALE, DENIED, FULL or NO_MEMORY.
status_t capability_delegate(capability_thread_t *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child);
// Ends `id` and all its descendants. STALE where it was gone already, or where another call ends it: its subtree
// is gone then, too. OK or STALE.
status_t capability_revoke(capability_thread_t *self, cap_id_t id);
// Ends `id` alone. OK, STALE, or BUSY where it has living children.
status_t capability_delete(capability_thread_t *self, cap_id_t id);

// Hands a capability on: `id` ends with all its descendants, as by revoke, and `*moved` begins, with the rights and the object of
// `id`, below `parent`. At no moment are both found. Who had `id`, or anything delegated from it, has nothing any more.
// It gives nothing that `parent` could not have delegated, so it needs what delegate needs: DENIED where the parent
// lacks DELEGATE or a right of `id`, or is for another object. Without a parent (CAPABILITY_NONE) `*moved` is a
// root of its own; DENIED where `id` is not a root. INVALID where `parent` is `id` or one of its descendants.
// A right taken from `id` by a call that runs beside this one may be missing from `*moved`, and one that is
// granted beside it, too; what was taken before is. STALE: `id` or `parent` is gone.
// OK, STALE, DENIED, INVALID, FULL or NO_MEMORY; where it is not OK, this call has ended nothing.
status_t capability_transfer(capability_thread_t *self, cap_id_t id, cap_id_t parent, cap_id_t *moved);

// `answers[i]`, where `answers` is not NULL, is what the single call on ids[i] answers; how many are OK. They take effect one
// after the other, in order: an id may come twice. One stay in the reclamation domain serves some dozens of them.
uint64_t capability_grant_batch(capability_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t add,
                                status_t *answers);
uint64_t capability_attenuate_batch(capability_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t drop,
                                    status_t *answers);

// --- accounts ---------------------------------------------------------------------------------------------------

capability_stats_t capability_stats(const capability_table_t *table);
// Waits (this is the one call that does) until what the caller retired may be used again, and what former threads did whose
// seats nobody has taken since.
// The caller holds nothing of the table; other threads must go on or be idle, not be stopped inside an operation.
void capability_settle(capability_thread_t *self);
// Walks everything. No changing call runs.
capability_audit_t capability_audit(const capability_table_t *table);
