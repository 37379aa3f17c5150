// Parking and blocking under the explorer, with an observer between any two steps: CPUs that run a few tasks at a time and park, and a producer who
// hands in, and unblocks what has blocked. Time does not pass, so a sleeper whom nobody wakes sleeps for ever, and a task that has not
// run when all sleep was forgotten. In one run of four no deque finds memory to grow, most of the time.
#include "watched.h"

#include "atomics.h"

static void *scarce_alloc(size_t bytes);
#define shared_alloc_aligned(bytes) scarce_alloc(bytes)
#include "scheduler_sources.h"

enum { TASKS = 12, ROUNDS_MAX = 50 };

typedef struct job {
    task_t task;
    plain_u32_t told; // by who makes the task ready, and then by the task
    unsigned runs, wanted;
    bool blocks;               // between two runs
    bool block_seen;           // BLOCKED was seen, and no unblock has begun since
    bool unblocking, unblocked; // an unblock has begun, has ended; each blocks once
    struct job *child;         // spawned by its first run; NULL: none
} job_t;

static scheduler_lockfree_t *scheduler;
static job_t *jobs[TASKS];
static unsigned job_count, roots, over;
static uint32_t cpus;
static scheduler_mask_t masks[EXPLORE_THREADS]; // one CPU each
static bool scarce, begun;

static void *scarce_alloc(size_t bytes) {
    return begun && scarce && explore_draw(4) != 0 ? NULL : (shared_alloc_aligned)(bytes);
}

// --- the observer ---------------------------------------------------------------------------------------------------

static void watch(void) {
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPLORE_EXPECT(stats.accepted >= stats.started, "S5: started before it was accepted");
    EXPLORE_EXPECT(stats.started >= stats.finished, "S5: finished before it was started");
    EXPLORE_EXPECT(stats.finished >= stats.blocked, "S5: blocked before it was finished");
    uint64_t idle = atomic_load_relaxed_u64(&scheduler->idle);
    int32_t asleep = sleeping(idle), most = (int32_t)cpus;
    EXPLORE_EXPECT(asleep <= most && asleep >= -most && waking(idle) <= cpus, "S5: asleep and woken");
    for (unsigned i = 0; i < job_count; i++) {
        bool blocked = task_state(&jobs[i]->task) == TASK_STATE_BLOCKED;
        EXPLORE_EXPECT(!blocked || !jobs[i]->unblocked, "S2: blocked once more after the unblock");
        jobs[i]->block_seen |= !jobs[i]->unblocking && blocked;
    }
}

// --- tasks ------------------------------------------------------------------------------------------------------------

static void tell(job_t *job) { plain_store_u32(&job->told, plain_load_u32(&job->told) + 1); }

static task_verdict_t do_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)(void *)((char *)task - offsetof(job_t, task));
    EXPLORE_EXPECT(!job->block_seen, "S2: it runs while it is blocked");
    EXPLORE_EXPECT(mask_allows(task, scheduler_cpu_index(on)), "S4: it runs on another CPU");
    EXPLORE_EXPECT(++job->runs <= job->wanted, "S1: it runs too often");
    tell(job);
    if (job->runs == 1 && job->child != NULL) {
        tell(job->child);
        scheduler_spawn(on, &job->child->task);
    }
    if (job->runs < job->wanted) {
        return job->blocks ? TASK_BLOCK : TASK_AGAIN;
    }
    if (++over == job_count) {
        scheduler_stop(scheduler);
    }
    return TASK_DONE;
}

static void drive(uint32_t cpu) {
    scheduler_cpu_t *on = NULL;
    EXPLORE_EXPECT(scheduler_attach(scheduler, cpu, &on) == STATUS_OK, "S3");
    while (!scheduler_stopped(scheduler)) {
        if (scheduler_run(on, 1 + explore_draw(3)) == 0) {
            (void)scheduler_park(on, SCHEDULER_FOREVER);
        }
    }
    scheduler_detach(on);
}

// Whether some have not blocked and gone on yet.
static bool unblock_all(void) {
    bool left = false;
    for (unsigned i = 0; i < job_count; i++) {
        job_t *job = jobs[i];
        left |= job->blocks && job->runs < job->wanted;
        if (job->blocks && task_state(&job->task) == TASK_STATE_BLOCKED) {
            EXPLORE_EXPECT(!job->unblocked, "S2: blocked once more after the unblock");
            tell(job); // nobody has it
            job->unblocking = true;
            job->block_seen = false;
            EXPLORE_EXPECT(scheduler_unblock(scheduler, &job->task, SCHEDULER_ANY_CPU) == STATUS_OK, "S2: a blocked task is not unblocked");
            job->unblocked = true;
        }
    }
    return left;
}

static void produce(void) {
    for (unsigned i = 0; i < roots;) {
        task_t *batch[TASKS];
        uint32_t count = 1 + (uint32_t)explore_draw(roots - i);
        for (uint32_t k = 0; k < count; k++) {
            tell(jobs[i]);
            batch[k] = &jobs[i++]->task;
        }
        EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, batch, count, (uint32_t)explore_draw(cpus)) == STATUS_OK, "S1");
    }
    for (unsigned round = 0; !scheduler_stopped(scheduler) && unblock_all(); round++) {
        if (round == ROUNDS_MAX) {
            watch_thaw(); // it may be what this waits for
        }
        explore_yield();
    }
}

static void run(unsigned thread) {
    if (thread < cpus) {
        drive(thread);
    } else {
        produce();
    }
}

// --- one run --------------------------------------------------------------------------------------------------------

static void make_jobs(void) {
    job_count = 1 + (unsigned)explore_draw(TASKS);
    roots = 1 + (unsigned)explore_draw(job_count);
    over = 0;
    for (unsigned i = 0; i < job_count; i++) {
        jobs[i] = shared_alloc_aligned(sizeof **jobs);
        task_init(&jobs[i]->task, do_job, NULL, (uint8_t)explore_draw(TASK_PRIORITIES), NULL);
        jobs[i]->task.mask = explore_draw(6) == 0 ? &masks[explore_draw(cpus)] : NULL;
        jobs[i]->wanted = explore_draw(3) == 0 ? 2 : 1;
        jobs[i]->blocks = i % 2 == 1;
    }
    for (unsigned i = 0; i + roots < job_count; i++) { // so each that is no root is spawned by one
        jobs[i]->child = jobs[i + roots];
    }
}

static void set_up(uint32_t cpu_count) {
    cpus = cpu_count;
    begun = false;
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        scheduler_mask_add(&masks[cpu], cpu);
    }
    scarce = explore_draw(4) == 0;
    scheduler_deque_mode_t mode = explore_draw(3) == 0 ? SCHEDULER_DEQUE_ASYMMETRIC : SCHEDULER_DEQUE_FENCED;
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2, .mode = mode};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6");
    (void)scheduler_set(scheduler, SCHEDULER_PATIENCE, explore_draw(2));
    (void)scheduler_set(scheduler, SCHEDULER_LOOK, 1 + explore_draw(8));
    (void)scheduler_set(scheduler, SCHEDULER_STEAL_MAX, 1 + explore_draw(4));
    make_jobs();
    begun = true;
    watch_begin(cpus + 1);
}
static void set_up_one(void) { set_up(1); }
static void set_up_two(void) { set_up(2); }
static void set_up_three(void) { set_up(3); }

static void finish(void) {
    watch_end();
    EXPLORE_EXPECT(over == job_count, "S3: all sleep, and some tasks are not over");
    task_t *rest = NULL;
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPLORE_EXPECT(scheduler_rest(scheduler, &rest, 1) == 0, "S5: something is left");
    EXPLORE_EXPECT(stats.accepted == stats.started && stats.started == stats.finished, "S5");
    EXPLORE_EXPECT(atomic_load_relaxed_u64(&scheduler->idle) == 0, "S5: nobody is there, and some are asleep");
    for (unsigned i = 0; i < job_count; i++) {
        EXPLORE_EXPECT(jobs[i]->runs == jobs[i]->wanted && task_state(&jobs[i]->task) == TASK_STATE_COMPLETED, "S1");
        shared_free(jobs[i]);
    }
    scheduler_destroy(scheduler);
}

static const explore_scenario_t scenarios[] = {
    {"parking_one", 2, set_up_one, run, finish},
    {"parking_two", 3, set_up_two, run, finish},
    {"parking_three", 4, set_up_three, run, finish},
};
EXPLORE_SCENARIOS("scheduler", "S1,S2,S3,S4,S5,S6", scenarios)
