/* The churn bench, for any table with the functions of capability.h: every thread does every operation on
 * shared and on its own capabilities, and holds each answer against churn_model.h. Included by
 * bench_*_churn.c, which says what is tested:
 *
 *   CHURN_BENCH    name, a string           CHURN_SUMMARY  one sentence
 *   CHURN_STALL_MS how long a worker is frozen, standard value; 0 where C4 is not promised
 *   TABLE(f)       table_create, table_destroy, thread_join, thread_leave, table_t, thread_t
 *   CAP(f)         create, grant, attenuate, delegate, revoke, delete, transfer, check, check_batch, lookup, stats,
 *                  settle, audit
 *   CHURN_RESIZE(table, entries)  other room for the caches, where the table has any
 */
#include <stdio.h>
#include <stdlib.h>

#include "churn_model.h"

typedef unsigned long long ull;

enum { OP_CHECK, OP_CREATE, OP_GRANT, OP_ATTENUATE, OP_DELEGATE, OP_REVOKE, OP_DELETE, OP_TRANSFER, OP_BATCH, OPS, NODES = OPS, RECORDS, CAPACITY, STALL, STALL_EVERY };

#define WEIGHT(NAME, STANDARD) SETTING_INTEGER(NAME, STANDARD, 0, 1000, "weight of " NAME " in the mix")
static const setting_t settings[] = {
    [OP_CHECK] = WEIGHT("check", 60),       [OP_CREATE] = WEIGHT("create", 6),
    [OP_GRANT] = WEIGHT("grant", 4),        [OP_ATTENUATE] = WEIGHT("attenuate", 6),
    [OP_DELEGATE] = WEIGHT("delegate", 14), [OP_REVOKE] = WEIGHT("revoke", 5),
    [OP_DELETE] = WEIGHT("delete", 5),     [OP_TRANSFER] = WEIGHT("transfer", 4),
    [OP_BATCH] = WEIGHT("batch", 3),
    [NODES] = SETTING_INTEGER("nodes", 48, 4, NODES_MAX, "capabilities that each thread holds at most"),
    [RECORDS] = SETTING_INTEGER("records", 2, 0, RECORDS_MAX, "capabilities of each thread that all delegate from"),
    [CAPACITY] = SETTING_INTEGER("capacity", 1 << 20, 1 << 10, CAPABILITY_MAX_CAPACITY, "slots of the table"),
    [STALL] = SETTING_INTEGER("stall_ms", CHURN_STALL_MS, 0, 1000,
                              "C4: how long one worker at a time is frozen, so that the others show that they go on; 0: never"),
    [STALL_EVERY] = SETTING_INTEGER("stall_every_ms", 1000, 10, 3600000, "C4: mean time between two freezes"),
};

typedef struct {
    _Alignas(128) TABLE(thread_t) *seat;
    const TABLE(table_t) *table;
    worker_t *worker;
    struct shared *shared;
    record_t *records; /* our own ones, `records_count` */
    uint64_t next_object, created, refused;
    uint64_t counts[OPS];
    uint32_t weights[OPS], weights_total;
    rng_t rng;
    graves_t graves;
    family_t family;
    cap_id_t dead[NODES_MAX];
} state_t;

typedef struct shared {
    TABLE(table_t) *table;
    record_t *records;
    _Atomic(state_t *) *states; /* per worker, for its graves; NULL until it has entered */
    int threads, records_count;
} shared_t;

#include "churn_oracle.h"

/* ---- changing what is our own ---- */
static bool refused(state_t *s, status_t got) {
    if (got == STATUS_NO_MEMORY)
        run_fail(s->worker->run, "memory exhausted: the table could not grow");
    s->refused += got == STATUS_FULL || got == STATUS_NO_MEMORY;
    return got == STATUS_FULL || got == STATUS_NO_MEMORY;
}

static void bury(state_t *s, int top) {
    int count = family_end(&s->family, top, s->dead);
    for (int i = 0; i < count; i++)
        graves_add(s->graves.revoked, &s->graves.next_revoked, s->dead[i]);
    if (count)
        must_be_dead(s, "C1", s->dead[rng_below(&s->rng, (uint32_t)count)], "our own revoke");
}

static void do_revoke_node(state_t *s, int at) {
    if (at < 0)
        return;
    const node_t *node = &s->family.nodes[at];
    expect(s, "C1", "revoke", node, CAP(revoke)(s->seat, node->id), STATUS_OK, STATUS_STALE);
    bury(s, at);
}

static void add_node(state_t *s, int at, node_t node) {
    s->created++;
    s->family.nodes[at] = node;
    s->family.live++;
}

static void do_create(state_t *s) {
    int at = family_free(&s->family, draw(s));
    if (at < 0) {
        do_revoke_node(s, family_pick(&s->family, draw(s)));
        return;
    }
    cap_rights_t rights = draw_rights(s, RIGHTS_DATA) | (draw(s) % 16 ? CAPABILITY_RIGHT_DELEGATE : 0);
    node_t node = {.rights = rights, .object = s->next_object++, .parent = -1};
    status_t got = CAP(create)(s->seat, node.object, rights, &node.id);
    if (refused(s, got))
        return;
    if (got != STATUS_OK || node.id == CAPABILITY_NONE)
        run_violation(s->worker, "C5", "create answered %s with id %#llx", status_name(got), (ull)node.id);
    else
        add_node(s, at, node);
}

static void do_grant(state_t *s) {
    int at = family_pick(&s->family, draw(s));
    if (at < 0)
        return;
    node_t *node = &s->family.nodes[at];
    bool root = node->parent < 0 && !node->record;
    cap_rights_t add = draw_rights(s, RIGHTS_GRANTED);
    status_t got = CAP(grant)(s->seat, node->id, add);
    expect(s, "C2", "grant", node, got, root ? STATUS_OK : STATUS_DENIED, STATUS_STALE);
    if (got == STATUS_OK && root)
        node->rights |= add;
}

static void do_attenuate_node(state_t *s) {
    int at = family_pick(&s->family, draw(s));
    if (at < 0)
        return;
    cap_rights_t drop = draw_rights(s, draw_rights(s, draw_rights(s, RIGHTS_DATA | RIGHTS_GRANTED)));
    const node_t *node = &s->family.nodes[at];
    status_t got = CAP(attenuate)(s->seat, node->id, drop);
    expect(s, "C2", "attenuate", node, got, STATUS_OK, STATUS_STALE);
    if (got == STATUS_OK)
        family_attenuate(&s->family, at, drop);
}

static void do_delete(state_t *s) {
    int at = family_pick(&s->family, draw(s));
    if (at < 0)
        return;
    node_t node = s->family.nodes[at];
    bool parent = family_has_children(&s->family, at);
    status_t got = CAP(delete)(s->seat, node.id);
    expect(s, "C5", parent ? "delete of a parent" : "delete", &node, got, parent ? STATUS_BUSY : STATUS_OK, STATUS_STALE);
    if (got == STATUS_OK && !parent) {
        s->family.nodes[at].id = CAPABILITY_NONE;
        s->family.live--;
        graves_add(s->graves.deleted, &s->graves.next_deleted, node.id);
        must_be_dead(s, "C3", node.id, "our own delete");
    } else if (got == STATUS_STALE) {
        do_revoke_node(s, at); /* waits for nobody, and when it has returned all below is gone */
    }
}

#include "churn_forms.h"

/* ---- delegation: below our own nodes, and below everybody's records ---- */
#include "churn_delegation.h"

/* ---- our records: others delegate from them meanwhile ---- */
static bool make_record(state_t *s, record_t *record) {
    cap_id_t id = CAPABILITY_NONE;
    status_t got = CAP(create)(s->seat, s->next_object++, RIGHTS_DATA | CAPABILITY_RIGHT_DELEGATE, &id);
    if (refused(s, got) || got != STATUS_OK)
        return false; /* it stays ended, and the next revoke of it tries again */
    s->created++;
    record_replace(record, id, RIGHTS_DATA);
    return true;
}

static void end_record(state_t *s, record_t *record, uint32_t sequence, cap_id_t id) {
    status_t got = CAP(revoke)(s->seat, id);
    if (got != STATUS_OK && got != STATUS_STALE)
        run_violation(s->worker, "C1", "revoke of %#llx answered %s", (ull)id, status_name(got));
    record_tell_ended(record, sequence);
    graves_add(s->graves.revoked, &s->graves.next_revoked, id);
    must_be_dead(s, "C1", id, "revoke of a shared capability");
}

static void renew_record(state_t *s, record_t *record) {
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    end_record(s, record, record_sequence(word), atomic_load_explicit(&record->id, memory_order_relaxed));
    make_record(s, record);
}

static void do_revoke(state_t *s) {
    uint32_t dice = draw(s) % 16;
    glimpse_t seen;
    if (dice == 0 && s->shared->records_count)
        renew_record(s, &s->records[draw(s) % (uint32_t)s->shared->records_count]);
    else if (dice == 1 && glimpse_any(s, &seen)) /* of another worker, perhaps while it does so itself */
        end_record(s, seen.record, seen.sequence, seen.id);
    else
        do_revoke_node(s, family_pick(&s->family, draw(s)));
}

static void do_attenuate(state_t *s) {
    if (!s->shared->records_count || draw(s) % 4) {
        do_attenuate_node(s);
        return;
    }
    record_t *record = &s->records[draw(s) % (uint32_t)s->shared->records_count];
    unsigned bit = draw(s) % 16;
    uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
    if ((word & RECORD_ENDED) || record_done(word) == DROPS_MAX) {
        renew_record(s, record);
        return;
    }
    if (!(record->rights >> bit & 1))
        return;
    record_tell_started(record);
    status_t got = CAP(attenuate)(s->seat, atomic_load_explicit(&record->id, memory_order_relaxed), (cap_rights_t)1 << bit);
    if (got == STATUS_OK)
        record_tell_done(record, bit);
    else
        renew_record(s, record); /* another worker ended it */
}

/* ---- the life of the bench ---- */
static void do_one(state_t *s) {
    uint32_t dice = rng_below(&s->rng, s->weights_total);
    int op = 0;
    while (dice >= s->weights[op])
        dice -= s->weights[op++];
    s->counts[op]++;
    switch (op) {
    case OP_CHECK: do_check(s); return;
    case OP_CREATE: do_create(s); return;
    case OP_GRANT: do_grant(s); return;
    case OP_ATTENUATE: do_attenuate(s); return;
    case OP_DELEGATE: do_delegate(s); return;
    case OP_REVOKE: do_revoke(s); return;
    case OP_TRANSFER: do_transfer(s); return;
    case OP_BATCH: do_batch(s); return;
    default: do_delete(s); return;
    }
}

static uint64_t batch(worker_t *worker) {
    state_t *s = worker->state;
    for (int i = 0; i < BATCH_OPS; i++)
        do_one(s);
    if (draw(s) % 16 == 0)
        check_stats(s);
#ifdef CHURN_RESIZE
    if (draw(s) % 64 == 0 && CHURN_RESIZE(s->table, draw(s) % 2 ? draw(s) % 4096 : draw(s) % 4) == STATUS_NO_MEMORY)
        run_fail(worker->run, "memory exhausted: a cache could not be resized");
#endif
    return BATCH_OPS;
}

static bool check_settings(const run_t *run, char *why, size_t size) {
    int64_t total = 0;
    for (size_t op = 0; op < OPS; op++)
        total += run_int(run, op);
    bool seats = run->options->threads < (int)CAPABILITY_MAX_THREADS;
    if (total == 0)
        snprintf(why, size, "every weight of the mix is 0");
    else if (!seats)
        snprintf(why, size, "at most %u threads", CAPABILITY_MAX_THREADS - 1);
    return total > 0 && seats;
}

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    run->shared = shared;
    size_t threads = (size_t)run->options->threads, records = threads * (size_t)run_int(run, RECORDS);
    if (shared) {
        shared->threads = (int)threads;
        shared->records_count = (int)run_int(run, RECORDS);
        shared->states = calloc(threads, sizeof *shared->states);
        shared->records = aligned_alloc(_Alignof(record_t), (records + 1) * sizeof(record_t));
    }
    if (!shared || !shared->states || !shared->records) {
        run_fail(run, "memory exhausted: %zu threads, %zu records", threads, records);
        return false;
    }
    memset(shared->records, 0, (records + 1) * sizeof(record_t));
    capability_config_t config = {.capacity = (uint64_t)run_int(run, CAPACITY)};
    status_t status = TABLE(table_create)(&config, &shared->table);
    if (status != STATUS_OK)
        run_fail(run, "the table could not be made: %s", status_name(status));
    return status == STATUS_OK;
}

static bool enter(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    state_t *s = aligned_alloc(_Alignof(state_t), sizeof *s);
    if (!s) {
        run_fail(run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    memset(s, 0, sizeof *s);
    *s = (state_t){.table = shared->table, .worker = worker, .shared = shared, .rng = rng_seeded(worker->seed)};
    s->records = shared->records + (size_t)worker->index * (size_t)shared->records_count;
    s->next_object = ((uint64_t)worker->index << 40) + 1;
    s->family.size = (int)run_int(run, NODES);
    for (size_t op = 0; op < OPS; op++)
        s->weights_total += s->weights[op] = (uint32_t)run_int(run, op);
    worker->state = s;
    atomic_store_explicit(&shared->states[worker->index], s, memory_order_release);
    status_t status = TABLE(thread_join)(shared->table, &s->seat);
    if (status != STATUS_OK) {
        run_fail(run, "worker %d found no seat at the table: %s", worker->index, status_name(status));
        return false;
    }
    for (int i = 0; i < shared->records_count; i++)
        if (!make_record(s, &s->records[i])) {
            run_fail(run, "worker %d could not make its shared capabilities", worker->index);
            return false;
        }
    return true;
}

static void leave(worker_t *worker) {
    state_t *s = worker->state;
    for (int at = family_pick(&s->family, 0); at >= 0; at = family_pick(&s->family, 0)) {
        while (s->family.nodes[at].parent >= 0)
            at = s->family.nodes[at].parent;
        do_revoke_node(s, at);
    }
    for (int i = 0; i < s->shared->records_count; i++) {
        record_t *record = &s->records[i];
        uint64_t word = atomic_load_explicit(&record->word, memory_order_acquire);
        end_record(s, record, record_sequence(word), atomic_load_explicit(&record->id, memory_order_relaxed));
    }
    TABLE(thread_leave)(s->seat);
}

static void finish(worker_t *worker) {
    static const char *const names[OPS] = {"checks", "creates", "grants", "attenuates", "delegates", "revokes", "deletes",
                                            "transfers", "batches"};
    shared_t *shared = worker->run->shared;
    uint64_t counts[OPS] = {0}, created = 0, refusals = 0;
    for (int i = 0; i < shared->threads; i++) {
        state_t *s = atomic_load_explicit(&shared->states[i], memory_order_acquire);
        for (int op = 0; op < OPS; op++)
            counts[op] += s->counts[op];
        created += s->created;
        refusals += s->refused;
        free(s);
    }
    check_balance(worker, shared->table, created);
    for (int op = 0; op < OPS; op++)
        run_counter(worker->run, names[op], (double)counts[op], "1");
    run_counter(worker->run, "refused", (double)refusals, "1");
    TABLE(table_destroy)(shared->table);
    free(shared->states);
    free(shared->records);
    free(shared);
}

/* The others must go on: without others there is nothing to see. */
static stall_plan_t stall(const options_t *options) {
    return (stall_plan_t){(double)options->settings[STALL].i, (double)options->settings[STALL_EVERY].i};
}

static bench_t bench = {
    .name = CHURN_BENCH,
    .summary = CHURN_SUMMARY,
    .unit_of_work = "one operation of the mix, with its oracles",
    .contracts = "C1,C2,C3,C4,C5,C6",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = check_settings,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
    .stall = stall,
};
BENCH_REGISTER(bench)
