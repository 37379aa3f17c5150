/* Every kind of task through the lock-free scheduler, with the contract's oracles on: spawned and handed in, run again, blocked and
 * unblocked, bound to CPUs, of every priority, with ids and without. They are handed in by enqueue_wide (chains through the tasks) and by
 * enqueue_batch (blocks of pointers), in batches of every size. Each worker drives a CPU and owns jobs; it alone makes them ready, blocks and
 * unblocks them, and whoever is idle runs them. */
#include <stdlib.h>

#include "harness.h"
#include "scheduler_account.h"
#include "scheduler_numa.h"

enum { JOBS, MODE, AGAIN, BLOCKS, BOUND, IDS, NUMA, QUEUES };
enum { NUMA_AUTO, NUMA_LEARNED, NUMA_FLAT };
enum { PROBE_BYTES = 1 << 22, PROBE_MS = 2, BATCH_MOST = 96 /* three blocks */, LOST_S = 15 /* sooner than the harness gives a worker up */ };
static const char *const modes[] = {"auto", "fenced", "asymmetric", NULL};
static const char *const views[] = {[NUMA_AUTO] = "auto", [NUMA_LEARNED] = "learned", [NUMA_FLAT] = "flat", NULL};
static const char *const queues[] = {"first_touch", "interleave", "own_node", NULL}; /* of scheduler_queues_t */

static const setting_t settings[] = {
    [JOBS] = SETTING_INTEGER("jobs", 128, 1, 4096, "tasks of each worker"),
    [MODE] = SETTING_ONE_OF("mode", SCHEDULER_DEQUE_AUTO, modes, "the deques' mode"),
    [AGAIN] = SETTING_NUMBER("again", 0.1, 0, 1, "share of the tasks that run again at once, once or twice"),
    [BLOCKS] = SETTING_NUMBER("blocks", 0.1, 0, 1, "share of the tasks that block, and are unblocked by their worker"),
    [BOUND] = SETTING_NUMBER("bound", 0.1, 0, 1, "share of the tasks that may run on one CPU alone, or on two"),
    [IDS] = SETTING_NUMBER("ids", 0.1, 0, 1, "share of the tasks that have an id, and get a new one each time"),
    [NUMA] = SETTING_ONE_OF("numa", NUMA_AUTO, views, "whom to steal from first: the nearest nodes, by the firmware or as measured; flat: as if there were one node"),
    [QUEUES] = SETTING_ONE_OF("queues", SCHEDULER_QUEUES_FIRST_TOUCH, queues, "where the queues lie: as they are touched, over all nodes, or each CPU's on its node"),
};

typedef enum { JOB_PLAIN, JOB_AGAIN, JOB_BLOCKS, JOB_BOUND, JOB_ID } kind_t;

typedef struct {
    task_t own; /* where it has no id */
    task_t *task;
    task_id_t id;
    kind_t kind;
    bool handed_in;          /* in this life by enqueue_batch: while it is NEW, nobody has taken it over yet; the owner's */
    uint32_t runs, expected; /* of this life; runs are written by who runs it */
    atomic_u32_t blocked;    /* its worker has seen it BLOCKED, and not begun to unblock it */
    uint64_t lives;
    worker_t *owner;
} job_t;

typedef struct {
    scheduler_cpu_t *on;
    job_t *jobs;
    uint32_t count;
    uint64_t turns;
    rng_t rng;
    scheduler_mask_t mask;
} state_t;

typedef struct {
    task_t *tasks[BATCH_MOST];
    uint32_t count;
} batch_t;

/* A violation is reported by the worker on whose CPU it shows. */
static worker_t *reporters[SCHEDULER_MAX_CPUS];

static task_verdict_t run_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = task->argument;
    worker_t *worker = reporters[scheduler_cpu_index(on)];
    /* edge of the oracle: the owner stores it before it unblocks */
    if (atomic_load_acquire_u32(&job->blocked) != 0)
        run_violation(worker, "S2", "a task runs that was seen blocked, in its life %llu", (unsigned long long)job->lives);
    if (task->mask != NULL && !scheduler_mask_has(task->mask, scheduler_cpu_index(on)))
        run_violation(worker, "S4", "a task runs on CPU %u, which is not in its mask", scheduler_cpu_index(on));
    if (job->runs >= job->expected)
        run_violation(worker, "S1", "run %u of a task that is to run %u times", job->runs + 1, job->expected);
    job->runs++;
    if (job->runs >= job->expected)
        return TASK_DONE;
    return job->kind == JOB_AGAIN ? TASK_AGAIN : TASK_BLOCK;
}

static bool check(const run_t *run, char *why, size_t size) {
    if (!account_threads_fit(run, why, size))
        return false;
    double sum = 0;
    for (int setting = AGAIN; setting <= IDS; setting++)
        sum += run_float(run, (size_t)setting);
    const char *text = sum > 1 + 1e-9 ? "again, blocks, bound and ids are more than 1 together"
                       : run_int(run, NUMA) == NUMA_FLAT && run_int(run, QUEUES) != SCHEDULER_QUEUES_FIRST_TOUCH
                           ? "with numa=flat there are no nodes: queues=first_touch alone"
                           : NULL;
    if (text != NULL)
        snprintf(why, size, "%s", text);
    return text == NULL;
}

static status_t create(const run_t *run, const scheduler_config_t *config, scheduler_lockfree_t **scheduler) {
    static uint32_t machine_cpu[THREADS_MAX]; /* of the threads, where they are pinned */
    scheduler_numa_t numa = {.queues = (scheduler_queues_t)run_int(run, QUEUES)};
    if (run_int(run, NUMA) == NUMA_FLAT)
        return scheduler_create(config, scheduler);
    for (int i = 0; i < run->options->cpus_count; i++)
        machine_cpu[i] = (uint32_t)run->options->cpus[i];
    numa.machine_cpu = run->options->cpus_count > 0 ? machine_cpu : NULL;
    numa_distances_t *distances = NULL;
    if (run_int(run, NUMA) == NUMA_LEARNED && numa_distances_create(numa_system(), &distances) != STATUS_OK)
        return STATUS_NO_MEMORY;
    if (distances != NULL)
        (void)numa_distances_measure(distances, PROBE_BYTES, PROBE_MS); /* where it cannot, the firmware's figures stay */
    numa.distances = distances;
    status_t status = scheduler_create_numa(config, &numa, scheduler);
    numa_distances_free(distances);
    return status;
}

static bool setup(run_t *run) {
    scheduler_config_t config = {.cpus = (uint32_t)run->options->threads, .deque_first = 2,
                                 .mode = (scheduler_deque_mode_t)run_int(run, MODE)};
    scheduler_lockfree_t *scheduler = NULL;
    status_t status = create(run, &config, &scheduler);
    run->shared = scheduler;
    if (status != STATUS_OK)
        run_fail(run, "the scheduler could not be made: %s", status_name(status));
    return status == STATUS_OK;
}

static kind_t draw_kind(const run_t *run, rng_t *rng) {
    double draw = (double)(rng_next(rng) >> 11) * 0x1p-53;
    static const struct {
        size_t setting;
        kind_t kind;
    } kinds[] = {{AGAIN, JOB_AGAIN}, {BLOCKS, JOB_BLOCKS}, {BOUND, JOB_BOUND}, {IDS, JOB_ID}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        draw -= run_float(run, kinds[i].setting);
        if (draw < 0)
            return kinds[i].kind;
    }
    return JOB_PLAIN;
}

static bool enter(worker_t *worker) {
    uint32_t count = (uint32_t)run_int(worker->run, JOBS);
    state_t *state = calloc(1, sizeof *state);
    job_t *jobs = aligned_alloc(_Alignof(job_t), count * sizeof *jobs);
    worker->state = state;
    if (!state || !jobs) {
        free(jobs);
        run_fail(worker->run, "memory exhausted: %u tasks", count);
        return false;
    }
    *state = (state_t){.jobs = jobs, .count = count, .rng = rng_seeded(worker->seed)};
    scheduler_mask_add(&state->mask, (uint32_t)worker->index);
    scheduler_mask_add(&state->mask, rng_below(&state->rng, (uint32_t)worker->run->options->threads));
    for (uint32_t i = 0; i < count; i++) {
        jobs[i] = (job_t){.task = &jobs[i].own, .kind = draw_kind(worker->run, &state->rng), .owner = worker};
        task_init(&jobs[i].own, run_job, &jobs[i], (uint8_t)(i % TASK_PRIORITIES), jobs[i].kind == JOB_BOUND ? &state->mask : NULL);
    }
    reporters[worker->index] = worker;
    (void)scheduler_attach(worker->run->shared, (uint32_t)worker->index, &state->on);
    return true;
}

/* The job is over: its account, and the end of its id. */
static void close_life(worker_t *worker, job_t *job) {
    scheduler_lockfree_t *scheduler = worker->run->shared;
    if (job->lives > 0 && job->runs != job->expected)
        run_violation(worker, "S1", "a task is over after %u runs of %u", job->runs, job->expected);
    if (job->id == TASK_NONE)
        return;
    task_state_t state = TASK_STATE_NEW;
    if (scheduler_task_release(scheduler, job->id) != STATUS_OK ||
        scheduler_state_of(scheduler, job->id, &state) != STATUS_STALE ||
        scheduler_unblock_id(scheduler, job->id, SCHEDULER_ANY_CPU) != STATUS_STALE)
        run_violation(worker, "S6", "id %#llx lives after its release", (unsigned long long)job->id);
    job->id = TASK_NONE;
    job->task = &job->own;
}

static bool open_life(worker_t *worker, state_t *state, job_t *job) {
    task_id_t id = TASK_NONE;
    if (job->kind == JOB_ID &&
        scheduler_task_create(worker->run->shared, run_job, job, TASK_PRIORITY_NORMAL, NULL, &id, &job->task) != STATUS_OK)
        return false; /* no memory, or all are in use: another time */
    job->id = id;
    job->handed_in = false;
    job->runs = 0;
    job->expected = job->kind == JOB_AGAIN ? 2 + rng_below(&state->rng, 2) : job->kind == JOB_BLOCKS ? 2 : 1;
    job->lives++;
    return true;
}

static bool is_over(const job_t *job, task_state_t at) {
    return at == TASK_STATE_COMPLETED || (at == TASK_STATE_NEW && !job->handed_in);
}

static void hand_in_wide(worker_t *worker, state_t *state, batch_t *batch) {
    uint32_t cpu = rng_below(&state->rng, (uint32_t)worker->run->options->threads);
    status_t status = scheduler_enqueue_wide(worker->run->shared, batch->tasks, batch->count, cpu);
    if (status != STATUS_OK)
        run_violation(worker, "S1", "enqueue of %u tasks answers %s", batch->count, status_name(status));
    batch->count = 0;
}

static void hand_in_blocks(worker_t *worker, state_t *state, batch_t *batch) {
    uint32_t cpu = rng_below(&state->rng, (uint32_t)worker->run->options->threads);
    scheduler_enqueue_batch(worker->run->shared, batch->tasks, batch->count, (uint8_t)cpu); /* every number is good */
    batch->count = 0;
}

/* To the tasks for enqueue_batch. A task with an id sends its whole batch by the chain: so there are few. Any other is made anew, for its state
 * is the one before until a CPU takes it over, and COMPLETED would say that it is over again. */
static bool goes_by_block(state_t *state, job_t *job) {
    if (rng_below(&state->rng, job->id == TASK_NONE ? 2 : 32) != 0)
        return false;
    if (job->id == TASK_NONE) {
        task_init(&job->own, run_job, job, job->own.priority, job->own.mask);
        job->handed_in = true;
    }
    return true;
}

/* Begins the next life of a job that is over. */
static void start(worker_t *worker, state_t *state, job_t *job, batch_t *wide, batch_t *blocks) {
    close_life(worker, job);
    if (!open_life(worker, state, job))
        return;
    if (rng_below(&state->rng, 2) == 0) {
        scheduler_spawn(state->on, job->task);
    } else {
        batch_t *batch = goes_by_block(state, job) ? blocks : wide;
        batch->tasks[batch->count++] = job->task;
    }
}

/* Makes ready what is over, and unblocks what is blocked. */
static void tend(worker_t *worker, state_t *state) {
    scheduler_lockfree_t *scheduler = worker->run->shared;
    batch_t wide = {.count = 0}, blocks = {.count = 0};
    uint32_t most = 1 + rng_below(&state->rng, BATCH_MOST);
    for (uint32_t i = 0; i < state->count; i++) {
        job_t *job = &state->jobs[i];
        task_state_t at = task_state(job->task);
        if (at == TASK_STATE_BLOCKED && atomic_load_relaxed_u32(&job->blocked) == 0) {
            atomic_store_release_u32(&job->blocked, 1); /* from now on it must not run */
        } else if (at == TASK_STATE_BLOCKED) {
            atomic_store_release_u32(&job->blocked, 0);
            (void)scheduler_unblock(scheduler, job->task, rng_below(&state->rng, (uint32_t)worker->run->options->threads));
        } else if (is_over(job, at)) {
            start(worker, state, job, &wide, &blocks);
            if (wide.count == most)
                hand_in_wide(worker, state, &wide);
            if (blocks.count == most)
                hand_in_blocks(worker, state, &blocks);
        }
    }
    hand_in_wide(worker, state, &wide);
    hand_in_blocks(worker, state, &blocks);
}

static uint64_t batch(worker_t *worker) {
    state_t *state = worker->state;
    tend(worker, state);
    if (state->turns++ % 16 == 0) {
        scheduler_stats_t stats = scheduler_stats(worker->run->shared);
        if (stats.accepted < stats.started || stats.started < stats.finished || stats.finished < stats.blocked)
            run_violation(worker, "S5", "%llu accepted, %llu started, %llu finished, %llu blocked",
                          (unsigned long long)stats.accepted, (unsigned long long)stats.started,
                          (unsigned long long)stats.finished, (unsigned long long)stats.blocked);
    }
    uint64_t ran = scheduler_run(state->on, BATCH_OPS);
    if (ran == 0) /* the others have all: parks, but not for longer than a batch may take */
        (void)scheduler_park(state->on, 1000000);
    return ran;
}

/* Whether all of the worker's jobs are over. */
static bool settle(worker_t *worker, state_t *state) {
    bool over = true;
    for (uint32_t i = 0; i < state->count; i++) {
        job_t *job = &state->jobs[i];
        task_state_t at = task_state(job->task);
        if (at == TASK_STATE_BLOCKED) {
            atomic_store_release_u32(&job->blocked, 0);
            (void)scheduler_unblock(worker->run->shared, job->task, SCHEDULER_ANY_CPU);
        }
        over &= is_over(job, at);
    }
    return over;
}

static void leave(worker_t *worker) {
    state_t *state = worker->state;
    /* S3: this CPU and those that are still there find everything. A bound task may wait for one that has left: it is masked for this one, too. */
    uint64_t begin = clock_ns();
    while (!settle(worker, state)) {
        if (scheduler_run(state->on, 1000) == 0)
            spin_hint(63);
        if (clock_ns() - begin > LOST_S * 1000000000ull) {
            run_violation(worker, "S3", "a task is not run for %d s, and a CPU looks for work", LOST_S);
            return; /* nothing is freed: somebody may have it */
        }
    }
    for (uint32_t i = 0; i < state->count; i++)
        close_life(worker, &state->jobs[i]);
    scheduler_detach(state->on);
    free(state->jobs);
    free(state);
}

static void finish(worker_t *worker) {
    scheduler_lockfree_t *scheduler = worker->run->shared;
    scheduler_stats_t stats = scheduler_stats(scheduler);
    uint64_t queued = scheduler_queued(scheduler);
    account_close(worker, stats);
    if (queued != 0)
        run_violation(worker, "S5", "all tasks are over, and %llu are queued", (unsigned long long)queued);
    account_tell_steals(worker, stats);
    run_counter(worker->run, "blocked", (double)stats.blocked, "runs");
    run_counter(worker->run, "parks", (double)stats.parks, "parks");
    scheduler_destroy(scheduler);
}

static bench_t bench = {
    .name = "scheduler_churn",
    .summary = "every kind of task through the lock-free scheduler, under its oracles",
    .unit_of_work = "one task run",
    .contracts = "S1,S2,S3,S4,S5,S6",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = check,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
