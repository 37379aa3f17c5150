/* A small table under one mutex with faults planted in it, for the test of the oracles: ORCH_FAULT says which.
 * Without a fault it keeps the contract, and the oracles must be silent. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capability.h"

enum { SLOTS = 1 << 16, NOWHERE = -1 };

typedef struct {
    uint32_t generation;
    bool live;
    uint64_t object;
    cap_rights_t rights;
    cap_id_t parent;
    int up, first, next; /* slots; the children's list is doubly useful: up tells the parent */
} slot_t;

typedef struct {
    pthread_mutex_t lock;
    capability_stats_t stats;
    int used, free_count;
    int free[SLOTS];
    slot_t slots[SLOTS];
} faulty_table_t;

typedef faulty_table_t faulty_thread_t; /* a seat is the table itself */

static bool fault(const char *name) {
    const char *asked = getenv("ORCH_FAULT");
    return asked && strcmp(asked, name) == 0;
}

static cap_id_t id_of(const faulty_table_t *t, int at) {
    return (cap_id_t)t->slots[at].generation << 32 | (cap_id_t)(at + 1);
}

static int find(const faulty_table_t *t, cap_id_t id) {
    int at = (int)(id & 0xffffffff) - 1;
    if (at < 0 || at >= t->used || !t->slots[at].live)
        return NOWHERE;
    return t->slots[at].generation == id >> 32 || fault("reuse_answers") ? at : NOWHERE;
}

static status_t faulty_table_create(const capability_config_t *config, faulty_table_t **table) {
    (void)config;
    *table = calloc(1, sizeof **table);
    if (!*table)
        return STATUS_NO_MEMORY;
    pthread_mutex_init(&(*table)->lock, NULL);
    return STATUS_OK;
}

static void faulty_table_destroy(faulty_table_t *table) { free(table); }

static status_t faulty_thread_join(faulty_table_t *table, faulty_thread_t **self) {
    *self = table;
    return STATUS_OK;
}

static void faulty_thread_leave(faulty_thread_t *self) {
    (void)self;
    while (fault("sleeps_on"))
        sleep(1);
    for (volatile bool on = fault("runs_on"); on;)
        continue;
}

static void lock(const faulty_table_t *t) {
    pthread_mutex_t *mutex = (pthread_mutex_t *)&t->lock;
    if (!fault("lock_spins")) {
        pthread_mutex_lock(mutex);
        return;
    }
    while (pthread_mutex_trylock(mutex) != 0)
        continue;
}
static void unlock(const faulty_table_t *t) { pthread_mutex_unlock((pthread_mutex_t *)&t->lock); }

static bool faulty_check(const faulty_table_t *t, cap_id_t id, cap_rights_t need) {
    lock(t);
    int at = find(t, id);
    bool allowed = at != NOWHERE && (need & ~t->slots[at].rights) == 0;
    if (fault("check_forgets") && id % 4096 == 7)
        allowed = false;
    unlock(t);
    return allowed;
}

static status_t faulty_lookup(const faulty_table_t *t, cap_id_t id, capability_info_t *info) {
    lock(t);
    int at = find(t, id);
    if (at != NOWHERE)
        *info = (capability_info_t){t->slots[at].object + fault("lookup_neighbour"), t->slots[at].rights,
                                    t->slots[at].parent};
    unlock(t);
    return at == NOWHERE ? STATUS_STALE : STATUS_OK;
}

static status_t add(faulty_table_t *t, int up, uint64_t object, cap_rights_t rights, cap_id_t *id) {
    if (!t->free_count && t->used == SLOTS)
        return STATUS_FULL;
    int at = t->free_count ? t->free[--t->free_count] : t->used++;
    slot_t *slot = &t->slots[at];
    *slot = (slot_t){slot->generation + 1, true, object, rights, CAPABILITY_NONE, up, NOWHERE, NOWHERE};
    if (up != NOWHERE) {
        slot->parent = id_of(t, up);
        slot->next = t->slots[up].first;
        t->slots[up].first = at;
    }
    t->stats.created += !fault("created_uncounted") || t->stats.created < 100;
    *id = id_of(t, at);
    return STATUS_OK;
}

static status_t faulty_create(faulty_thread_t *t, uint64_t object, cap_rights_t rights, cap_id_t *id) {
    lock(t);
    status_t status = add(t, NOWHERE, object, rights, id);
    unlock(t);
    return status;
}

static status_t faulty_grant(faulty_thread_t *t, cap_id_t id, cap_rights_t more) {
    lock(t);
    int at = find(t, id);
    status_t status = at == NOWHERE ? STATUS_STALE : STATUS_OK;
    if (at != NOWHERE && t->slots[at].parent != CAPABILITY_NONE && !fault("grant_to_child"))
        status = STATUS_DENIED;
    if (status == STATUS_OK)
        t->slots[at].rights |= more;
    unlock(t);
    return status;
}

static void drop_below(faulty_table_t *t, int at, cap_rights_t drop) {
    t->slots[at].rights &= ~drop;
    if (!fault("attenuate_alone"))
        for (int c = t->slots[at].first; c != NOWHERE; c = t->slots[c].next)
            drop_below(t, c, drop);
}

static status_t faulty_attenuate(faulty_thread_t *t, cap_id_t id, cap_rights_t drop) {
    lock(t);
    int at = find(t, id);
    if (at != NOWHERE)
        drop_below(t, at, drop);
    unlock(t);
    return at == NOWHERE ? STATUS_STALE : STATUS_OK;
}

static status_t faulty_delegate(faulty_thread_t *t, cap_id_t parent, cap_rights_t rights, cap_id_t *child) {
    lock(t);
    int at = find(t, parent);
    status_t status = at == NOWHERE ? STATUS_STALE : STATUS_OK;
    if (status == STATUS_OK && !(t->slots[at].rights & CAPABILITY_RIGHT_DELEGATE) && !fault("delegate_unasked"))
        status = STATUS_DENIED;
    if (status == STATUS_OK && (rights & ~t->slots[at].rights) && !fault("delegate_excess"))
        status = STATUS_DENIED;
    uint64_t object = status == STATUS_OK ? t->slots[at].object : 0;
    if (status == STATUS_OK && fault("child_active_under_revoked_parent")) {
        unlock(t); /* what the lock saw may have ended when the child is linked */
        sched_yield();
        lock(t);
        status = add(t, find(t, parent), object, rights, child);
    } else if (status == STATUS_OK) {
        status = add(t, at, object, rights, child);
    }
    unlock(t);
    return status;
}

static void unlink_from_parent(faulty_table_t *t, int at) {
    int up = t->slots[at].up;
    if (up == NOWHERE)
        return;
    int *link = &t->slots[up].first;
    while (*link != NOWHERE && *link != at)
        link = &t->slots[*link].next;
    if (*link == at)
        *link = t->slots[at].next;
}

static void end_one(faulty_table_t *t, int at) {
    t->slots[at].live = false;
    t->stats.deleted++;
    if (!fault("slots_leak") || at % 64)
        t->free[t->free_count++] = at;
}

static void end_below(faulty_table_t *t, int at) {
    for (int c = t->slots[at].first; c != NOWHERE;) {
        int next = t->slots[c].next;
        if (fault("revoke_alone"))
            t->slots[c].up = NOWHERE; /* cut loose and alive */
        else
            end_below(t, c);
        c = next;
    }
    end_one(t, at);
}

static status_t faulty_revoke(faulty_thread_t *t, cap_id_t id) {
    lock(t);
    int at = find(t, id);
    if (at != NOWHERE && !fault("revoke_nothing")) {
        unlink_from_parent(t, at);
        end_below(t, at);
    }
    unlock(t);
    return at == NOWHERE ? STATUS_STALE : STATUS_OK;
}

static status_t faulty_delete(faulty_thread_t *t, cap_id_t id) {
    lock(t);
    int at = find(t, id);
    status_t status = at == NOWHERE ? STATUS_STALE : STATUS_OK;
    if (at != NOWHERE && t->slots[at].first != NOWHERE)
        status = STATUS_BUSY;
    if (status == STATUS_BUSY && fault("delete_parent")) {
        for (int c = t->slots[at].first; c != NOWHERE; c = t->slots[c].next)
            t->slots[c].up = NOWHERE;
        status = STATUS_OK;
    }
    if (status == STATUS_OK && !fault("delete_nothing")) {
        unlink_from_parent(t, at);
        end_one(t, at);
    }
    unlock(t);
    return status;
}

static bool is_below(const faulty_table_t *t, int at, int above) {
    while (at != NOWHERE && at != above)
        at = t->slots[at].up;
    return at == above;
}

static status_t transfer_to(const faulty_table_t *t, int at, cap_id_t parent, int up) {
    if (parent == CAPABILITY_NONE)
        return t->slots[at].parent == CAPABILITY_NONE ? STATUS_OK : STATUS_DENIED;
    if (is_below(t, up, at))
        return STATUS_INVALID;
    cap_rights_t need = t->slots[at].rights | CAPABILITY_RIGHT_DELEGATE;
    bool fits = t->slots[up].object == t->slots[at].object && !(need & ~t->slots[up].rights);
    return fits ? STATUS_OK : STATUS_DENIED;
}

static status_t faulty_transfer(faulty_thread_t *t, cap_id_t id, cap_id_t parent, cap_id_t *moved) {
    lock(t);
    int at = find(t, id), up = parent == CAPABILITY_NONE ? NOWHERE : find(t, parent);
    bool gone = at == NOWHERE || (parent != CAPABILITY_NONE && up == NOWHERE);
    status_t status = gone ? STATUS_STALE : transfer_to(t, at, parent, up);
    cap_rights_t more = fault("transfer_widens") ? 0x0f : 0;
    if (status == STATUS_OK)
        status = add(t, up, t->slots[at].object, t->slots[at].rights | more, moved);
    if (status == STATUS_OK && !fault("transfer_copies")) {
        unlink_from_parent(t, at);
        end_below(t, at);
    }
    unlock(t);
    return status;
}

static uint64_t faulty_check_batch(const faulty_table_t *t, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                                   uint64_t *allowed) {
    uint64_t sum = 0;
    for (uint64_t word = 0; word < (count + 63) / 64; word++)
        allowed[word] = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t held = faulty_check(t, ids[i], need) || (need == 0 && fault("batch_finds_absent"));
        allowed[i / 64] |= held << i % 64;
        sum += held;
    }
    return sum;
}

static capability_stats_t faulty_stats(const faulty_table_t *t) {
    lock(t);
    capability_stats_t stats = t->stats;
    unlock(t);
    return stats;
}

static void faulty_settle(faulty_thread_t *t) { (void)t; }

static capability_audit_t faulty_audit(const faulty_table_t *t) {
    capability_audit_t audit = {.slots = (uint64_t)t->used, .free = (uint64_t)t->free_count};
    for (int at = 0; at < t->used; at++)
        audit.live += t->slots[at].live;
    return audit;
}

#define CHURN_BENCH "faulty_churn"
#define CHURN_SUMMARY "the churn on a table with a planted fault"
#define CHURN_STALL_MS 0
#define TABLE(F) faulty_##F
#define CAP(F) faulty_##F
#include "churn.h"
