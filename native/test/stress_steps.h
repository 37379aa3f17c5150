// The steps of test_stress that change something through capability_ops_t; each answer is held against stress_model.h.
#pragma once

#include "capability_kept.h"
#include "stress_questions.h"

enum { CHANGED_MOST = 5 };

// --- changes --------------------------------------------------------------------------------------------------------

static bool is_full(worker_t *w, status_t status) {
    bool full = status == STATUS_FULL || status == STATUS_NO_MEMORY;
    w->refused += full;
    return full;
}

static void start_family(worker_t *w) {
    int f = atomic_fetch_add_explicit(&family_count, 1, memory_order_acq_rel);
    if (f >= FAMILIES) {
        return;
    }
    family_t *family = &families[f];
    member_t *root = &family->members[0];
    family->object = draw(w, UINT64_MAX);
    root->rights = FOR_GOOD | REGRANTED | CAPABILITY_RIGHT_DELEGATE;
    SET(&root->parent, -1);
    cap_id_t id = CAPABILITY_NONE;
    if (is_full(w, ops->create(w->seat, family->object, root->rights, &id))) {
        return;
    }
    w->created++;
    SET(&root->id, id);
    SET(&family->count, 1);
}

static void do_delegate(worker_t *w, family_t *family, int parent) {
    int m = atomic_fetch_add_explicit(&family->count, 1, memory_order_acq_rel);
    if (m >= MEMBERS) {
        atomic_fetch_sub_explicit(&family->count, 1, memory_order_acq_rel);
        return;
    }
    member_t *above = &family->members[parent];
    member_t *member = &family->members[m];
    cap_rights_t rights = above->rights & ~taking_above(family, parent) & draw_rights(w);
    rights |= draw(w, 4) != 0 ? CAPABILITY_RIGHT_DELEGATE : 0;
    rights |= draw(w, 16) == 0 ? (cap_rights_t)1 << draw(w, 63) : 0; // perhaps more than allowed
    member->rights = rights;
    SET(&member->parent, parent);
    atomic_fetch_add_explicit(&above->delegations, 1, memory_order_acq_rel);
    bool ended = ended_above(family, parent);
    cap_rights_t taken = taken_above(family, parent);
    cap_id_t id = CAPABILITY_NONE;
    status_t status = ops->delegate(w->seat, LOAD(&above->id), rights, &id);
    if (is_full(w, status)) {
        return;
    }
    cap_rights_t need = rights | CAPABILITY_RIGHT_DELEGATE;
    if (status == STATUS_OK && ended) {
        violation("C1", "delegate from %#llx succeeds after its end", (unsigned long long)LOAD(&above->id));
    }
    if (status == STATUS_OK && (need & (taken | ~bound_of(family, parent))) != 0) {
        violation("C2", "delegate of %#llx succeeds, and the parent lacks some of them", (unsigned long long)rights);
    }
    if (status == STATUS_STALE && !ending_above(family, parent)) {
        violation("C3", "delegate from %#llx is stale, and nobody ended it", (unsigned long long)LOAD(&above->id));
    }
    cap_rights_t may_lack = taking_above(family, parent) | ~above->rights;
    if (status == STATUS_DENIED && (need & may_lack) == 0) {
        violation("C2", "delegate of %#llx is denied, and the parent holds them", (unsigned long long)rights);
    }
    if (status == STATUS_OK) {
        w->created++;
        SET(&member->id, id);
        if (ended_above(family, m) && ops->check(table, id, 0)) {
            violation("C1", "a child delegated while its ancestor was revoked outlives the revoke: %#llx",
                      (unsigned long long)id);
        }
    }
}

// Members that a call is about to change, one after the other, and what was known before.
typedef struct change {
    uint64_t count;
    int m[CHANGED_MOST];
    cap_id_t ids[CHANGED_MOST];
    bool ended[CHANGED_MOST];
    bool below[CHANGED_MOST][MEMBERS];
    status_t answers[CHANGED_MOST];
} change_t;

// `m`, and where the table has batches, others of its family at times.
static void draw_change(worker_t *w, const family_t *family, int m, change_t *change) {
    int known = LOAD(&family->count) < MEMBERS ? LOAD(&family->count) : MEMBERS;
    change->count = draw(w, 3) == 0 ? 1 + draw(w, CHANGED_MOST) : 1;
    for (uint64_t i = 0; i < change->count; i++) {
        int other = (int)draw(w, (uint64_t)known);
        int at = i > 0 && LOAD(&family->members[other].id) != CAPABILITY_NONE ? other : m;
        change->m[i] = at;
        change->ids[i] = LOAD(&family->members[at].id);
        change->ended[i] = ended_above(family, at);
        for (int d = 0; d < MEMBERS; d++) {
            change->below[i][d] =
                d < known && LOAD(&family->members[d].id) != CAPABILITY_NONE && is_below(family, d, at);
        }
    }
}

static void judge_sum(const char *what, const change_t *change, uint64_t sum) {
    for (uint64_t i = 0; i < change->count; i++) {
        sum -= change->answers[i] == STATUS_OK;
    }
    if (sum != 0) {
        violation("C6", "%s of %llu tells another number than its answers", what, (unsigned long long)change->count);
    }
}

static void judge_attenuate(family_t *family, cap_rights_t drop, int m, bool ended, const bool *below, status_t status) {
    if (status == STATUS_OK && ended) {
        violation("C1", "attenuate of member %d succeeds after its end", m);
    }
    if (status == STATUS_STALE && !ending_above(family, m)) {
        violation("C3", "attenuate of member %d is stale, and nobody ended it", m);
    }
    for (int d = 0; d < MEMBERS; d++) { // for these at least, rights that a root may regain included
        if (status == STATUS_OK && below[d]) {
            RAISE(&family->members[d].taken, drop);
        }
    }
}

static void do_attenuate(worker_t *w, family_t *family, int m) {
    cap_rights_t drop = (cap_rights_t)1 << draw(w, 48);
    change_t change;
    draw_change(w, family, m, &change);
    for (uint64_t i = 0; i < change.count; i++) {
        RAISE(&family->members[change.m[i]].taking, drop);
    }
    if (change.count == 1) {
        change.answers[0] = ops->attenuate(w->seat, change.ids[0], drop);
    } else {
        judge_sum("attenuate", &change, ops->attenuate_batch(w->seat, change.ids, change.count, drop, change.answers));
    }
    for (uint64_t i = 0; i < change.count; i++) {
        judge_attenuate(family, drop, change.m[i], change.ended[i], change.below[i], change.answers[i]);
    }
}

static void judge_grant(const family_t *family, int m, bool ended, status_t status) {
    if (status == STATUS_OK && (ended || m != 0)) {
        violation(ended ? "C1" : "C2", "grant to member %d succeeds", m);
    }
    if ((status == STATUS_STALE && !ending_above(family, m)) || (status == STATUS_DENIED && m == 0)) {
        violation("C3", "grant to member %d is %s", m, status_name(status));
    }
}

static void do_grant(worker_t *w, const family_t *family, int m) {
    cap_rights_t add = REGRANTED & draw_rights(w);
    change_t change;
    draw_change(w, family, m, &change);
    if (change.count == 1) {
        change.answers[0] = ops->grant(w->seat, change.ids[0], add);
    } else {
        judge_sum("grant", &change, ops->grant_batch(w->seat, change.ids, change.count, add, change.answers));
    }
    for (uint64_t i = 0; i < change.count; i++) {
        judge_grant(family, change.m[i], change.ended[i], change.answers[i]);
    }
}

static void mark_end(worker_t *w, family_t *family, int m) {
    SET(&family->members[m].ended, true);
    for (int d = 0; d < MEMBERS; d++) {
        cap_id_t id = LOAD(&family->members[d].id);
        if (id != CAPABILITY_NONE && is_below(family, d, m)) {
            if (ops->check(table, id, 0)) {
                violation("C1", "member %d (%#llx) lives after the end of member %d", d, (unsigned long long)id, m);
            }
            bury(w, id);
        }
    }
}

static void do_revoke(worker_t *w, family_t *family, int m) {
    SET(&family->members[m].ending, true);
    status_t status = ops->revoke(w->seat, LOAD(&family->members[m].id));
    if (status != STATUS_OK && status != STATUS_STALE) {
        violation("C1", "revoke of member %d is %s", m, status_name(status));
    }
    mark_end(w, family, m);
}

static void do_delete(worker_t *w, family_t *family, int m) {
    member_t *member = &family->members[m];
    SET(&member->ending, true);
    bool ended = ended_above(family, m);
    status_t status = ops->delete_one(w->seat, LOAD(&member->id));
    if (status == STATUS_OK && ended) {
        violation("C1", "delete of member %d succeeds after its end", m);
    }
    if (status == STATUS_BUSY && LOAD(&member->delegations) == 0) {
        violation("C3", "delete of member %d is busy, and nothing was delegated from it", m);
    }
    if (status == STATUS_OK) {
        mark_end(w, family, m);
    }
}

// --- handing on -----------------------------------------------------------------------------------------------------

// What is known of a member that is about to be handed on below `parent`; -1: as a root.
typedef struct handover {
    int m;
    int parent;
    bool ended;           // either of the two
    bool below;           // the parent is below what is handed on
    cap_rights_t taken;   // the member cannot hold these any more
    cap_rights_t missing; // and the parent cannot hold these
} handover_t;

static void judge_transfer(const family_t *family, const handover_t *known, status_t status) {
    const member_t *member = &family->members[known->m];
    cap_rights_t surely = CAPABILITY_RIGHT_DELEGATE | (member->rights & ~taking_above(family, known->m));
    if (status == STATUS_OK && known->ended) {
        violation("C1", "transfer of member %d to member %d succeeds after the end of one", known->m, known->parent);
    }
    if (status == STATUS_OK && known->parent >= 0 && (surely & known->missing) != 0) {
        violation("C2", "transfer of member %d to member %d succeeds, which lacks %#llx of its rights", known->m,
                  known->parent, (unsigned long long)(surely & known->missing));
    }
    if (status == STATUS_OK && known->parent < 0 && known->m != 0) {
        violation("C2", "member %d is handed on as a root, and is not one", known->m);
    }
    if ((status == STATUS_OK || status == STATUS_DENIED) ? known->below : status == STATUS_INVALID && !known->below) {
        violation("C3", "transfer of member %d to member %d is %s", known->m, known->parent, status_name(status));
    }
    cap_rights_t all = member->rights | CAPABILITY_RIGHT_DELEGATE;
    cap_rights_t may_lack = known->parent < 0 ? (cap_rights_t)(known->m != 0)
                                              : taking_above(family, known->parent) | ~family->members[known->parent].rights;
    bool fits = known->parent < 0 ? may_lack == 0 : (all & may_lack) == 0;
    if (status == STATUS_DENIED && fits) {
        violation("C2", "transfer of member %d to member %d is denied, which holds its rights", known->m, known->parent);
    }
}

// The family in which what is handed on goes on: a new one for a root, its own one otherwise. -1: there is no room.
static int reserve_member(family_t *family, int parent, family_t **to) {
    if (parent < 0) {
        int f = atomic_fetch_add_explicit(&family_count, 1, memory_order_acq_rel);
        if (f >= FAMILIES) {
            return -1;
        }
        *to = &families[f];
        (*to)->object = family->object;
        return 0;
    }
    *to = family;
    int at = atomic_fetch_add_explicit(&family->count, 1, memory_order_acq_rel);
    if (at >= MEMBERS) {
        atomic_fetch_sub_explicit(&family->count, 1, memory_order_acq_rel);
        return -1;
    }
    return at;
}

static void do_transfer(worker_t *w, family_t *family, int m, int parent) {
    family_t *to = NULL;
    if (parent >= 0 && LOAD(&family->members[parent].id) == CAPABILITY_NONE) {
        return;
    }
    int at = reserve_member(family, parent, &to);
    if (at < 0) {
        return;
    }
    member_t *old = &family->members[m];
    member_t *next = &to->members[at];
    handover_t known = {.m = m, .parent = parent, .ended = ended_above(family, m), .taken = taken_above(family, m)};
    SET(&next->parent, parent);
    next->rights = old->rights;
    if (parent >= 0) {
        known.ended |= ended_above(family, parent);
        known.below = is_below(family, parent, m);
        known.missing = taken_above(family, parent) | ~bound_of(family, parent);
        atomic_fetch_add_explicit(&family->members[parent].delegations, 1, memory_order_acq_rel);
    }
    SET(&old->ending, true);
    cap_id_t above = parent >= 0 ? LOAD(&family->members[parent].id) : CAPABILITY_NONE;
    cap_id_t id = CAPABILITY_NONE;
    status_t status = ops->transfer(w->seat, LOAD(&old->id), above, &id);
    if (is_full(w, status)) {
        return;
    }
    judge_transfer(family, &known, status);
    if (status != STATUS_OK) {
        return;
    }
    w->created++;
    RAISE(&next->taking, taking_above(family, m));
    RAISE(&next->taken, parent < 0 ? known.taken & ~REGRANTED : known.taken);
    SET(&next->id, id);
    if (parent < 0) {
        SET(&to->count, 1);
    }
    mark_end(w, family, m);
    if (ended_above(to, at) && ops->check(table, id, 0)) {
        violation("C1", "a child handed on while its new ancestor was revoked outlives the revoke: %#llx",
                  (unsigned long long)id);
    }
}

// Private capabilities, so that slots are used again all the time, and a parent's list is swept.
static void do_private(worker_t *w) {
    cap_id_t root = CAPABILITY_NONE;
    cap_id_t child = CAPABILITY_NONE;
    if (is_full(w, ops->create(w->seat, 7, CAPABILITY_RIGHTS_ALL, &root))) {
        return;
    }
    w->created++;
    if (!is_full(w, ops->delegate(w->seat, root, FOR_GOOD, &child))) {
        w->created++;
        if (!ops->check(table, child, FOR_GOOD) || ops->check(table, child, CAPABILITY_RIGHT_DELEGATE)) {
            violation("C3", "a private child answers for somebody else");
        }
        if (draw(w, 2) == 0 && ops->delete_one(w->seat, child) != STATUS_OK) {
            violation("C3", "a private leaf cannot be deleted");
        }
    }
    if (!ops->check(table, root, CAPABILITY_RIGHTS_ALL)) {
        violation("C3", "a private root answers for somebody else");
    }
    if (ops->revoke(w->seat, root) != STATUS_OK || ops->check(table, child, 0) || ops->check(table, root, 0)) {
        violation("C1", "a private root or its child lives after the revoke");
    }
    bury(w, root);
    bury(w, child);
}

// The caches of all threads, while they are used.
static void resize_caches(worker_t *w) {
    static const uint64_t sizes[] = {0, 1, 8, 64, 512};
    if (kept_table_resize(table, sizes[draw(w, 5)]) != STATUS_OK) {
        violation("C6", "a cache cannot be resized");
    }
}

// C5 while it moves.
static void ask_stats(void) {
    capability_stats_t stats = ops->stats(table);
    if (stats.created < stats.deleted) {
        violation("C5", "%llu created, %llu deleted", (unsigned long long)stats.created,
                  (unsigned long long)stats.deleted);
    }
}

