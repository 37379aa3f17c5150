// The scheduler under the explorer: CPUs that run, steal, park and wake, and a producer from outside. Every task runs once and sees what was
// written before it was handed in; who hands in nothing more sees the end of all. Time does not pass, so a sleeper whom nobody wakes is a deadlock.
#include "atomics.h"
#include "explore.h"

#undef park_wait
#define park_wait(at, expected, timeout) ((void)(timeout), explore_wait(&(at)->value, sizeof(at)->value, expected, false))
#define WAKE_FROM 1u // a lone task wakes, too: there is no time after which it would be found
#define LONE_ROUNDS 1u

// The order of inclusion is the order of their uses.
#include "../kernel/deque.c"
#include "../kernel/scheduler_run.c"
#include "../kernel/scheduler_queue.c"
#undef NOBODY
#include "../kernel/scheduler_steal.c"
#undef NOBODY
#include "../kernel/scheduler_park.c"
#undef NOBODY
#include "../kernel/scheduler_tasks.c"
#include "../kernel/scheduler.c"

enum { TASKS = 8 };

typedef struct job {
    task_t task;
    plain_u32_t written; // by who makes the task ready
    plain_u32_t result;  // by the task
    unsigned runs, wanted, children;
    struct job *child[2];
} job_t;

static scheduler_lockfree_t *scheduler;
static job_t *jobs[TASKS];
static unsigned job_count, over, handed;
static uint32_t cpus;

static void ready(job_t *job) { plain_store_u32(&job->written, 1); }

static task_verdict_t do_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)(void *)((char *)task - offsetof(job_t, task));
    EXPLORE_EXPECT(plain_load_u32(&job->written) == 1, "S1");
    EXPLORE_EXPECT(++job->runs <= job->wanted, "S1");
    if (job->runs < job->wanted) {
        return TASK_AGAIN;
    }
    for (unsigned i = 0; i < job->children; i++) {
        ready(job->child[i]);
        scheduler_spawn(on, &job->child[i]->task);
    }
    plain_store_u32(&job->result, 1);
    if (++over == job_count) {
        scheduler_stop(scheduler);
    }
    return TASK_DONE;
}

static job_t *make_job(void) {
    job_t *job = shared_alloc_aligned(sizeof *job);
    task_init(&job->task, do_job, NULL, (uint8_t)explore_draw(2), NULL);
    job->wanted = explore_draw(5) == 0 ? 2 : 1;
    return jobs[job_count++] = job;
}

static void prepare(uint32_t cpu_count) {
    cpus = cpu_count;
    scheduler_deque_mode_t mode = explore_draw(2) == 0 ? SCHEDULER_DEQUE_FENCED : SCHEDULER_DEQUE_ASYMMETRIC;
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2, .mode = mode};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6");
    (void)scheduler_set(scheduler, SCHEDULER_SPIN, explore_draw(2));
    (void)scheduler_set(scheduler, SCHEDULER_PATIENCE, explore_draw(3));
    (void)scheduler_set(scheduler, SCHEDULER_STEAL_MAX, 1 + explore_draw(3));
    job_count = 0;
    over = 0;
    handed = 1 + (unsigned)explore_draw(3);
    for (unsigned i = 0; i < handed; i++) { // roots first
        (void)make_job();
    }
    for (unsigned i = 0; i < job_count; i++) {
        for (uint64_t left = explore_draw(3); left > 0 && job_count < TASKS; left--) {
            jobs[i]->child[jobs[i]->children++] = make_job();
        }
    }
}
static void set_up_two(void) { prepare(2); }
static void set_up_three(void) { prepare(3); }

static void produce(void) {
    for (unsigned i = 0; i < handed;) {
        task_t *batch[2];
        uint32_t count = 0;
        for (uint64_t size = 1 + explore_draw(2); size > 0 && i < handed; size--) {
            ready(jobs[i]);
            batch[count++] = &jobs[i++]->task;
        }
        scheduler_enqueue_batch(scheduler, batch, count, (uint8_t)explore_draw(cpus));
    }
}

static void run(unsigned thread) {
    scheduler_cpu_t *on = NULL;
    if (thread == cpus) {
        produce();
        return;
    }
    EXPLORE_EXPECT(scheduler_attach(scheduler, thread, &on) == STATUS_OK, "S1");
    (void)scheduler_loop(on);
    scheduler_detach(on);
}

static void finish(void) {
    EXPLORE_EXPECT(over == job_count, "S1");
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPLORE_EXPECT(stats.accepted >= stats.started && stats.started == stats.finished, "S5");
    EXPLORE_EXPECT(scheduler_queued(scheduler) == 0, "S5");
    for (unsigned i = 0; i < job_count; i++) {
        EXPLORE_EXPECT(jobs[i]->runs == jobs[i]->wanted && plain_load_u32(&jobs[i]->result) == 1, "S1");
        EXPLORE_EXPECT(task_state(&jobs[i]->task) == TASK_STATE_COMPLETED, "S1");
        shared_free(jobs[i]);
    }
    scheduler_destroy(scheduler);
}

static const explore_scenario_t scenarios[] = {
    {"scheduler_two", 3, set_up_two, run, finish},
    {"scheduler_three", 4, set_up_three, run, finish},
};
EXPLORE_SCENARIOS("scheduler", "S1,S5,S6", scenarios)
