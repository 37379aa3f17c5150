/* Floors of op_spawn, op_enqueue, op_queue, op_deque_pair and op_steal: by hand over the deque of floor_deque.h. Tasks without a
 * state, queues without growth, nobody who sleeps or has an affinity. */
#include <stdlib.h>
#include <string.h>

#include "arms.h"
#include "floor_deque.h"
#include "op_tasks.h"

typedef struct task {
    void (*run)(struct task *task);
    uint64_t rest[7];
} floor_task_t;

typedef struct {
    floor_deque_t deque;
    floor_task_t tasks[OP_TASKS];
    void *batches[OP_TASKS];
} floor_t;

static void nothing(floor_task_t *task) { KEEP(task); }

static bool floor_setup(run_t *run, void **shared) {
    floor_t *made = aligned_alloc(4096, (sizeof *made + 4095) / 4096 * 4096);
    *shared = made;
    if (!made) {
        run_fail(run, "memory exhausted: %d tasks", OP_TASKS);
        return false;
    }
    memset(made, 0, sizeof *made);
    for (unsigned i = 0; i < OP_TASKS; i++) {
        made->tasks[i].run = nothing;
        made->batches[i] = &made->tasks[i];
    }
    floor_push(&made->deque, &made->tasks[0]); /* a pop that is to be short never takes the last one */
    floor_push(&made->deque, &made->tasks[0]);
    return true;
}

static void floor_finish(run_t *run, void *shared) {
    (void)run;
    free(shared);
}

static uint64_t spawn_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)state;
    floor_t *of = shared;
    uint64_t done = 0;
    for (; done < sample->ops; done += OP_SPAWN) {
        for (unsigned i = 0; i < OP_SPAWN; i++)
            floor_push(&of->deque, &of->tasks[i]);
        for (unsigned i = 0; i < OP_SPAWN; i++) {
            floor_task_t *task = floor_pop(&of->deque, false);
            task->run(task);
        }
    }
    return done;
}

static uint64_t queue_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)state;
    floor_t *of = shared;
    void *taken[OP_BATCH];
    uint64_t done = 0;
    for (; done < sample->ops; done += OP_BATCH) {
        floor_push_many(&of->deque, of->batches, OP_BATCH);
        (void)floor_steal(&of->deque, taken, OP_BATCH);
        KEEP(taken);
    }
    return done;
}

static void enqueue_prepare(worker_t *worker, void *shared, void *state) {
    (void)worker, (void)state;
    floor_t *of = shared;
    atomic_store_explicit(&of->deque.bottom, 0, memory_order_relaxed);
    atomic_store_explicit(&of->deque.top, 0, memory_order_relaxed);
}

/* Links and states are what a queue of tasks writes into them: so does this. */
static uint64_t enqueue_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)state, (void)sample;
    floor_t *of = shared;
    for (unsigned at = 0; at < OP_TASKS; at += OP_BATCH)
        floor_push_many(&of->deque, &of->batches[at], OP_BATCH);
    return OP_TASKS;
}

static uint64_t pair_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state;
    floor_t *of = shared;
    if (run_int(worker->run, OP_DEQUE_MODE) == OP_DEQUE_FENCED) {
        for (uint64_t i = 0; i < sample->ops; i++) {
            floor_push(&of->deque, worker);
            KEEP(floor_pop(&of->deque, true));
        }
    } else {
        for (uint64_t i = 0; i < sample->ops; i++) {
            floor_push(&of->deque, worker);
            KEEP(floor_pop(&of->deque, false));
        }
    }
    return sample->ops;
}

static void steal_prepare(worker_t *worker, void *shared, void *state) {
    floor_t *of = shared;
    if (worker->index > 0)
        return;
    enqueue_prepare(worker, shared, state);
    floor_push_many(&of->deque, of->batches, OP_STEAL);
}

static uint64_t steal_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state, (void)sample;
    floor_t *of = shared;
    void *taken[OP_BATCH];
    if (worker->run->options->threads > 1 && worker->index != 1)
        return 0;
    int64_t most = run_int(worker->run, OP_STEAL_BATCH), more = 1;
    uint64_t got = 0;
    for (; more > 0; got += (uint64_t)more) {
        more = floor_steal(&of->deque, taken, most);
        KEEP(taken);
    }
    return got;
}

#define FLOOR_ARM(NAME, BENCH, FIXED, PREPARE)                                                               \
    static arm_t NAME = {.bench = BENCH,                                                                     \
                         .name = "floor",                                                                    \
                         .kind = ARM_FLOOR,                                                                  \
                         .fixed_ops = FIXED,                                                                 \
                         .setup = floor_setup,                                                               \
                         .prepare = PREPARE,                                                                 \
                         .sample = NAME##_sample,                                                            \
                         .finish = floor_finish};                                                            \
    ARM_REGISTER(NAME)

FLOOR_ARM(spawn, "op_spawn", 0, NULL)
FLOOR_ARM(queue, "op_queue", 0, NULL)
FLOOR_ARM(enqueue, "op_enqueue", OP_TASKS, enqueue_prepare)
FLOOR_ARM(pair, "op_deque_pair", 0, NULL)
FLOOR_ARM(steal, "op_steal", OP_STEAL, steal_prepare)
