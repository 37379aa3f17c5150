/* Arms of op_spawn, op_enqueue and op_queue, and with ARM_WHOLE of op_deque_pair and op_steal (of which ours are
 * in arm_deque_ours.c), for a scheduler with the functions of scheduler.h: SCHEDULER(f) names them;
 * ARM_NAME, ARM_KIND and ARM_SCHEDULER, its type, say what it is. Each arm has a scheduler of two CPUs, both driven by worker 0 (op_steal by
 * two: the second CPU by worker 1). The tasks do nothing. */
#include <stdlib.h>

#include "arms.h"
#include "op_tasks.h"
#include "scheduler.h"

typedef struct {
    ARM_SCHEDULER *scheduler;
    scheduler_cpu_t *on[2];
    task_t *tasks;
    task_t *batches[OP_TASKS]; /* the same tasks, as the functions take them */
    uint64_t ran;
} tasks_t;

static task_verdict_t nothing(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    KEEP(task);
    return TASK_DONE;
}

static bool tasks_setup(run_t *run, void **shared) {
    tasks_t *made = calloc(1, sizeof *made);
    task_t *tasks = aligned_alloc(4096, OP_TASKS * sizeof *tasks);
    *shared = made;
    if (!made || !tasks) {
        run_fail(run, "memory exhausted: %d tasks", OP_TASKS);
        return false;
    }
    made->tasks = tasks;
    for (unsigned i = 0; i < OP_TASKS; i++) {
        task_init(&tasks[i], nothing, NULL, TASK_PRIORITY_NORMAL, NULL);
        made->batches[i] = &tasks[i];
    }
    scheduler_config_t config = {.cpus = 2, .deque_first = 2 * OP_TASKS};
    status_t status = SCHEDULER(create)(&config, &made->scheduler);
    if (status != STATUS_OK)
        run_fail(run, "%s: the scheduler could not be made: %s", ARM_NAME, status_name(status));
    return status == STATUS_OK;
}

static bool tasks_enter(worker_t *worker, void *shared, void **state) {
    tasks_t *of = shared;
    *state = NULL;
    unsigned alone = worker->run->options->threads == 1;
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        bool mine = worker->index == (int)cpu || (alone && worker->index == 0);
        status_t status = mine ? SCHEDULER(attach)(of->scheduler, cpu, &of->on[cpu]) : STATUS_OK;
        if (status != STATUS_OK) {
            run_fail(worker->run, "%s: CPU %u could not be attached: %s", ARM_NAME, cpu, status_name(status));
            return false;
        }
    }
    return true;
}

static void tasks_leave(worker_t *worker, void *shared, void *state) {
    (void)state;
    tasks_t *of = shared;
    unsigned alone = worker->run->options->threads == 1;
    for (unsigned cpu = 0; cpu < 2; cpu++)
        if (worker->index == (int)cpu || (alone && worker->index == 0))
            SCHEDULER(detach)(of->on[cpu]);
}

static void tasks_finish(run_t *run, void *shared) {
    (void)run;
    tasks_t *of = shared;
    task_t *rest[OP_BATCH];
    while (SCHEDULER(rest)(of->scheduler, rest, OP_BATCH) > 0)
        ;
    SCHEDULER(destroy)(of->scheduler);
    free(of->tasks);
    free(of);
}

static void expect(worker_t *worker, uint64_t got, uint64_t wanted, const char *what) {
    if (got != wanted)
        run_violation(worker, "S1", "%s: %llu tasks %s, %llu were there", ARM_NAME, (unsigned long long)got, what,
                      (unsigned long long)wanted);
}

/* ---- op_spawn: so many made ready on this CPU, and run ---- */
static uint64_t spawn_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state;
    tasks_t *of = shared;
    uint64_t done = 0;
    while (done < sample->ops) {
        for (unsigned i = 0; i < OP_SPAWN; i++)
            SCHEDULER(spawn)(of->on[0], &of->tasks[i]);
        uint64_t ran = SCHEDULER(run)(of->on[0], OP_SPAWN);
        expect(worker, ran, OP_SPAWN, "ran");
        done += OP_SPAWN;
    }
    return done;
}

/* ---- op_queue: a batch in, a batch out ---- */
static uint64_t queue_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state;
    tasks_t *of = shared;
    task_t *taken[OP_BATCH];
    uint64_t done = 0;
    while (done < sample->ops) {
        SCHEDULER(enqueue_batch)(of->scheduler, of->batches, OP_BATCH, 0);
        uint32_t got = 0;
        while (got < OP_BATCH) {
            uint32_t more = SCHEDULER(dequeue_batch)(of->scheduler, taken, OP_BATCH - got, 0);
            if (more == 0)
                break;
            SCHEDULER(complete_batch)(of->scheduler, taken, more, 0);
            got += more;
        }
        expect(worker, got, OP_BATCH, "came out of a batch");
        done += OP_BATCH;
    }
    return done;
}

/* ---- op_enqueue: batches in, and nothing else; taken out again while nobody looks at the clock ---- */
static void enqueue_prepare(worker_t *worker, void *shared, void *state) {
    (void)worker, (void)state;
    tasks_t *of = shared;
    while (SCHEDULER(run)(of->on[0], OP_TASKS) > 0)
        ;
}

static uint64_t enqueue_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)state, (void)sample;
    tasks_t *of = shared;
    for (unsigned at = 0; at < OP_TASKS; at += OP_BATCH)
        SCHEDULER(enqueue_batch)(of->scheduler, &of->batches[at], OP_BATCH, 0);
    return OP_TASKS;
}

#ifdef ARM_WHOLE
/* ---- op_deque_pair: one made ready on this CPU, and taken again ---- */
static uint64_t pair_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state;
    tasks_t *of = shared;
    task_t *taken = NULL;
    for (uint64_t i = 0; i < sample->ops; i++) {
        SCHEDULER(spawn)(of->on[0], &of->tasks[0]);
        expect(worker, SCHEDULER(dequeue_batch)(of->scheduler, &taken, 1, 0), 1, "came out");
        SCHEDULER(complete_batch)(of->scheduler, &taken, 1, 0);
    }
    return sample->ops;
}

/* ---- op_steal: what is ready on the first CPU is taken by the second, as many at a time as are given ---- */
static void steal_prepare(worker_t *worker, void *shared, void *state) {
    (void)state;
    tasks_t *of = shared;
    for (unsigned i = 0; worker->index == 0 && i < OP_STEAL; i++)
        SCHEDULER(spawn)(of->on[0], &of->tasks[i]);
}

static uint64_t steal_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state, (void)sample;
    tasks_t *of = shared;
    task_t *taken[OP_BATCH];
    if (worker->run->options->threads > 1 && worker->index != 1)
        return 0;
    uint32_t most = (uint32_t)run_int(worker->run, OP_STEAL_BATCH), more = 1;
    uint64_t got = 0;
    for (; got < OP_STEAL && more > 0; got += more) {
        more = SCHEDULER(dequeue_batch)(of->scheduler, taken, most, 1);
        SCHEDULER(complete_batch)(of->scheduler, taken, more, 1);
    }
    expect(worker, got, OP_STEAL, "were stolen");
    return got;
}
#endif

#define TASKS_ARM(NAME, BENCH, FIXED, PREPARE)                                                               \
    static arm_t NAME = {.bench = BENCH,                                                                     \
                         .name = ARM_NAME,                                                                   \
                         .kind = ARM_KIND,                                                                   \
                         .fixed_ops = FIXED,                                                                 \
                         .setup = tasks_setup,                                                               \
                         .enter = tasks_enter,                                                               \
                         .prepare = PREPARE,                                                                 \
                         .sample = NAME##_sample,                                                            \
                         .leave = tasks_leave,                                                               \
                         .finish = tasks_finish};                                                            \
    ARM_REGISTER(NAME)

TASKS_ARM(spawn, "op_spawn", 0, NULL)
TASKS_ARM(queue, "op_queue", 0, NULL)
TASKS_ARM(enqueue, "op_enqueue", OP_TASKS, enqueue_prepare)
#ifdef ARM_WHOLE
TASKS_ARM(pair, "op_deque_pair", 0, NULL)
TASKS_ARM(steal, "op_steal", OP_STEAL, steal_prepare)
#endif
