/* Histories of the way into the scheduler: all but the first workers hand tasks in, in batches, as chains and as blocks of pointers, and the first
 * takes them by hand. With one CPU a take that answers nothing says that there was nothing. */
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "scheduler.h"

enum { WINDOWS, CALLS };
enum { BATCH_MOST = 8, TAKE_MOST = 16 };

static const setting_t settings[] = {
    [WINDOWS] = SETTING_INTEGER("windows", 500, 1, 20000, "windows that are recorded; the run goes on without"),
    [CALLS] = SETTING_INTEGER("calls", 24, 1, 256, "of each worker in a window, and the takes that find nothing"),
};

typedef struct {
    scheduler_lockfree_t *scheduler;
    scheduler_cpu_t *on;
    history_t *history;
    task_t *tasks;                      /* of all workers, BATCH_MOST * calls each, used anew in each window */
    _Alignas(CPU_PAIR) _Atomic int busy; /* workers that still hand in */
} shared_t;

typedef struct {
    history_log_t *log;
    task_t *tasks;
    rng_t rng;
    size_t used; /* of the tasks, in this window */
    uint64_t next; /* number of its next task; no two workers have the same */
} state_t;

static task_verdict_t never(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    (void)on;
    return TASK_DONE;
}

static bool check(const run_t *run, char *why, size_t size) {
    if (run->options->threads >= 2)
        return true;
    (void)strncpy(why, "there is nobody to hand anything in: --threads 2 or more", size - 1);
    return false;
}

static bool setup(run_t *run) {
    size_t threads = (size_t)run->options->threads, calls = (size_t)run_int(run, CALLS);
    shared_t *shared = aligned_alloc(_Alignof(shared_t), sizeof *shared);
    if (!shared) {
        run_fail(run, "memory exhausted: the queue");
        return false;
    }
    memset(shared, 0, sizeof *shared);
    run->shared = shared;
    size_t most = threads * calls * BATCH_MOST; /* tasks in a window */
    shared->tasks = aligned_alloc(CPU_LINE, most * sizeof(task_t));
    scheduler_config_t config = {.cpus = 1, .deque_first = 2};
    if (!shared->tasks || scheduler_create(&config, &shared->scheduler) != STATUS_OK) {
        run_fail(run, "memory exhausted: %zu tasks and a scheduler", most);
        return false;
    }
    shared->history = history_make(run, "pool", (uint32_t)run_int(run, WINDOWS), 2 * calls + most + 2, 2 * most + calls * TAKE_MOST);
    return shared->history != NULL;
}

static bool enter(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    size_t each = (size_t)run_int(worker->run, CALLS) * BATCH_MOST;
    state_t *state = malloc(sizeof *state);
    if (!state) {
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    *state = (state_t){.log = &shared->history->logs[worker->index], .rng = rng_seeded(worker->seed), .next = (uint64_t)worker->index + 1};
    state->tasks = shared->tasks + (size_t)worker->index * each;
    worker->state = state;
    if (worker->index == 0)
        atomic_store_explicit(&shared->busy, worker->run->options->threads - 1, memory_order_relaxed);
    return worker->index != 0 || scheduler_attach(shared->scheduler, 0, &shared->on) == STATUS_OK;
}

/* ---- handing in ---- */
static void put(worker_t *worker, const shared_t *shared, state_t *state) {
    task_t *tasks[BATCH_MOST];
    uint64_t values[BATCH_MOST];
    uint32_t count = rng_below(&state->rng, 4) ? 1 : 1 + rng_below(&state->rng, BATCH_MOST);
    for (uint32_t i = 0; i < count; i++) {
        tasks[i] = &state->tasks[state->used++];
        task_init(tasks[i], never, NULL, (uint8_t)rng_below(&state->rng, TASK_PRIORITIES), NULL);
        tasks[i]->user = values[i] = state->next;
        state->next += (uint64_t)worker->run->options->threads;
    }
    history_call_t *call = history_call(state->log, "put", 0);
    history_give(state->log, call, HISTORY_LIST, values, count);
    bool pointers = rng_below(&state->rng, 2) != 0, any = rng_below(&state->rng, 2) != 0;
    status_t status = STATUS_OK;
    history_begin(call);
    if (pointers)
        scheduler_enqueue_batch(shared->scheduler, tasks, count, any ? UINT8_MAX : 0);
    else
        status = scheduler_enqueue_wide(shared->scheduler, tasks, count, any ? SCHEDULER_ANY_CPU : 0);
    history_end(call);
    if (status != STATUS_OK)
        run_violation(worker, "S1", "enqueue of %u tasks answers %s", count, status_name(status));
}

static uint64_t put_all(worker_t *worker, shared_t *shared, state_t *state) {
    uint64_t calls = (uint64_t)run_int(worker->run, CALLS);
    state->used = 0;
    for (uint64_t i = 0; i < calls; i++) {
        put(worker, shared, state);
        for (uint32_t spin = rng_below(&state->rng, 128); spin > 0; spin--)
            cpu_relax();
    }
    atomic_fetch_sub_explicit(&shared->busy, 1, memory_order_relaxed);
    return calls;
}

/* ---- taking ---- */
static uint32_t take(shared_t *shared, state_t *state, bool *room) {
    task_t *tasks[TAKE_MOST];
    uint64_t values[TAKE_MOST];
    history_call_t *call = history_call(state->log, "take", 0);
    uint32_t most = 1 + rng_below(&state->rng, TAKE_MOST);
    history_begin(call);
    uint32_t count = scheduler_dequeue_wide(shared->scheduler, tasks, most, 0);
    history_end(call);
    for (uint32_t i = 0; i < count; i++)
        values[i] = tasks[i]->user;
    if (count == 0 && !*room)
        history_forget(state->log, call);
    else
        history_answer(state->log, call, HISTORY_LIST, values, count);
    scheduler_complete_wide(shared->scheduler, tasks, count, 0);
    return count;
}

static uint64_t take_all(worker_t *worker, shared_t *shared, state_t *state) {
    uint64_t done = 0;
    int64_t empty = 0, most = run_int(worker->run, CALLS);
    while (atomic_load_explicit(&shared->busy, memory_order_relaxed) > 0) {
        bool room = empty < most;
        if (take(shared, state, &room) == 0)
            empty++;
        else
            done++;
        for (uint32_t spin = rng_below(&state->rng, 64); spin > 0; spin--)
            cpu_relax();
    }
    return done;
}

static uint64_t batch(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    state_t *state = worker->state;
    bool taker = worker->index == 0, room = true;
    if (!history_enter(state->log))
        return 0;
    uint64_t done = taker ? take_all(worker, shared, state) : put_all(worker, shared, state);
    history_settle(state->log);
    if (taker) {
        uint64_t most = (uint64_t)worker->run->options->threads * (uint64_t)run_int(worker->run, CALLS) * BATCH_MOST, count = 0;
        while (count <= most && take(shared, state, &room) > 0)
            count++;
        if (count > most) /* of which there may be no end */
            run_violation(worker, "S1", "more than the %llu tasks of a window are handed out", (unsigned long long)most);
        done += count;
        atomic_store_explicit(&shared->busy, worker->run->options->threads - 1, memory_order_relaxed);
        history_close(state->log);
    }
    return done;
}

static void leave(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    state_t *state = worker->state;
    history_leave(state->log);
    free(state);
    if (worker->index == 0)
        scheduler_detach(shared->on);
}

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    run_counter(worker->run, "windows", (double)shared->history->windows, "1");
    run_history(worker->run, shared->history);
    scheduler_destroy(shared->scheduler);
    free(shared->tasks);
    free(shared);
}

static bench_t bench = {
    .name = "history_queue",
    .summary = "histories of tasks that are handed in to a CPU and taken there, in windows, for the analysis linearizability",
    .unit_of_work = "one call",
    .contracts = "S1",
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
