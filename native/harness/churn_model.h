/* What the churn bench knows without asking the table: the oracles of C1, C2, C3 and C5.
 *
 * Nodes. A worker's capabilities that only it can name. Under a root of its own nothing happens to them but
 * what it does itself: the model is exact, and every answer of the table has one right value. Under a parent
 * that another worker owns (a record) the other may end or attenuate them at any time: then the model is an
 * upper bound, and an answer "allowed" beyond it is a violation.
 *
 * Records. A worker publishes capabilities that all others delegate from. What its owner does to it is told
 * before (started) and after (done, ended) in one word, so that whoever reads "done" before it starts a
 * check may hold the table to it. Only the owner changes a record, except that anyone who ended it says so.
 *
 * Graves. Ids that are dead for good, published after the call that ended them has returned. */
#ifndef ORCH_CHURN_MODEL_H
#define ORCH_CHURN_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "capability.h"
#include "harness.h"

enum { NODES_MAX = 256, DEPTH_MAX = 8, RECORDS_MAX = 64, GRAVES = 64, DROPS_MAX = 15 };

/* Rights that are only ever taken away, and those that grant gives to roots. */
#define RIGHTS_DATA ((cap_rights_t)0xffff)
#define RIGHTS_GRANTED ((cap_rights_t)0xff0000)

/* ---- records ---- */
#define RECORD_ENDED ((uint64_t)1)      /* revoke or delete of it has returned */
#define RECORD_CLOSED ((uint64_t)2)     /* being replaced: its id belongs to no sequence */
#define RECORD_STARTED ((uint64_t)1 << 8)  /* attenuations begun, 8 bits */
#define RECORD_DONE ((uint64_t)1 << 16)    /* attenuations returned, 8 bits */

typedef struct {
    /* sequence number in the upper half; written by the owner, ENDED by anyone */
    _Alignas(128) _Atomic uint64_t word;
    _Atomic cap_id_t id;
    _Atomic uint64_t drops; /* the bit that attenuation n took: 4 bits each, n from 0 */
    cap_rights_t rights;    /* owner only: DATA rights that it still has */
} record_t;

/* A record as seen at one moment. */
typedef struct {
    record_t *record;
    cap_id_t id;
    uint32_t sequence;
} glimpse_t;

static inline uint32_t record_sequence(uint64_t word) { return (uint32_t)(word >> 32); }
static inline unsigned record_started(uint64_t word) { return (unsigned)(word >> 8) & 0xff; }
static inline unsigned record_done(uint64_t word) { return (unsigned)(word >> 16) & 0xff; }

/* false where it is being replaced or has ended. */
static inline bool record_glimpse(record_t *record, glimpse_t *glimpse) {
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    if (word == 0 || (word & (RECORD_ENDED | RECORD_CLOSED)))
        return false;
    cap_id_t id = atomic_load_explicit(&record->id, memory_order_acquire);
    uint64_t again = atomic_load_explicit(&record->word, memory_order_acquire);
    *glimpse = (glimpse_t){record, id, record_sequence(word)};
    return record_sequence(again) == record_sequence(word); /* the id is that of this sequence */
}

typedef struct {
    bool ended;
    cap_rights_t gone;
} decline_t;

/* What must be denied from now on to a capability that was delegated below `sequence` of the record when
 * `born` attenuations had been begun. Another sequence means that ours has ended: only then is it replaced. */
static inline decline_t record_decline(const record_t *record, uint32_t sequence, unsigned born) {
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    uint64_t drops = atomic_load_explicit(&record->drops, memory_order_acquire); /* at least `done` of them */
    uint64_t again = atomic_load_explicit(&record->word, memory_order_acquire);  /* were they of this sequence? */
    if (record_sequence(word) != sequence || record_sequence(again) != sequence || (word & RECORD_ENDED))
        return (decline_t){.ended = true};
    decline_t decline = {.ended = false};
    for (unsigned n = born; n < record_done(word); n++)
        decline.gone |= (cap_rights_t)1 << ((drops >> (4 * n)) & 15);
    return decline;
}

/* Owner: an attenuation is about to be called. Ordered before it for every thread, so that who reads a
 * smaller number later on knows that its own delegation was there before. */
static inline void record_tell_started(record_t *record) {
    atomic_fetch_add_explicit(&record->word, RECORD_STARTED, memory_order_seq_cst);
}

/* Owner: the attenuation has returned, and took `bit`. */
static inline void record_tell_done(record_t *record, unsigned bit) {
    uint64_t word = atomic_load_explicit(&record->word, memory_order_relaxed);
    uint64_t drops = atomic_load_explicit(&record->drops, memory_order_relaxed);
    atomic_store_explicit(&record->drops, drops | (uint64_t)bit << (4 * record_done(word)), memory_order_release);
    record->rights &= ~((cap_rights_t)1 << bit);
    atomic_fetch_add_explicit(&record->word, RECORD_DONE, memory_order_release);
}

/* A call that ended it has returned. */
static inline void record_tell_ended(record_t *record, uint32_t sequence) {
    uint64_t word = atomic_load_explicit(&record->word, memory_order_relaxed);
    while (record_sequence(word) == sequence && !(word & RECORD_ENDED))
        if (atomic_compare_exchange_weak_explicit(&record->word, &word, word | RECORD_ENDED,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return;
}

/* Owner: another capability takes its place; the one before has ended. */
static inline void record_replace(record_t *record, cap_id_t id, cap_rights_t rights) {
    uint64_t word = atomic_load_explicit(&record->word, memory_order_relaxed);
    uint64_t next = ((uint64_t)record_sequence(word) + 1) << 32;
    atomic_store_explicit(&record->word, next | RECORD_CLOSED, memory_order_release);
    atomic_store_explicit(&record->drops, 0, memory_order_release);
    atomic_store_explicit(&record->id, id, memory_order_release);
    record->rights = rights & RIGHTS_DATA;
    atomic_store_explicit(&record->word, next, memory_order_release);
}

/* ---- graves ---- */
typedef struct {
    _Alignas(128) _Atomic cap_id_t revoked[GRAVES]; /* C1; written by one worker, read by all */
    _Atomic cap_id_t deleted[GRAVES];               /* C3 */
    uint32_t next_revoked, next_deleted;            /* that worker only */
} graves_t;

static inline void graves_add(_Atomic cap_id_t *ring, uint32_t *next, cap_id_t id) {
    atomic_store_explicit(&ring[(*next)++ % GRAVES], id, memory_order_release);
}

/* ---- nodes ---- */
typedef struct {
    cap_id_t id; /* CAPABILITY_NONE: free */
    cap_rights_t rights;
    uint64_t object;
    int parent; /* index; -1: a root of ours, or a child of a record */
    int depth;
    record_t *record; /* NULL: exact */
    uint32_t sequence;
    unsigned born;
} node_t;

typedef struct {
    node_t nodes[NODES_MAX];
    int size; /* of `nodes` in use by this run */
    int live;
} family_t;

static inline int family_free(const family_t *family, uint32_t from) {
    for (int i = 0; i < family->size; i++) {
        int at = (int)((from + (uint32_t)i) % (uint32_t)family->size);
        if (family->nodes[at].id == CAPABILITY_NONE)
            return at;
    }
    return -1;
}

/* A live node, searched from a random place; -1 where there is none. */
static inline int family_pick(const family_t *family, uint32_t from) {
    for (int i = 0; i < family->size && family->live; i++) {
        int at = (int)((from + (uint32_t)i) % (uint32_t)family->size);
        if (family->nodes[at].id != CAPABILITY_NONE)
            return at;
    }
    return -1;
}

static inline bool family_under(const family_t *family, int node, int top) {
    while (node >= 0 && node != top)
        node = family->nodes[node].parent;
    return node == top;
}

static inline bool family_has_children(const family_t *family, int node) {
    for (int i = 0; i < family->size; i++)
        if (family->nodes[i].id != CAPABILITY_NONE && family->nodes[i].parent == node)
            return true;
    return false;
}

/* `rights` are gone from `top` and all below. */
static inline void family_attenuate(family_t *family, int top, cap_rights_t drop) {
    for (int i = 0; i < family->size; i++)
        if (family->nodes[i].id != CAPABILITY_NONE && family_under(family, i, top))
            family->nodes[i].rights &= ~drop;
}

/* `top` and all below have ended: their ids to `dead` (room for NODES_MAX), how many. Children first need
 * not be: all are read before any is freed. */
static inline int family_end(family_t *family, int top, cap_id_t *dead) {
    int count = 0;
    bool under[NODES_MAX];
    for (int i = 0; i < family->size; i++)
        under[i] = family->nodes[i].id != CAPABILITY_NONE && family_under(family, i, top);
    for (int i = 0; i < family->size; i++)
        if (under[i]) {
            dead[count++] = family->nodes[i].id;
            family->nodes[i].id = CAPABILITY_NONE;
        }
    family->live -= count;
    return count;
}

#endif
