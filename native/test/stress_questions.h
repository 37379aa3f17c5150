// Who asks in test_stress, and the steps that ask: each answer is held against stress_model.h.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "capability_ops.h"
#include "stress_model.h"

enum { GRAVES = 2048, BATCH = 70 };

typedef struct worker {
    _Alignas(128) uint64_t random;
    void *seat;
    uint64_t created;
    uint64_t refused;
    uint64_t operations;
    unsigned graves_used;
    cap_id_t graves[GRAVES];
} worker_t;

static const capability_ops_t *ops;
static void *table;
static family_t families[FAMILIES];
static _Atomic(int) family_count; // begun in this round

static uint64_t draw(worker_t *w, uint64_t below) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % below;
}

static cap_rights_t draw_rights(worker_t *w) { return (w->random * 0x9e3779b97f4a7c15u) & (FOR_GOOD | REGRANTED); }

static void bury(worker_t *w, cap_id_t id) { w->graves[w->graves_used++ % GRAVES] = id; }

// C1 and C3: what ended stays ended, whatever its slot is used for now.
static void visit_grave(worker_t *w) {
    cap_id_t id = w->graves[draw(w, GRAVES)];
    capability_info_t info;
    if (id != CAPABILITY_NONE && (ops->check(table, id, 0) || ops->lookup(table, id, &info) == STATUS_OK)) {
        violation("C3", "id %#llx answers again after its end", (unsigned long long)id);
    }
}

// --- questions ------------------------------------------------------------------------------------------------------

// What was known of a member before it was asked about; no member: an id that must never be found.
typedef struct question {
    const family_t *family; // NULL: no member
    int m;
    cap_id_t id;
    bool ended;
    cap_rights_t taken;
} question_t;

static question_t question_about(const family_t *family, int m) {
    return (question_t){.family = family, .m = m, .id = LOAD(&family->members[m].id), .ended = ended_above(family, m),
                        .taken = taken_above(family, m)};
}

static cap_rights_t draw_need(worker_t *w, const member_t *member) {
    cap_rights_t need = (cap_rights_t)1 << draw(w, 48);
    if (draw(w, 4) != 0) {
        return member->rights & (need | draw_rights(w) | CAPABILITY_RIGHT_DELEGATE);
    }
    return draw(w, 4) == 0 ? need | (cap_rights_t)1 << (48 + draw(w, 15)) : need;
}

static void judge_check(const char *what, const question_t *asked, cap_rights_t need, bool held) {
    if (asked->family == NULL) {
        if (held) {
            violation("C6", "%s finds %#llx, which nobody has", what, (unsigned long long)asked->id);
        }
        return;
    }
    const family_t *family = asked->family;
    int m = asked->m;
    cap_rights_t beyond = need & ~bound_of(family, m);
    if (held && asked->ended) {
        violation("C1", "%s of %#llx (member %d) succeeds after its end was reported", what,
                  (unsigned long long)asked->id, m);
    }
    if (held && (need & asked->taken) != 0) {
        violation("C2", "%s of %#llx finds %#llx, which were taken", what, (unsigned long long)asked->id,
                  (unsigned long long)(need & asked->taken));
    }
    if (held && beyond != 0) {
        violation("C2", "%s of %#llx finds %#llx, which it was never given", what, (unsigned long long)asked->id,
                  (unsigned long long)beyond);
    }
    cap_rights_t may_lack =
        taking_above(family, m) | beyond | (m == 0 ? REGRANTED & ~family->members[0].rights : 0);
    if (!held && (need & may_lack) == 0 && !ending_above(family, m)) {
        violation("C3", "%s of %#llx for %#llx fails, and nobody ended it or took a right", what,
                  (unsigned long long)asked->id, (unsigned long long)need);
    }
}

static void ask_check(worker_t *w, const family_t *family, int m) {
    cap_rights_t need = draw_need(w, &family->members[m]);
    question_t asked = question_about(family, m);
    judge_check("check", &asked, need, ops->check(table, asked.id, need));
}

// Members of a family, graves, and ids that were never made, some of them twice, asked for what `like` might hold. C6: each is answered as if it were alone.
static void ask_batch(worker_t *w, const family_t *family, int like) {
    question_t asked[BATCH];
    cap_id_t ids[BATCH];
    uint64_t allowed[2] = {~(uint64_t)0, ~(uint64_t)0};
    uint64_t count = draw(w, BATCH + 1);
    int members = LOAD(&family->count) < MEMBERS ? LOAD(&family->count) : MEMBERS;
    for (uint64_t i = 0; i < count; i++) {
        int m = (int)draw(w, (uint64_t)members);
        uint64_t kind = draw(w, 16);
        asked[i] = (question_t){.id = w->graves[draw(w, GRAVES)]};
        if (kind == 0) { // generation 0, which no slot has; but ids of the baseline are plain numbers
            asked[i].id = draw(w, 1 << 20) | (ops == &capability_baseline_ops ? (cap_id_t)1 << 63 : 0);
        } else if (kind != 1 && LOAD(&family->members[m].id) != CAPABILITY_NONE) {
            asked[i] = question_about(family, m);
        }
        ids[i] = asked[i].id;
    }
    cap_rights_t need = draw(w, 3) == 0 ? 0 : draw_need(w, &family->members[like]);
    uint64_t sum = ops->check_batch(table, ids, count, need, allowed);
    for (uint64_t i = 0; i < count; i++) {
        bool held = (allowed[i / 64] >> i % 64 & 1) != 0;
        judge_check("batch", &asked[i], need, held);
        sum -= held;
    }
    bool clean = count % 64 == 0 || allowed[count / 64] >> count % 64 == 0;
    if (sum != 0 || !clean) {
        violation("C6", "a batch of %llu tells another number than its bits, or bits beyond its end",
                  (unsigned long long)count);
    }
}

static void ask_lookup(family_t *family, int m) {
    member_t *member = &family->members[m];
    cap_id_t id = LOAD(&member->id);
    bool ended = ended_above(family, m);
    cap_rights_t taken = taken_above(family, m);
    capability_info_t info;
    if (ops->lookup(table, id, &info) != STATUS_OK) {
        if (!ending_above(family, m)) {
            violation("C3", "lookup of %#llx is stale, and nobody ended it", (unsigned long long)id);
        }
        return;
    }
    cap_id_t parent = m == 0 ? CAPABILITY_NONE : LOAD(&family->members[LOAD(&member->parent)].id);
    if (ended) {
        violation("C1", "lookup of %#llx succeeds after its end was reported", (unsigned long long)id);
    }
    if (info.object != family->object || info.parent != parent) {
        violation("C3", "lookup of %#llx tells object %llu and parent %#llx of another", (unsigned long long)id,
                  (unsigned long long)info.object, (unsigned long long)info.parent);
    }
    if ((info.rights & (taken | ~bound_of(family, m))) != 0) {
        violation("C2", "lookup of %#llx tells rights %#llx beyond its own", (unsigned long long)id,
                  (unsigned long long)info.rights);
    }
}
