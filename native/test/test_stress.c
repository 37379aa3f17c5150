// Threads do every operation on shared capabilities for some seconds, and hold every answer against C1 to C5.
//
//     test_stress [seconds [threads [seed [lockfree|baseline]]]]
//
// Each also from the environment: ORCH_STRESS_SECONDS (default 3), _THREADS (4), _SEED (the time), _TABLE (both, the
// baseline for a fifth of the time). Exit status 0, or 1 with the violation. A round, milliseconds long, that has not ended
// after _STALL seconds (60) is one of C4.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stress_model.h"

enum { THREADS_MAX = 64, GRAVES = 2048, STEPS = 4000 };

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
static worker_t workers[THREADS_MAX];
static unsigned threads;
static pthread_barrier_t barrier;
static _Atomic(bool) over;
static unsigned stall;

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

static void ask_check(worker_t *w, family_t *family, int m) {
    member_t *member = &family->members[m];
    cap_id_t id = LOAD(&member->id);
    cap_rights_t need = (cap_rights_t)1 << draw(w, 48);
    if (draw(w, 4) != 0) {
        need = member->rights & (need | draw_rights(w) | CAPABILITY_RIGHT_DELEGATE);
    } else if (draw(w, 4) == 0) {
        need |= (cap_rights_t)1 << (48 + draw(w, 15));
    }
    bool ended = ended_above(family, m);
    cap_rights_t taken = taken_above(family, m);
    bool held = ops->check(table, id, need);
    cap_rights_t beyond = need & ~bound_of(family, m);
    if (held && ended) {
        violation("C1", "check of %#llx (member %d) succeeds after its end was reported", (unsigned long long)id, m);
    }
    if (held && (need & taken) != 0) {
        violation("C2", "check of %#llx finds %#llx, which were taken", (unsigned long long)id,
                  (unsigned long long)(need & taken));
    }
    if (held && beyond != 0) {
        violation("C2", "check of %#llx finds %#llx, which it was never given", (unsigned long long)id,
                  (unsigned long long)beyond);
    }
    cap_rights_t may_lack = taking_above(family, m) | beyond | (m == 0 ? REGRANTED & ~member->rights : 0);
    if (!held && (need & may_lack) == 0 && !ending_above(family, m)) {
        violation("C3", "check of %#llx for %#llx fails, and nobody ended it or took a right", (unsigned long long)id,
                  (unsigned long long)need);
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

static void do_attenuate(worker_t *w, family_t *family, int m) {
    cap_rights_t drop = (cap_rights_t)1 << draw(w, 48);
    int known = LOAD(&family->count);
    bool below[MEMBERS] = {false};
    for (int d = 0; d < known && d < MEMBERS; d++) {
        below[d] = LOAD(&family->members[d].id) != CAPABILITY_NONE && is_below(family, d, m);
    }
    bool ended = ended_above(family, m);
    RAISE(&family->members[m].taking, drop);
    status_t status = ops->attenuate(w->seat, LOAD(&family->members[m].id), drop);
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

static void do_grant(worker_t *w, family_t *family, int m) {
    cap_rights_t add = REGRANTED & draw_rights(w);
    bool ended = ended_above(family, m);
    status_t status = ops->grant(w->seat, LOAD(&family->members[m].id), add);
    if (status == STATUS_OK && (ended || m != 0)) {
        violation(ended ? "C1" : "C2", "grant to member %d succeeds", m);
    }
    if ((status == STATUS_STALE && !ending_above(family, m)) || (status == STATUS_DENIED && m == 0)) {
        violation("C3", "grant to member %d is %s", m, status_name(status));
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

// C5 while it moves.
static void ask_stats(void) {
    capability_stats_t stats = ops->stats(table);
    if (stats.created < stats.deleted) {
        violation("C5", "%llu created, %llu deleted", (unsigned long long)stats.created,
                  (unsigned long long)stats.deleted);
    }
}

// --- the run --------------------------------------------------------------------------------------------------------

static void step(worker_t *w) {
    int count = atomic_load_explicit(&family_count, memory_order_acquire);
    int newest = count < FAMILIES ? count : FAMILIES;
    int window = newest < WINDOW ? newest : WINDOW;
    family_t *family = window > 0 ? &families[newest - 1 - (int)draw(w, (uint64_t)window)] : NULL;
    int members = family != NULL ? LOAD(&family->count) : 0;
    members = members < MEMBERS ? members : MEMBERS;
    int m = members > 0 ? (int)draw(w, (uint64_t)members) : 0;
    uint64_t kind = draw(w, 100);
    if (kind >= 97) {
        start_family(w);
    } else if (kind >= 92) {
        do_private(w);
    } else if (kind == 91) {
        ask_stats();
    } else if (kind >= 86) {
        visit_grave(w);
    } else if (family == NULL || members == 0 || LOAD(&family->members[m].id) == CAPABILITY_NONE) {
        return;
    } else if (kind >= 62) {
        do_delegate(w, family, m);
    } else if (kind >= 54) {
        do_attenuate(w, family, m);
    } else if (kind >= 50) {
        do_grant(w, family, draw(w, 3) == 0 ? m : 0);
    } else if (kind >= 45) {
        do_revoke(w, family, draw(w, 8) == 0 ? 0 : m);
    } else if (kind >= 40) {
        do_delete(w, family, m);
    } else if (kind >= 34) {
        ask_lookup(family, m);
    } else {
        ask_check(w, family, m);
    }
}

static void *work(void *argument) {
    worker_t *w = argument;
    for (;;) {
        pthread_barrier_wait(&barrier); // a round begins
        if (atomic_load(&over)) {
            return NULL;
        }
        if (ops->thread_join(table, &w->seat) != STATUS_OK) {
            violation("C5", "no seat for one of %u threads", threads);
        }
        for (int i = 0; i < STEPS; i++) {
            step(w);
        }
        w->operations += STEPS;
        ops->thread_leave(w->seat);
        pthread_barrier_wait(&barrier); // all have ended it
    }
}

// C2 and C5 while nothing moves; then everything is revoked, and nothing may be left.
static void settle_round(void *self) {
    uint64_t created = 0;
    for (unsigned i = 0; i < threads; i++) {
        created += workers[i].created;
    }
    for (int pass = 0; pass < 2; pass++) {
        ops->settle(self);
        capability_audit_t audit = ops->audit(table);
        capability_stats_t stats = ops->stats(table);
        if (stats.created != created || stats.created != audit.live + stats.deleted) {
            violation("C5", "%llu made, %llu counted as created, %llu live, %llu deleted", (unsigned long long)created,
                      (unsigned long long)stats.created, (unsigned long long)audit.live,
                      (unsigned long long)stats.deleted);
        }
        if (audit.slots != audit.live + audit.free + audit.linked + audit.worn || audit.retired != 0) {
            violation("C5", "%llu slots, but %llu live, %llu free, %llu linked, %llu retired",
                      (unsigned long long)audit.slots, (unsigned long long)audit.live, (unsigned long long)audit.free,
                      (unsigned long long)audit.linked, (unsigned long long)audit.retired);
        }
        if (audit.orphans != 0 || audit.excesses != 0) {
            violation(audit.orphans != 0 ? "C1" : "C2", "%llu live without a parent, %llu with more rights than it",
                      (unsigned long long)audit.orphans, (unsigned long long)audit.excesses);
        }
        if (pass == 1 && audit.live + audit.linked != 0) {
            violation("C5", "%llu live and %llu linked after all was revoked", (unsigned long long)audit.live,
                      (unsigned long long)audit.linked);
        }
        for (int f = 0; pass == 0 && f < FAMILIES; f++) {
            (void)ops->revoke(self, LOAD(&families[f].members[0].id));
        }
    }
    memset(families, 0, sizeof families);
    atomic_store(&family_count, 0);
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void run(const capability_ops_t *of, double seconds) {
    ops = of;
    stress_table = of->name;
    capability_config_t config = {.capacity = 1 << 15};
    void *self = NULL;
    if (ops->table_create(&config, &table) != STATUS_OK || ops->thread_join(table, &self) != STATUS_OK) {
        violation("C5", "no table");
    }
    pthread_t handles[THREADS_MAX] = {0};
    memset(workers, 0, sizeof workers);
    atomic_store(&over, false);
    pthread_barrier_init(&barrier, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].random = (stress_seed + i) * 0x9e3779b97f4a7c15u | 1;
        pthread_create(&handles[i], NULL, work, &workers[i]);
    }
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    unsigned rounds = 0;
    do {
        alarm(stall);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        settle_round(self);
        rounds++;
    } while (now_ns() < end);
    atomic_store(&over, true);
    pthread_barrier_wait(&barrier);
    uint64_t operations = 0;
    uint64_t created = 0;
    uint64_t refused = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        operations += workers[i].operations;
        created += workers[i].created;
        refused += workers[i].refused;
    }
    pthread_barrier_destroy(&barrier);
    ops->thread_leave(self);
    ops->table_destroy(table);
    printf("ok %s: %u rounds, %llu steps, %llu created, %llu refused, seed %llu\n", ops->name, rounds,
           (unsigned long long)operations, (unsigned long long)created, (unsigned long long)refused,
           (unsigned long long)stress_seed);
}

static void stalled(int signal_number) {
    (void)signal_number;
    static const char text[] = "violation C4: a round does not end\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

static const char *setting(int count, char **arguments, int at, const char *name, const char *standard) {
    const char *value = at < count ? arguments[at] : getenv(name);
    return value != NULL ? value : standard;
}

int main(int count, char **arguments) {
    double seconds = strtod(setting(count, arguments, 1, "ORCH_STRESS_SECONDS", "3"), NULL);
    threads = (unsigned)strtoul(setting(count, arguments, 2, "ORCH_STRESS_THREADS", "4"), NULL, 10);
    stress_seed = strtoull(setting(count, arguments, 3, "ORCH_STRESS_SEED", "0"), NULL, 10);
    stall = (unsigned)strtoul(setting(count, arguments, count, "ORCH_STRESS_STALL", "60"), NULL, 10);
    signal(SIGALRM, stalled);
    const char *which = setting(count, arguments, 4, "ORCH_STRESS_TABLE", "both");
    bool lockfree = strcmp(which, "baseline") != 0;
    bool baseline = strcmp(which, "lockfree") != 0;
    if (threads < 1 || threads > THREADS_MAX || !(seconds > 0)) {
        fprintf(stderr, "usage: %s [seconds > 0 [threads 1..%d [seed [lockfree|baseline]]]]\n", arguments[0], THREADS_MAX);
        return 2;
    }
    if (stress_seed == 0) {
        stress_seed = now_ns();
    }
    if (lockfree) {
        run(&capability_lockfree_ops, baseline ? seconds * 0.8 : seconds);
    }
    if (baseline) {
        run(&capability_baseline_ops, lockfree ? seconds * 0.2 : seconds);
    }
    return 0;
}
