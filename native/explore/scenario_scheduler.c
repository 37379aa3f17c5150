// The scheduler under the explorer: CPUs that run, steal, park and wake, and a producer from outside. Every task runs once and sees what was
// written before it was handed in; who hands in nothing more sees the end of all. Time does not pass, so a sleeper whom nobody wakes is a deadlock.
#include "scheduler_sources.h"

enum { TASKS = 8 };

typedef struct job {
    task_t task;
    plain_u32_t written; // by who makes the task ready
    plain_u32_t result;  // by the task
    unsigned runs, wanted, children, rested;
    bool goes; // hands itself in again
    struct job *child[2];
} job_t;

static scheduler_lockfree_t *scheduler;
static job_t *jobs[TASKS];
static unsigned job_count, over, handed;
static unsigned producers_left;
static uint32_t cpus;
static scheduler_mask_t masks[2];

static void ready(job_t *job) { plain_store_u32(&job->written, 1); }

static task_verdict_t do_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)(void *)((char *)task - offsetof(job_t, task));
    EXPLORE_EXPECT(plain_load_u32(&job->written) == 1, "S1");
    EXPLORE_EXPECT(++job->runs <= job->wanted, "S1");
    EXPLORE_EXPECT(mask_allows(task, scheduler_cpu_index(on)), "S4");
    if (job->runs < job->wanted && job->goes) {
        scheduler_enqueue_batch(scheduler, &task, 1, 0);
        return TASK_GONE;
    }
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

static void make_scheduler(void) {
    scheduler_deque_mode_t mode = explore_draw(2) == 0 ? SCHEDULER_DEQUE_FENCED : SCHEDULER_DEQUE_ASYMMETRIC;
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2, .mode = mode};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6");
    (void)scheduler_set(scheduler, SCHEDULER_SPIN, explore_draw(2));
    (void)scheduler_set(scheduler, SCHEDULER_PATIENCE, explore_draw(3));
    (void)scheduler_set(scheduler, SCHEDULER_STEAL_MAX, 1 + explore_draw(3));
    job_count = 0;
    over = 0;
}

static void prepare(uint32_t cpu_count) {
    cpus = cpu_count;
    make_scheduler();
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
// Two producers; a CPU that runs and one that takes by hand; some tasks with masks, some that hand themselves in again.
static void prepare_inbox(void) {
    cpus = 2;
    make_scheduler();
    (void)scheduler_set(scheduler, SCHEDULER_LOOK, 1 + explore_draw(3));
    handed = 2 + (unsigned)explore_draw(5);
    producers_left = 2;
    for (uint32_t cpu = 0; cpu < 2; cpu++) {
        scheduler_mask_add(&masks[cpu], cpu);
    }
    for (unsigned i = 0; i < handed; i++) {
        job_t *job = make_job();
        job->goes = explore_draw(2) == 0;
        job->task.mask = explore_draw(4) == 0 ? &masks[explore_draw(2)] : NULL;
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

static void hand_in(unsigned first) {
    task_t *batch[TASKS];
    for (unsigned i = first; i < handed;) {
        uint32_t count = 0;
        for (uint64_t size = 1 + explore_draw(3); size > 0 && i < handed; size--, i += 2) {
            ready(jobs[i]);
            batch[count++] = &jobs[i]->task;
        }
        if (explore_draw(4) == 0) {
            EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, batch, count, (uint32_t)explore_draw(cpus)) == STATUS_OK, "S1");
        } else {
            scheduler_enqueue_batch(scheduler, batch, count, (uint8_t)explore_draw(cpus));
        }
    }
    if (--producers_left == 0) {
        scheduler_stop(scheduler);
    }
}

static void take_by_hand(scheduler_cpu_t *on) {
    for (;;) {
        task_t *taken[3];
        bool stopped = scheduler_stopped(scheduler);
        uint32_t count = scheduler_dequeue_wide(scheduler, taken, 1 + (uint32_t)explore_draw(3), scheduler_cpu_index(on));
        for (uint32_t i = 0; i < count; i++) {
            scheduler_give_back(on, taken[i], do_job(taken[i], on));
        }
        if (count == 0 && stopped) {
            return;
        }
        if (count == 0) {
            (void)scheduler_park(on, SCHEDULER_FOREVER);
        }
    }
}

static void run_inbox(unsigned thread) {
    scheduler_cpu_t *on = NULL;
    if (thread >= cpus) {
        hand_in(thread - cpus);
        return;
    }
    EXPLORE_EXPECT(scheduler_attach(scheduler, thread, &on) == STATUS_OK, "S1");
    if (thread == 0) {
        (void)scheduler_loop(on);
    } else {
        take_by_hand(on);
    }
    scheduler_detach(on);
}

// Each has run, or is handed out.
static void finish_inbox(void) {
    task_t *rest = NULL;
    uint64_t queued = scheduler_queued(scheduler), rested = 0;
    for (; scheduler_rest(scheduler, &rest, 1) != 0; rested++) {
        job_t *job = (job_t *)(void *)((char *)rest - offsetof(job_t, task));
        EXPLORE_EXPECT(job->runs < job->wanted && job->rested++ == 0, "S1");
    }
    EXPLORE_EXPECT(rested == queued, "S5");
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPLORE_EXPECT(stats.accepted == stats.started && stats.started == stats.finished, "S5");
    for (unsigned i = 0; i < job_count; i++) {
        EXPLORE_EXPECT(jobs[i]->rested == 1 || jobs[i]->runs == jobs[i]->wanted, "S1");
        shared_free(jobs[i]);
    }
    scheduler_destroy(scheduler);
}

// One thread hands in and takes by hand, each once: where something is queued, a take brings some of it.
static void set_up_by_hand(void) {
    cpus = 1;
    make_scheduler();
    (void)scheduler_set(scheduler, SCHEDULER_LOOK, 1 + explore_draw(4));
    while (job_count < TASKS) {
        make_job()->wanted = 1;
    }
    handed = 0;
}

static void hand_in_some(void) {
    task_t *batch[TASKS];
    uint32_t count = 0;
    for (uint64_t size = 1 + explore_draw(3); size > 0 && handed < TASKS; size--) {
        ready(jobs[handed]);
        batch[count++] = &jobs[handed++]->task;
    }
    bool wide = count == 0 || explore_draw(2) == 0;
    EXPLORE_EXPECT(scheduler_cpus(scheduler) == 1, "S6: CPUs have gone");
    if (!wide) {
        scheduler_enqueue_batch(scheduler, batch, count, explore_draw(2) == 0 ? UINT8_MAX : 0);
    }
    EXPLORE_EXPECT(!wide || scheduler_enqueue_wide(scheduler, batch, count, 0) == STATUS_OK, "S1");
}

static void run_by_hand(unsigned thread) {
    scheduler_cpu_t *on = NULL;
    EXPLORE_EXPECT(scheduler_attach(scheduler, thread, &on) == STATUS_OK, "S1");
    for (unsigned taken = 0; taken < TASKS;) {
        task_t *tasks[4];
        if (handed < TASKS && explore_draw(2) == 0) {
            hand_in_some();
        }
        uint32_t count = scheduler_dequeue_wide(scheduler, tasks, 1 + (uint32_t)explore_draw(4), 0);
        EXPLORE_EXPECT(count != 0 || taken == handed, "S1: nothing, where something is queued");
        for (uint32_t i = 0; i < count; i++) {
            scheduler_give_back(on, tasks[i], do_job(tasks[i], on));
        }
        taken += count;
    }
    scheduler_detach(on);
}

static const explore_scenario_t scenarios[] = {
    {"scheduler_two", 3, set_up_two, run, finish},
    {"scheduler_three", 4, set_up_three, run, finish},
    {"scheduler_by_hand", 1, set_up_by_hand, run_by_hand, finish},
    {"scheduler_inbox", 4, prepare_inbox, run_inbox, finish_inbox},
};
EXPLORE_SCENARIOS("scheduler", "S1,S3,S4,S5,S6", scenarios)
