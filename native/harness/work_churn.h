/* Churn of a scheduler, for any with the functions of scheduler.h: every worker drives a CPU, makes tasks of every kind, hands them in
 * in every way, blocks, unblocks and ends them, and holds each run and each state against S1 to S6. Included by
 * bench_*task_churn.c, which says what is tested:
 *
 *   WORK_BENCH   name, a string      WORK_SUMMARY  one sentence
 *   WORK(f)      the functions       WORK_TYPE     the scheduler's type
 *   WORK_STATE(scheduler, task)      its state
 *
 * A job belongs to one worker, which alone makes, blocks, unblocks and ends it; anybody runs it. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "scheduler_account.h"

typedef unsigned long long ull;

enum { JOBS, MASKED, BLOCKED, BY_ID };
enum { JOBS_MAX = 256, SLICES = 4, BY_HAND = 4, STEPS = 64 /* of a batch: a run that finds nothing looks at every CPU */, LOST_AFTER = 20000 };

static const setting_t settings[] = {
    [JOBS] = SETTING_INTEGER("jobs", 64, 1, JOBS_MAX, "tasks that a worker has under way at most"),
    [MASKED] = SETTING_NUMBER("masked", 0.2, 0, 1, "share of the tasks that may run on some CPUs alone"),
    [BLOCKED] = SETTING_NUMBER("blocks", 0.3, 0, 1, "share of the tasks that block between two slices"),
    [BY_ID] = SETTING_NUMBER("by_id", 0.2, 0, 1, "share of the tasks that have an id"),
};

typedef struct job {
    task_t own;                   /* of a job without an id */
    task_t *task;                 /* that one, or the scheduler's; NULL: the job is free */
    task_id_t id;
    scheduler_mask_t mask;
    _Atomic(uint32_t) dispatches; /* begun; written by who runs it */
    _Atomic(uint32_t) finals;     /* runs after which it is over */
    uint32_t slices;              /* that are left; by who runs it */
    bool blocks, goes;            /* between slices; ends with TASK_GONE */
} job_t;

typedef struct {
    _Alignas(128) scheduler_cpu_t *on;
    struct shared *shared;
    worker_t *worker;
    job_t *jobs;
    uint32_t size, at;
    double masked, blocks, by_id;
    rng_t rng;
    uint64_t made, runs, parks;
} state_t;

typedef struct shared {
    WORK_TYPE *scheduler;
    _Atomic(state_t *) *states; /* per worker; NULL until it has entered */
    _Atomic(int) entered, over; /* workers; those whose jobs are all over */
    int threads;
} shared_t;

static shared_t *yard; /* of the one run of this process */

static bool chance(state_t *s, double share) { return (double)(rng_next(&s->rng) >> 11) * 0x1p-53 < share; }
static uint32_t below(state_t *s, uint32_t bound) { return rng_below(&s->rng, bound); }
static task_state_t state_of(const state_t *s, const job_t *job) { return WORK_STATE(s->shared->scheduler, job->task); }

/* ---- what runs ---- */
static task_verdict_t run_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = task->argument;
    uint32_t cpu = WORK(cpu_index)(on);
    state_t *s = atomic_load_explicit(&yard->states[cpu], memory_order_relaxed); /* our own */
    atomic_fetch_add_explicit(&job->dispatches, 1, memory_order_relaxed);
    s->runs++;
    if (task->mask && !scheduler_mask_has(task->mask, cpu))
        run_violation(s->worker, "S4", "a task ran on CPU %u, which is not in its mask", cpu);
    if (atomic_load_explicit(&job->finals, memory_order_relaxed) != 0)
        run_violation(s->worker, "S1", "a task ran after its end");
    if (job->slices > 0) {
        job->slices--;
        return job->blocks ? TASK_BLOCK : TASK_AGAIN;
    }
    bool goes = job->goes;
    atomic_fetch_add_explicit(&job->finals, 1, memory_order_release); /* if it goes, the last access */
    return goes ? TASK_GONE : TASK_DONE;
}

/* ---- jobs ---- */
static void draw_mask(state_t *s, job_t *job) {
    uint32_t threads = (uint32_t)s->shared->threads;
    memset(&job->mask, 0, sizeof job->mask);
    for (uint32_t cpus = 1 + below(s, threads); cpus > 0; cpus--)
        scheduler_mask_add(&job->mask, below(s, threads));
}

static bool make_task(state_t *s, job_t *job) {
    const scheduler_mask_t *mask = NULL;
    uint8_t priority = (uint8_t)below(s, TASK_PRIORITIES);
    if (chance(s, s->masked)) {
        draw_mask(s, job);
        mask = &job->mask;
    }
    job->id = TASK_NONE;
    if (chance(s, s->by_id)) {
        status_t got = WORK(task_create)(s->shared->scheduler, run_job, job, priority, mask, &job->id, &job->task);
        if (got != STATUS_OK && got != STATUS_FULL && got != STATUS_NO_MEMORY)
            run_violation(s->worker, "S6", "the %lluth task could not be made: %s", (ull)s->made, status_name(got));
        return got == STATUS_OK;
    }
    task_init(&job->own, run_job, job, priority, mask);
    job->task = &job->own;
    return true;
}

static void start_job(state_t *s, job_t *job) {
    if (!make_task(s, job)) {
        job->task = NULL;
        return;
    }
    s->made++;
    atomic_store_explicit(&job->dispatches, 0, memory_order_relaxed);
    atomic_store_explicit(&job->finals, 0, memory_order_relaxed);
    job->slices = below(s, SLICES);
    job->blocks = chance(s, s->blocks);
    job->goes = job->id == TASK_NONE && below(s, 4) == 0;
    if (below(s, 2) == 0) {
        WORK(spawn)(s->on, job->task);
        return;
    }
    uint32_t cpu = below(s, (uint32_t)s->shared->threads + 1);
    status_t got = WORK(enqueue_wide)(s->shared->scheduler, &job->task, 1,
                                      cpu < (uint32_t)s->shared->threads ? cpu : SCHEDULER_ANY_CPU);
    if (got != STATUS_OK)
        run_violation(s->worker, "S1", "enqueue answered %s", status_name(got));
}

/* Whether the job is over; then it was ended once, and is free. */
static bool end_job(state_t *s, job_t *job) {
    uint32_t finals = atomic_load_explicit(&job->finals, memory_order_acquire);
    if (job->goes && finals > 0) {
        job->task = NULL;
        return true;
    }
    task_state_t state = state_of(s, job);
    if (state != TASK_STATE_COMPLETED && state != TASK_STATE_TERMINATED)
        return false;
    finals = atomic_load_explicit(&job->finals, memory_order_acquire);
    if (finals != (state == TASK_STATE_COMPLETED ? 1u : 0u))
        run_violation(s->worker, "S1", "a task that is %s ended %u times", task_state_name(state), finals);
    if (job->id != TASK_NONE) {
        status_t got = WORK(task_release)(s->shared->scheduler, job->id);
        status_t again = WORK(terminate_id)(s->shared->scheduler, job->id);
        if (got != STATUS_OK || again != STATUS_STALE)
            run_violation(s->worker, "S6", "the id of a task that is over: release answered %s, and then terminate %s",
                          status_name(got), status_name(again));
    }
    job->task = NULL;
    return true;
}

static void unblock_job(state_t *s, job_t *job) {
    if (state_of(s, job) == TASK_STATE_BLOCKED) { /* and nobody but us unblocks it */
        uint32_t before = atomic_load_explicit(&job->dispatches, memory_order_relaxed);
        cpu_relax();
        if (state_of(s, job) != TASK_STATE_BLOCKED || atomic_load_explicit(&job->dispatches, memory_order_relaxed) != before)
            run_violation(s->worker, "S2", "a blocked task went on before anybody unblocked it");
    }
    uint32_t cpu = below(s, (uint32_t)s->shared->threads);
    if (job->id != TASK_NONE)
        (void)WORK(unblock_id)(s->shared->scheduler, job->id, cpu);
    else
        (void)WORK(unblock)(s->shared->scheduler, job->task, cpu);
}

static void take_by_hand(state_t *s) {
    task_t *tasks[BY_HAND];
    uint32_t count = WORK(dequeue_wide)(s->shared->scheduler, tasks, 1 + below(s, BY_HAND), (uint32_t)s->worker->index);
    for (uint32_t i = 0; i < count; i++)
        WORK(give_back)(s->on, tasks[i], tasks[i]->run(tasks[i], s->on));
}

static void check_stats(state_t *s) {
    scheduler_stats_t stats = WORK(stats)(s->shared->scheduler);
    if (stats.started > stats.accepted || stats.finished > stats.started)
        run_violation(s->worker, "S5", "%llu accepted, %llu started, %llu finished", (ull)stats.accepted, (ull)stats.started,
                      (ull)stats.finished);
}

static void do_one(state_t *s) {
    job_t *job = &s->jobs[s->at];
    s->at = s->at + 1 < s->size ? s->at + 1 : 0;
    if (job->task && !end_job(s, job)) {
        switch (below(s, 16)) {
        case 0: (void)WORK(block)(s->shared->scheduler, job->task); break;
        case 1: (void)WORK(terminate)(s->shared->scheduler, job->task); break;
        case 2: take_by_hand(s); break;
        case 3:
        case 4:
        case 5: unblock_job(s, job); break;
        default: (void)WORK(run)(s->on, 1 + below(s, 4)); break;
        }
    } else {
        start_job(s, job);
    }
}

/* ---- the life of the bench ---- */
static uint64_t batch(worker_t *worker) {
    state_t *s = worker->state;
    for (int i = 0; i < STEPS; i++)
        do_one(s);
    check_stats(s);
    if (below(s, 64) == 0) {
        s->parks++;
        (void)WORK(park)(s->on, 20000);
    }
    return STEPS;
}

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    run->shared = yard = shared;
    if (shared)
        shared->states = calloc((size_t)run->options->threads, sizeof *shared->states);
    if (!shared || !shared->states) {
        run_fail(run, "memory exhausted: %d threads", run->options->threads);
        return false;
    }
    shared->threads = run->options->threads;
    scheduler_config_t config = {.cpus = (uint32_t)shared->threads, .deque_first = 4};
    status_t status = WORK(create)(&config, &shared->scheduler);
    if (status != STATUS_OK)
        run_fail(run, "the scheduler could not be made: %s", status_name(status));
    return status == STATUS_OK;
}

static bool enter(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    size_t size = (size_t)run_int(run, JOBS);
    state_t *s = aligned_alloc(_Alignof(state_t), sizeof *s);
    job_t *jobs = aligned_alloc(_Alignof(job_t), size * sizeof *jobs);
    if (!s || !jobs) {
        free(s);
        free(jobs);
        run_fail(run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    memset(jobs, 0, size * sizeof *jobs);
    *s = (state_t){.shared = shared, .worker = worker, .jobs = jobs, .size = (uint32_t)size, .rng = rng_seeded(worker->seed)};
    s->masked = run_float(run, MASKED);
    s->blocks = run_float(run, BLOCKED);
    s->by_id = run_float(run, BY_ID);
    worker->state = s;
    atomic_store_explicit(&shared->states[worker->index], s, memory_order_release);
    status_t status = WORK(attach)(shared->scheduler, (uint32_t)worker->index, &s->on);
    if (status == STATUS_OK)
        atomic_fetch_add(&shared->entered, 1);
    else
        run_fail(run, "worker %d cannot drive its CPU: %s", worker->index, status_name(status));
    return status == STATUS_OK;
}

/* Our jobs that are not over; each is unblocked, whatever it is doing. `adrift`: those that were not blocked. */
static uint32_t drain(state_t *s, uint32_t *adrift) {
    uint32_t open = 0;
    for (uint32_t i = 0; i < s->size; i++)
        if (s->jobs[i].task && !end_job(s, &s->jobs[i])) {
            open++;
            *adrift += state_of(s, &s->jobs[i]) != TASK_STATE_BLOCKED;
            unblock_job(s, &s->jobs[i]);
        }
    return open;
}

/* Nothing is queued and nothing runs. Of a job of ours that is then not over, and not blocked, nobody knows any more; in this order, for between
 * a look at the jobs and one at the account somebody may end them. */
static bool is_quiet(state_t *s, uint32_t idle) {
    scheduler_stats_t stats = WORK(stats)(s->shared->scheduler);
    return idle > LOST_AFTER && stats.accepted == stats.started && stats.started == stats.finished;
}

/* Runs until the jobs of all are over, for some may run here alone. */
static void leave(worker_t *worker) {
    state_t *s = worker->state;
    bool over = false;
    for (uint32_t idle = 0; !over || atomic_load(&s->shared->over) < atomic_load(&s->shared->entered);) {
        bool quiet = !over && is_quiet(s, idle);
        uint32_t adrift = 0, open = over ? 0 : drain(s, &adrift);
        idle = WORK(run)(s->on, 256) > 0 ? 0 : idle + 1;
        bool lost = quiet && adrift > 0;
        if (lost)
            run_violation(worker, "S1", "%u tasks are nowhere to be found", adrift);
        if (!over && (open == 0 || lost)) {
            over = true;
            atomic_fetch_add(&s->shared->over, 1);
        }
        if (idle > 0)
            spin_hint(idle);
    }
    WORK(detach)(s->on);
}

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    uint64_t made = 0, runs = 0, parks = 0;
    for (int i = 0; i < shared->threads; i++) {
        state_t *s = atomic_load_explicit(&shared->states[i], memory_order_acquire);
        made += s->made;
        runs += s->runs;
        parks += s->parks;
    }
    scheduler_stats_t stats = WORK(stats)(shared->scheduler);
    task_t *rest = NULL;
    if (WORK(rest)(shared->scheduler, &rest, 1) != 0)
        run_violation(worker, "S1", "a task was left in the queues after all had ended");
    account_close(worker, stats);
    if (stats.started < runs)
        run_violation(worker, "S5", "%llu runs, and only %llu started", (ull)runs, (ull)stats.started);
    run_counter(worker->run, "tasks", (double)made, "1");
    run_counter(worker->run, "runs", (double)runs, "1");
    run_counter(worker->run, "blocked", (double)stats.blocked, "1");
    run_counter(worker->run, "stolen", (double)stats.stolen, "1");
    run_counter(worker->run, "parks", (double)parks, "1");
    for (int i = 0; i < shared->threads; i++) {
        state_t *s = atomic_load_explicit(&shared->states[i], memory_order_acquire);
        free(s->jobs);
        free(s);
    }
    WORK(destroy)(shared->scheduler);
    free(shared->states);
    free(shared);
}

static bench_t bench = {
    .name = WORK_BENCH,
    .summary = WORK_SUMMARY,
    .unit_of_work = "one operation of the mix, with its oracles",
    .contracts = "S1,S2,S4,S5,S6",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = account_threads_fit,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
