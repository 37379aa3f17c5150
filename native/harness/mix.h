/* The whole system at work, for any table with the functions of capability.h and any scheduler with those of scheduler.h. Included
 * by bench_*system_mix.c, which says what is measured:
 *
 *   MIX_BENCH   name, a string           MIX_SUMMARY  one sentence
 *   TABLE(f)    table_create, table_destroy, thread_join, thread_leave, table_t, thread_t
 *   CAP(f)      create, delegate, revoke, check, stats, settle, audit
 *   WORK(f)     create, destroy, attach, detach, cpu_index, run, enqueue_wide, stats, rest
 *   WORK_TYPE   the scheduler's type
 *
 * A family is a root and a capability below it for each of its tasks. A worker makes one, hands its tasks to its own CPU or to a
 * neighbour's, checks what it holds, sometimes revokes the root while the tasks wait, runs what it finds, and ends the family when
 * all its tasks are over. One operation is one create, delegate, check, enqueue, run or revoke. Every run and every refusal is held against
 * facts that only grow (docs/native/guarded.md), and at the end all counts must balance. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capability.h"
#include "guarded.h"
#include "harness.h"
#include "scheduler_account.h"

enum { TASKS, CHECKS, REVOKES, AWAY, FAMILIES_SETTING };
enum { TASKS_MAX = 64, FAMILIES_MAX = 256, MIX_CPUS_MAX = 1000 };

static const setting_t settings[] = {
    [TASKS] = SETTING_INTEGER("tasks", 16, 1, TASKS_MAX, "tasks of a family, each with a capability of its own"),
    [CHECKS] = SETTING_INTEGER("checks", 8, 0, 1000, "checks per task beside the one when it is dispatched"),
    [REVOKES] = SETTING_NUMBER("revokes", 0.1, 0, 1, "share of the families whose root is revoked while their tasks wait"),
    [AWAY] = SETTING_NUMBER("away", 0.1, 0, 1, "share of the families whose tasks are handed to another CPU"),
    [FAMILIES_SETTING] = SETTING_INTEGER("families", 16, 1, FAMILIES_MAX, "families that a worker has under way at most"),
};

#define NEEDED CAPABILITY_RIGHT_READ

struct family;

typedef struct {
    task_t task; /* first: its address is the job's */
    struct family *family;
    _Atomic(bool) over;        /* written by who has run it: its last access */
    unsigned bodies, refusals; /* by who runs it; the owner reads them when it is over */
    guarded_t guarded;
} job_t;

typedef struct family {
    _Alignas(128) _Atomic(bool) ending; /* a revoke of the root has begun; written by the owner, read by who runs its tasks */
    _Atomic(bool) ended;                /* it has returned */
    _Alignas(128) cap_id_t root;        /* the rest: the owner alone; CAPABILITY_NONE: free */
    uint32_t count;                     /* tasks handed in */
    job_t jobs[TASKS_MAX];
} family_t;

typedef struct {
    _Alignas(128) TABLE(thread_t) *seat;
    scheduler_cpu_t *on;
    struct shared *shared;
    worker_t *worker;
    family_t *families;
    uint32_t at, size; /* the next family to look at; how many there are */
    uint32_t tasks, checks;
    double revokes, away;
    rng_t rng;
    uint64_t created, refused, runs, revoked_in_flight, refusals, missed;
} state_t;

typedef struct shared {
    TABLE(table_t) *table;
    WORK_TYPE *scheduler;
    guarded_gate_t gate;
    _Atomic(state_t *) *states; /* per worker; NULL until it has entered */
    int threads;
} shared_t;

static shared_t *mix; /* the one run of this process */

typedef unsigned long long ull;

/* ---- what runs ---- */
static void body(guarded_t *guarded, void *worker) {
    job_t *job = (job_t *)((char *)guarded - offsetof(job_t, guarded));
    (void)worker;
    job->bodies++;
}

static void refusal(guarded_t *guarded, void *worker) {
    job_t *job = (job_t *)((char *)guarded - offsetof(job_t, guarded));
    state_t *s = worker;
    job->refusals++;
    s->refusals++;
    if (!atomic_load_explicit(&job->family->ending, memory_order_acquire))
        run_violation(s->worker, "G2", "a task was refused although nobody had begun to revoke %#llx",
                      (ull)guarded->guards[0].id);
}

static task_verdict_t run_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)task;
    state_t *s = atomic_load_explicit(&mix->states[WORK(cpu_index)(on)], memory_order_relaxed); /* our own */
    bool ended = atomic_load_explicit(&job->family->ended, memory_order_acquire); /* before the dispatch begins */
    if (guarded_dispatch(&job->guarded, s) && ended)
        run_violation(s->worker, "G1", "a body ran although the revoke above %#llx had returned",
                      (ull)job->guarded.guards[0].id);
    atomic_store_explicit(&job->over, true, memory_order_release);
    return TASK_GONE; /* its owner may use it again from here on */
}

static bool check_one(const void *table, cap_id_t id, cap_rights_t need) { return CAP(check)(table, id, need); }

/* ---- families ---- */
static double chance(state_t *s) { return (double)(rng_next(&s->rng) >> 11) * 0x1p-53; }

static uint64_t revoke_root(state_t *s, family_t *family) {
    atomic_store_explicit(&family->ending, true, memory_order_seq_cst);
    status_t got = CAP(revoke)(s->seat, family->root);
    if (got != STATUS_OK)
        run_violation(s->worker, "C1", "revoke of our own root %#llx answered %s", (ull)family->root, status_name(got));
    atomic_store_explicit(&family->ended, true, memory_order_seq_cst);
    return 1;
}

static bool made(state_t *s, status_t got, const char *what) {
    s->created += got == STATUS_OK;
    s->refused += got == STATUS_FULL;
    if (got == STATUS_NO_MEMORY)
        run_fail(s->worker->run, "memory exhausted: the table could not grow");
    else if (got != STATUS_OK && got != STATUS_FULL)
        run_violation(s->worker, "C2", "%s answered %s", what, status_name(got));
    return got == STATUS_OK;
}

static uint64_t make_jobs(state_t *s, family_t *family) {
    for (family->count = 0; family->count < s->tasks; family->count++) {
        job_t *job = &family->jobs[family->count];
        guard_t guard = {.need = NEEDED};
        if (!made(s, CAP(delegate)(s->seat, family->root, NEEDED, &guard.id), "delegate"))
            break; /* no room: fewer tasks this time */
        guarded_init(&job->guarded, &s->shared->gate, body, refusal, &guard, 1);
        task_init(&job->task, run_job, NULL, TASK_PRIORITY_NORMAL, NULL);
        job->family = family;
        job->bodies = job->refusals = 0;
        atomic_store_explicit(&job->over, false, memory_order_relaxed);
    }
    return family->count;
}

static uint64_t hand_in(state_t *s, family_t *family) {
    task_t *tasks[TASKS_MAX];
    for (uint32_t i = 0; i < family->count; i++)
        tasks[i] = &family->jobs[i].task;
    uint32_t cpu = (uint32_t)s->worker->index;
    if (s->shared->threads > 1 && chance(s) < s->away)
        cpu = (cpu + 1 + rng_below(&s->rng, (uint32_t)s->shared->threads - 1)) % (uint32_t)s->shared->threads;
    status_t got = WORK(enqueue_wide)(s->shared->scheduler, tasks, family->count, cpu);
    if (got != STATUS_OK) {
        run_violation(s->worker, "S1", "enqueue of %u tasks answered %s", family->count, status_name(got));
        family->count = 0;
    }
    return family->count;
}

/* What we hold must be allowed while nobody else can end it, and denied when we have ended it. */
static uint64_t check_members(state_t *s, const family_t *family, bool alive) {
    uint64_t allowed = 0, count = (uint64_t)family->count * s->checks;
    for (uint64_t i = 0; i < count; i++)
        allowed += CAP(check)(s->shared->table, family->jobs[rng_below(&s->rng, family->count)].guarded.guards[0].id, NEEDED);
    if (allowed != (alive ? count : 0))
        run_violation(s->worker, alive ? "C3" : "C1", "%llu of %llu checks below %s root %#llx were allowed", (ull)allowed,
                      (ull)count, alive ? "our own" : "our revoked", (ull)family->root);
    return count;
}

static uint64_t start_family(state_t *s, family_t *family) {
    cap_id_t root = CAPABILITY_NONE;
    if (!made(s, CAP(create)(s->seat, (uint64_t)s->worker->index, NEEDED | CAPABILITY_RIGHT_DELEGATE, &root), "create"))
        return 0;
    family->root = root;
    atomic_store_explicit(&family->ending, false, memory_order_relaxed);
    atomic_store_explicit(&family->ended, false, memory_order_relaxed);
    uint64_t done = 1 + make_jobs(s, family);
    done += hand_in(s, family);
    if (chance(s) >= s->revokes)
        return done + check_members(s, family, true);
    s->revoked_in_flight++;
    done += revoke_root(s, family);
    return done + check_members(s, family, false);
}

static bool is_over(const family_t *family) {
    for (uint32_t i = 0; i < family->count; i++)
        if (!atomic_load_explicit(&family->jobs[i].over, memory_order_acquire))
            return false;
    return true;
}

/* Its tasks are over: each was dispatched once. */
static uint64_t end_family(state_t *s, family_t *family) {
    bool revoked = atomic_load_explicit(&family->ended, memory_order_relaxed);
    for (uint32_t i = 0; i < family->count; i++) {
        const job_t *job = &family->jobs[i];
        if (job->bodies + job->refusals != 1)
            run_violation(s->worker, "S1", "a task was dispatched %u times", job->bodies + job->refusals);
    }
    uint64_t done = revoked ? 0 : revoke_root(s, family);
    family->root = CAPABILITY_NONE;
    return done;
}

/* ---- the life of the bench ---- */
static uint64_t run_some(state_t *s, uint64_t budget) {
    uint64_t ran = WORK(run)(s->on, budget);
    s->runs += ran;
    return ran;
}

static uint64_t step(state_t *s) {
    family_t *family = &s->families[s->at];
    s->at = s->at + 1 < s->size ? s->at + 1 : 0;
    uint64_t done = 0;
    if (family->root != CAPABILITY_NONE && is_over(family))
        done += end_family(s, family);
    if (family->root == CAPABILITY_NONE)
        done += start_family(s, family);
    return done + run_some(s, s->tasks);
}

static uint64_t batch(worker_t *worker) {
    state_t *s = worker->state;
    uint64_t done = 0;
    for (uint32_t steps = 0; done < BATCH_OPS && steps < BATCH_OPS; steps++)
        done += step(s);
    if (done == 0)
        s->missed++; /* all is in the hands of others */
    return done;
}

static bool check_settings(const run_t *run, char *why, size_t size) {
    bool fits = run->options->threads <= MIX_CPUS_MAX;
    if (!fits)
        snprintf(why, size, "at most %d threads", MIX_CPUS_MAX);
    return fits;
}

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    int threads = run->options->threads;
    run->shared = mix = shared;
    if (shared)
        shared->states = calloc((size_t)threads, sizeof *shared->states);
    if (!shared || !shared->states) {
        run_fail(run, "memory exhausted: %d threads", threads);
        return false;
    }
    shared->threads = threads;
    /* Room for what waits for a worker that is off its CPU inside an operation: address space, and no memory. */
    uint64_t ids = (uint64_t)threads * (uint64_t)run_int(run, FAMILIES_SETTING) * ((uint64_t)run_int(run, TASKS) + 1);
    uint64_t capacity = 4 * ids + ((uint64_t)1 << 23);
    capability_config_t table = {.capacity = capacity < CAPABILITY_MAX_CAPACITY ? capacity : CAPABILITY_MAX_CAPACITY};
    scheduler_config_t cpus = {.cpus = (uint32_t)threads};
    status_t status = TABLE(table_create)(&table, &shared->table);
    if (status == STATUS_OK)
        status = WORK(create)(&cpus, &shared->scheduler);
    shared->gate = (guarded_gate_t){.check = check_one, .table = shared->table};
    if (status != STATUS_OK)
        run_fail(run, "table or scheduler could not be made: %s", status_name(status));
    return status == STATUS_OK;
}

static bool enter(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    size_t size = (size_t)run_int(run, FAMILIES_SETTING);
    state_t *s = aligned_alloc(_Alignof(state_t), sizeof *s);
    family_t *families = aligned_alloc(_Alignof(family_t), size * sizeof *families);
    if (!s || !families) {
        free(s);
        free(families);
        run_fail(run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    memset(families, 0, size * sizeof *families);
    *s = (state_t){.shared = shared, .worker = worker, .families = families, .size = (uint32_t)size};
    s->rng = rng_seeded(worker->seed);
    s->tasks = (uint32_t)run_int(run, TASKS);
    s->checks = (uint32_t)run_int(run, CHECKS);
    s->revokes = run_float(run, REVOKES);
    s->away = run_float(run, AWAY);
    worker->state = s;
    atomic_store_explicit(&shared->states[worker->index], s, memory_order_release);
    status_t status = TABLE(thread_join)(shared->table, &s->seat);
    if (status == STATUS_OK)
        status = WORK(attach)(shared->scheduler, (uint32_t)worker->index, &s->on);
    if (status != STATUS_OK)
        run_fail(run, "worker %d found no seat or no CPU: %s", worker->index, status_name(status));
    return status == STATUS_OK;
}

/* Runs whatever there is until our own tasks are over; who has left before us has left its queue to be taken from. */
static void leave(worker_t *worker) {
    state_t *s = worker->state;
    for (uint32_t open = 1, round = 0; open > 0; round++) {
        open = 0;
        for (uint32_t i = 0; i < s->size; i++) {
            family_t *family = &s->families[i];
            if (family->root != CAPABILITY_NONE && is_over(family))
                end_family(s, family);
            open += family->root != CAPABILITY_NONE;
        }
        if (run_some(s, 256) == 0 && open > 0)
            spin_hint(round);
    }
    WORK(detach)(s->on);
    TABLE(thread_leave)(s->seat);
}

static void check_balance(worker_t *worker, shared_t *shared, uint64_t created) {
    TABLE(thread_t) *seat = NULL;
    if (TABLE(thread_join)(shared->table, &seat) != STATUS_OK) {
        run_violation(worker, "C5", "all %d threads have left and there is no seat", shared->threads);
        return;
    }
    CAP(settle)(seat);
    capability_stats_t stats = CAP(stats)(shared->table);
    capability_audit_t audit = CAP(audit)(shared->table);
    if (stats.created != created || stats.deleted != created || audit.live || audit.retired || audit.linked)
        run_violation(worker, "C5", "%llu made and ended, the table counts %llu and %llu; %llu live, %llu retired, %llu linked",
                      (ull)created, (ull)stats.created, (ull)stats.deleted, (ull)audit.live, (ull)audit.retired,
                      (ull)audit.linked);
    TABLE(thread_leave)(seat);
    task_t *rest = NULL;
    if (WORK(rest)(shared->scheduler, &rest, 1) != 0)
        run_violation(worker, "S1", "a task was left in the queues after all families had ended");
    account_close(worker, WORK(stats)(shared->scheduler));
}

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    uint64_t created = 0, refused = 0, runs = 0, in_flight = 0, refusals = 0, missed = 0;
    for (int i = 0; i < shared->threads; i++) {
        state_t *s = atomic_load_explicit(&shared->states[i], memory_order_acquire);
        created += s->created;
        refused += s->refused;
        runs += s->runs;
        in_flight += s->revoked_in_flight;
        refusals += s->refusals;
        missed += s->missed;
    }
    check_balance(worker, shared, created);
    run_counter(worker->run, "tasks_run", (double)runs, "1");
    run_counter(worker->run, "tasks_refused", (double)refusals, "1");
    run_counter(worker->run, "revoked_in_flight", (double)in_flight, "1");
    run_counter(worker->run, "created", (double)created, "1");
    run_counter(worker->run, "full", (double)refused, "1");
    run_counter(worker->run, "batches_without_work", (double)missed, "1");
    for (int i = 0; i < shared->threads; i++) {
        state_t *s = atomic_load_explicit(&shared->states[i], memory_order_acquire);
        free(s->families);
        free(s);
    }
    WORK(destroy)(shared->scheduler);
    TABLE(table_destroy)(shared->table);
    free(shared->states);
    free(shared);
}

static bench_t bench = {
    .name = MIX_BENCH,
    .summary = MIX_SUMMARY,
    .unit_of_work = "one create, delegate, check, enqueue, run or revoke",
    .contracts = "C1,C2,C3,C5,G1,G2,S1,S5",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = check_settings,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
