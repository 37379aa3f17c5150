// The states of tasks under the explorer: one thread drives one or two CPUs, makes tasks with ids, hands them in by every way, asks things of them and
// releases them, beside a model that says what each answer and each state must be (S1, S2, S4, S6). Now and then no deque finds memory to grow.
#include "atomics.h"
#include "scheduler.h"

static void *scarce_alloc(void *given);
#define shared_alloc_aligned(bytes) scarce_alloc(shared_alloc_aligned(bytes))
#undef SCHEDULER_MAX_TASKS
#define SCHEDULER_MAX_TASKS 255u
#include "scheduler_sources.h"

#include <string.h>

enum { JOBS = 8, OLD = 16, OPERATIONS = 40, FEW = 4, PLAIN = 3, CPUS = 2, ROUNDS = 24 };

typedef struct job {
    task_id_t id; // TASK_NONE: there is none
    task_t *task;
    task_state_t state;
    bool block, permit, terminate; // asked of it, and not answered yet
    uint32_t cpu;                  // of its mask; CPUS: it has none
} job_t;

static scheduler_lockfree_t *scheduler;
static scheduler_cpu_t *on[CPUS];
static uint32_t cpus;
static scheduler_mask_t masks[CPUS];
static job_t jobs[JOBS];
static task_id_t old[OLD]; // released
static unsigned old_count;
static bool scarce, in_order;
static unsigned ran;

static void *scarce_alloc(void *given) {
    if (!scarce || explore_draw(4) == 0) {
        return given;
    }
    shared_free(given);
    return NULL;
}

// --- the model ----------------------------------------------------------------------------------------------------------

static bool is_free(const job_t *job) { // nobody has it
    return job->state == TASK_STATE_NEW || job->state == TASK_STATE_COMPLETED || job->state == TASK_STATE_TERMINATED;
}
static bool is_done(const job_t *job) { return job->state == TASK_STATE_COMPLETED || job->state == TASK_STATE_TERMINATED; }

static void settle(job_t *job, task_state_t state) {
    job->state = state;
    job->block = job->permit = false;
    job->terminate &= state != TASK_STATE_COMPLETED && state != TASK_STATE_TERMINATED;
}

static void expect_status(const job_t *job, status_t status) {
    EXPLORE_EXPECT(status == (is_done(job) ? STATUS_STALE : STATUS_OK), "S2: another answer");
}

static void ask(job_t *job, unsigned what) {
    switch (what) {
    case 0:
        expect_status(job, scheduler_block_id(scheduler, job->id));
        if (!is_done(job) && job->state != TASK_STATE_BLOCKED) {
            job->block = true;
            job->permit = false;
        }
        break;
    case 1:
        expect_status(job, scheduler_unblock_id(scheduler, job->id, explore_draw(2) == 0 ? SCHEDULER_ANY_CPU : 0));
        if (job->state == TASK_STATE_BLOCKED) {
            job->state = TASK_STATE_READY;
        } else if (!is_done(job)) {
            job->permit |= !job->block;
            job->block = false;
        }
        break;
    default:
        expect_status(job, scheduler_terminate_id(scheduler, job->id));
        if (job->state == TASK_STATE_BLOCKED) {
            settle(job, TASK_STATE_TERMINATED);
        } else {
            job->terminate |= !is_done(job);
        }
    }
}

// What a run answers, and what becomes of the task.
static task_verdict_t end_run(job_t *job) {
    task_verdict_t verdict = in_order ? TASK_DONE : (task_verdict_t)explore_draw(TASK_GONE);
    if (verdict == TASK_DONE) {
        settle(job, TASK_STATE_COMPLETED);
    } else if (job->terminate) {
        settle(job, TASK_STATE_TERMINATED);
    } else if (job->block || (verdict == TASK_BLOCK && !job->permit)) {
        settle(job, TASK_STATE_BLOCKED);
    } else {
        job->state = TASK_STATE_READY;
        job->permit &= verdict == TASK_AGAIN;
    }
    return verdict;
}

static task_verdict_t body(task_t *task, scheduler_cpu_t *cpu) {
    job_t *job = &jobs[task->user];
    EXPLORE_EXPECT(job->task == task && job->state == TASK_STATE_READY, "S1: it runs, and is not ready");
    EXPLORE_EXPECT(!job->block && !job->terminate, "S2: it runs, and was asked not to");
    EXPLORE_EXPECT(job->cpu == CPUS || job->cpu == scheduler_cpu_index(cpu), "S4: it runs on another CPU");
    for (unsigned i = 0; in_order && i < JOBS; i++) {
        bool waits = jobs[i].state == TASK_STATE_READY;
        EXPLORE_EXPECT(!waits || jobs[i].task->priority >= task->priority, "S4: a lower priority is first");
    }
    job->state = TASK_STATE_RUNNING;
    ran++;
    if (!in_order && explore_draw(5) == 0) {
        ask(job, (unsigned)explore_draw(3));
    }
    return end_run(job);
}

// The state is the model's. What was asked of a queued task may have been answered by now.
static void look_at(job_t *job) {
    task_state_t state = TASK_STATE_COUNT;
    EXPLORE_EXPECT(scheduler_state_of(scheduler, job->id, &state) == STATUS_OK, "S6: its id is not known");
    if (job->state == TASK_STATE_READY && state == TASK_STATE_TERMINATED && job->terminate) {
        settle(job, TASK_STATE_TERMINATED);
    } else if (job->state == TASK_STATE_READY && state == TASK_STATE_BLOCKED && job->block && !job->terminate) {
        settle(job, TASK_STATE_BLOCKED);
    }
    EXPLORE_EXPECT(state == job->state, "S2: it is in another state");
}

static void look_at_all(void) {
    for (unsigned i = 0; i < JOBS; i++) {
        if (jobs[i].id != TASK_NONE) {
            look_at(&jobs[i]);
        }
    }
    for (unsigned i = 0; i < old_count; i++) {
        task_state_t state = TASK_STATE_COUNT;
        EXPLORE_EXPECT(scheduler_state_of(scheduler, old[i], &state) == STATUS_STALE, "S6: a released id is known");
    }
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPLORE_EXPECT(stats.accepted >= stats.started && stats.started >= stats.finished, "S5: counts");
}

// --- operations ---------------------------------------------------------------------------------------------------------

static void make(job_t *job) {
    uint32_t cpu = !in_order && explore_draw(4) == 0 ? (uint32_t)explore_draw(cpus) : CPUS;
    const scheduler_mask_t *mask = cpu == CPUS ? NULL : &masks[cpu];
    *job = (job_t){.cpu = cpu};
    status_t status = scheduler_task_create(scheduler, body, NULL, (uint8_t)explore_draw(TASK_PRIORITIES), mask, &job->id, &job->task);
    EXPLORE_EXPECT(status == STATUS_OK, "S6: no task");
    job->task->user = (uint64_t)(job - jobs);
    for (unsigned i = 0; i < JOBS; i++) {
        EXPLORE_EXPECT(&jobs[i] == job || jobs[i].id != job->id, "S6: two with one id");
    }
}

static void release(job_t *job) {
    status_t status = scheduler_task_release(scheduler, job->id);
    EXPLORE_EXPECT(status == (is_free(job) ? STATUS_OK : STATUS_BUSY), "S6: release");
    if (status == STATUS_OK) {
        old[old_count++ % OLD] = job->id;
        old_count = old_count > OLD ? OLD : old_count;
        job->id = TASK_NONE;
    }
}

// By any of the ways.
static void hand_in(void) {
    task_t *batch[JOBS];
    uint32_t count = 0, most = 1 + (uint32_t)explore_draw(JOBS), cpu = (uint32_t)explore_draw(cpus);
    for (unsigned i = 0; i < JOBS && count < most; i++) {
        if (jobs[i].id != TASK_NONE && is_free(&jobs[i]) && explore_draw(3) != 0) {
            jobs[i].state = TASK_STATE_READY;
            batch[count++] = jobs[i].task;
        }
    }
    switch (explore_draw(4)) {
    case 0: scheduler_enqueue_batch(scheduler, batch, count, (uint8_t)explore_draw(cpus + 1)); break;
    case 1: EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, batch, count, cpu) == STATUS_OK, "S1: it is not taken"); break;
    case 2: scheduler_spawn_batch(on[cpu], batch, count); break;
    default:
        for (uint32_t i = 0; i < count; i++) {
            scheduler_spawn(on[cpu], batch[i]);
        }
    }
}

static void run_some(uint32_t cpu, uint64_t budget) {
    ran = 0;
    uint64_t said = scheduler_run(on[cpu], budget);
    EXPLORE_EXPECT(said == ran && said <= budget, "S1: it says that others ran");
}

static void do_one(void) {
    job_t *job = &jobs[explore_draw(JOBS)];
    if (job->id == TASK_NONE) {
        make(job);
        return;
    }
    switch (explore_draw(6)) {
    case 0:
    case 1: hand_in(); break;
    case 2: run_some((uint32_t)explore_draw(cpus), 1 + explore_draw(4)); break;
    case 3: release(job); break;
    default: ask(job, (unsigned)explore_draw(3));
    }
}

// --- one run ------------------------------------------------------------------------------------------------------------

static bool any_ready(void) {
    for (unsigned i = 0; i < JOBS; i++) {
        if (jobs[i].id != TASK_NONE && jobs[i].state == TASK_STATE_READY) {
            return true;
        }
    }
    return false;
}

// Every one that is ready runs; what blocks stays so.
static void run_ready(void) {
    for (unsigned round = 0; round < ROUNDS && any_ready(); round++) {
        for (uint32_t cpu = 0; cpu < cpus; cpu++) {
            run_some(cpu, 2 * JOBS);
        }
        look_at_all();
    }
    EXPLORE_EXPECT(!any_ready() || scheduler_queued(scheduler) > 0, "S1: it is ready, and in no queue");
}

// Or is handed out, once.
static void rest_all(void) {
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        scheduler_detach(on[cpu]);
    }
    task_t *task = NULL;
    while (scheduler_rest(scheduler, &task, 1) != 0) {
        job_t *job = &jobs[task->user];
        EXPLORE_EXPECT(job->task == task && job->state == TASK_STATE_READY, "S1: the rest has what is not queued");
        settle(job, TASK_STATE_NEW);
    }
    EXPLORE_EXPECT(!any_ready(), "S1: the rest lacks one");
}

// What is spawned on one CPU runs by priority.
static void run_in_order(void) {
    in_order = true;
    for (unsigned i = 0; i < JOBS; i++) {
        make(&jobs[i]);
        jobs[i].state = TASK_STATE_READY;
        scheduler_spawn(on[0], jobs[i].task);
    }
    run_some(0, JOBS);
    look_at_all();
    in_order = false;
}

static task_verdict_t never(task_t *task, scheduler_cpu_t *cpu) {
    (void)task, (void)cpu;
    explore_fail("S1: it runs, and nobody drives its CPU");
}

// Tasks without an id go by blocks, whose masks are looked at when they are taken over: also by who takes the rest.
static void rest_plain(void) {
    task_t *plain[PLAIN] = {NULL}, *rest = NULL;
    uint32_t count = 1 + (uint32_t)explore_draw(PLAIN), rested = 0;
    for (uint32_t i = 0; i < count; i++) {
        plain[i] = (shared_alloc_aligned)(sizeof *plain[i]);
        const scheduler_mask_t *mask = explore_draw(2) == 0 ? &masks[explore_draw(cpus)] : NULL;
        task_init(plain[i], never, NULL, (uint8_t)explore_draw(TASK_PRIORITIES), mask);
    }
    task_t *batch[PLAIN];
    memcpy(batch, plain, sizeof batch);
    scheduler_enqueue_batch(scheduler, batch, count, (uint8_t)explore_draw(cpus));
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        scheduler_detach(on[cpu]);
    }
    while (scheduler_rest(scheduler, &rest, 1) != 0) {
        EXPLORE_EXPECT(rested++ < count && task_state(rest) == TASK_STATE_NEW, "S1: the rest has what is not queued");
    }
    EXPLORE_EXPECT(rested == count, "S1: the rest lacks one");
    for (uint32_t i = 0; i < count; i++) {
        shared_free(plain[i]);
    }
}

static void run(unsigned thread) {
    (void)thread;
    if (explore_draw(8) == 0) {
        rest_plain();
        return;
    }
    unsigned operations = explore_draw(3) == 0 ? FEW : OPERATIONS;
    if (explore_draw(5) == 0) {
        run_in_order();
        operations = 0;
    }
    for (unsigned i = 0; i < operations; i++) {
        do_one();
        look_at_all();
    }
    if (explore_draw(2) == 0) {
        run_ready();
    }
    rest_all();
}

static void set_up(void) {
    cpus = 1 + (uint32_t)explore_draw(CPUS);
    scarce = false;
    in_order = false;
    old_count = 0;
    memset(jobs, 0, sizeof jobs);
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2, .mode = SCHEDULER_DEQUE_FENCED};
    config.first_generation = explore_draw(4) == 0 ? TASK_GENERATION_MAX - explore_draw(3) : 0;
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6: no scheduler");
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        scheduler_mask_add(&masks[cpu], cpu);
        EXPLORE_EXPECT(scheduler_attach(scheduler, cpu, &on[cpu]) == STATUS_OK, "S3: not mine");
    }
    scarce = explore_draw(3) == 0;
}

static void finish(void) { scheduler_destroy(scheduler); }

static const explore_scenario_t scenarios[] = {{"tasks_alone", 1, set_up, run, finish}};
EXPLORE_SCENARIOS("scheduler", "S1,S2,S4,S5,S6", scenarios)
