/* Empty tasks, spawned and run: what the scheduler costs a task. Every worker drives a CPU of one scheduler, and idle ones steal. */
#include <stdlib.h>

#include "harness.h"
#include "scheduler_account.h"

enum { BURST, MODE, WAY, BATCH };
enum { WAY_SPAWN, WAY_CHAIN, WAY_ENQUEUE };
static const char *const ways[] = {"spawn", "chain", "enqueue", NULL};
static const char *const modes[] = {"auto", "fenced", "asymmetric", NULL};

static const setting_t settings[] = {
    [BURST] = SETTING_INTEGER("burst", 64, 1, 4096, "tasks spawned before they are run"),
    [MODE] = SETTING_ONE_OF("mode", SCHEDULER_DEQUE_AUTO, modes, "the deques' mode"),
    [WAY] = SETTING_ONE_OF("way", WAY_SPAWN, ways,
                           "spawn: by the CPU's own thread; chain: a task spawns the next; enqueue: handed in, as by any other thread"),
    [BATCH] = SETTING_INTEGER("batch", 32, 1, 4096, "tasks handed in at once (way=enqueue)"),
};

typedef struct {
    task_t task; /* first */
    uint64_t runs, spawned;
    uint64_t links; /* way=chain: spawns to go */
} empty_t;

typedef struct {
    scheduler_cpu_t *on;
    empty_t *tasks;
    task_t **pointers;
    uint32_t burst;
    uint64_t handed_in, hand_in_ns;
} state_t;

static task_verdict_t run_empty(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    ((empty_t *)(void *)task)->runs++;
    return TASK_DONE;
}

static task_verdict_t run_link(task_t *task, scheduler_cpu_t *on) {
    empty_t *empty = (empty_t *)(void *)task;
    empty->runs++;
    if (--empty->links == 0)
        return TASK_DONE;
    scheduler_spawn(on, task);
    return TASK_GONE;
}

static bool setup(run_t *run) {
    scheduler_config_t config = {.cpus = (uint32_t)run->options->threads,
                                 .mode = (scheduler_deque_mode_t)run_int(run, MODE)};
    scheduler_lockfree_t *scheduler = NULL;
    status_t status = scheduler_create(&config, &scheduler);
    if (status != STATUS_OK) {
        run_fail(run, "the scheduler could not be made: %s", status_name(status));
        return false;
    }
    run->shared = scheduler;
    return true;
}

static bool enter(worker_t *worker) {
    uint32_t burst = (uint32_t)run_int(worker->run, BURST);
    state_t *state = calloc(1, sizeof *state);
    empty_t *tasks = aligned_alloc(_Alignof(task_t), burst * sizeof *tasks);
    task_t **pointers = calloc(burst, sizeof(task_t *));
    worker->state = state;
    if (!state || !tasks || !pointers) {
        free(tasks);
        free(pointers);
        run_fail(worker->run, "memory exhausted: %u tasks", burst);
        return false;
    }
    for (uint32_t i = 0; i < burst; i++) {
        tasks[i] = (empty_t){0};
        task_init(&tasks[i].task, run_int(worker->run, WAY) == WAY_CHAIN ? run_link : run_empty, NULL, TASK_PRIORITY_NORMAL, NULL);
        pointers[i] = &tasks[i].task;
    }
    *state = (state_t){.tasks = tasks, .pointers = pointers, .burst = burst};
    (void)scheduler_attach(worker->run->shared, (uint32_t)worker->index, &state->on);
    return true;
}

/* Whether the task is over, and has run as often as it was spawned. */
static bool is_over(worker_t *worker, const empty_t *empty) {
    task_state_t at = task_state(&empty->task);
    if (at != TASK_STATE_NEW && at != TASK_STATE_COMPLETED)
        return false; /* somebody has stolen it, and is not done */
    if (empty->runs != empty->spawned)
        run_violation(worker, "S1", "a task that was spawned %llu times has run %llu times", (unsigned long long)empty->spawned,
                      (unsigned long long)empty->runs);
    return true;
}

static uint64_t batch(worker_t *worker) {
    state_t *state = worker->state;
    int64_t way = run_int(worker->run, WAY);
    uint32_t most = (uint32_t)run_int(worker->run, BATCH);
    uint64_t ran = 0;
    for (int round = 0; round < BATCH_OPS && ran < BATCH_OPS; round++) {
        uint32_t ready = 0;
        for (uint32_t i = 0; i < (way == WAY_CHAIN ? 1 : state->burst); i++) {
            empty_t *empty = &state->tasks[i];
            if (!is_over(worker, empty))
                continue;
            empty->links = state->burst;
            empty->spawned += way == WAY_CHAIN ? state->burst : 1;
            if (way == WAY_ENQUEUE)
                state->pointers[ready++] = &empty->task;
            else
                scheduler_spawn(state->on, &empty->task);
        }
        if (way == WAY_ENQUEUE) {
            uint64_t begin = clock_ns();
            for (uint32_t i = 0; i < ready; i += most)
                (void)scheduler_enqueue_wide(worker->run->shared, state->pointers + i, ready - i < most ? ready - i : most,
                                             (uint32_t)worker->index);
            state->hand_in_ns += clock_ns() - begin;
            state->handed_in += ready;
        }
        ran += scheduler_run(state->on, state->burst);
    }
    return ran;
}

static void leave(worker_t *worker) {
    state_t *state = worker->state;
    if (worker->index == 0 && state->handed_in > 0)
        run_metric(worker->run, "hand_in_ns", (double)state->hand_in_ns / (double)state->handed_in, "ns per task");
    /* what others have stolen, they run before they leave; what was not, here */
    for (uint32_t i = 0; i < state->burst; i++)
        while (!is_over(worker, &state->tasks[i])) {
            (void)scheduler_run(state->on, 1000);
            spin_hint(63);
        }
    scheduler_detach(state->on);
    free(state->tasks);
    free(state->pointers);
    free(state);
}

static void finish(worker_t *worker) {
    scheduler_lockfree_t *scheduler = worker->run->shared;
    scheduler_stats_t stats = scheduler_stats(scheduler);
    account_close(worker, stats);
    account_tell_steals(worker, stats);
    scheduler_destroy(scheduler);
}

static bench_t bench = {
    .name = "spawn",
    .summary = "empty tasks through the lock-free scheduler",
    .unit_of_work = "one task run",
    .contracts = "S1,S5",
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
