// The contract of scheduler.h, S1 to S6, for any implementation behind scheduler_ops_t. Each test makes its own scheduler; one thread
// drives all its CPUs, but for the last tests, which have a thread per CPU.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "expect.h"
#include "scheduler_ops.h"

enum { SUITE_CPUS = 4, SUITE_LOOK = 64 };

typedef struct yard {
    const scheduler_ops_t *ops;
    void *scheduler;
    scheduler_cpu_t *on[SUITE_CPUS]; // attached by the test's own thread
} yard_t;

// A task and what is known of it.
typedef struct job {
    task_t task;
    yard_t *yard;
    _Atomic(unsigned) runs;
    unsigned place; // in the order of starts, from 1; written by who runs it
    task_verdict_t verdict;
} job_t;

static _Atomic(unsigned) starts_so_far;

static task_verdict_t run_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = task->argument;
    (void)on;
    EXPECT_EQ(job->yard->ops->task_state(job->yard->scheduler, task), TASK_STATE_RUNNING);
    job->place = atomic_fetch_add(&starts_so_far, 1) + 1;
    task_verdict_t verdict = job->verdict;
    job->verdict = TASK_DONE; // AGAIN and BLOCK once
    atomic_fetch_add(&job->runs, 1);
    return verdict;
}

static void job_make(yard_t *yard, job_t *job, uint8_t priority, const scheduler_mask_t *mask) {
    memset(job, 0, sizeof *job);
    task_init(&job->task, run_job, job, priority, mask);
    job->yard = yard;
    job->verdict = TASK_DONE;
}

static void jobs_make(yard_t *yard, job_t *jobs, task_t **tasks, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        job_make(yard, &jobs[i], TASK_PRIORITY_NORMAL, NULL);
        tasks[i] = &jobs[i].task;
    }
}

static task_state_t state_of(yard_t *yard, const job_t *job) { return yard->ops->task_state(yard->scheduler, &job->task); }

static void enqueue_one(yard_t *yard, job_t *job, uint32_t cpu) {
    task_t *task = &job->task;
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, cpu), STATUS_OK);
}

static yard_t yard_make(const scheduler_ops_t *ops, const scheduler_config_t *config) {
    yard_t yard = {.ops = ops};
    EXPECT_EQ(ops->create(config, &yard.scheduler), STATUS_OK);
    EXPECT_EQ(ops->cpus(yard.scheduler), config->cpus);
    return yard;
}

static void yard_attach(yard_t *yard) {
    for (uint32_t cpu = 0; cpu < yard->ops->cpus(yard->scheduler); cpu++) {
        EXPECT_EQ(yard->ops->attach(yard->scheduler, cpu, &yard->on[cpu]), STATUS_OK);
        EXPECT_EQ(yard->ops->cpu_index(yard->on[cpu]), cpu);
        EXPECT(yard->ops->of(yard->on[cpu]) == yard->scheduler);
    }
}

// S5 and S6 hold at the end of every test: nothing is left, and the counters say so.
static void yard_end(yard_t *yard) {
    for (uint32_t cpu = 0; cpu < yard->ops->cpus(yard->scheduler); cpu++) {
        if (yard->on[cpu] != NULL) {
            yard->ops->detach(yard->on[cpu]);
        }
    }
    task_t *rest = NULL;
    EXPECT_EQ(yard->ops->rest(yard->scheduler, &rest, 1), 0);
    EXPECT_EQ(yard->ops->queued(yard->scheduler), 0);
    scheduler_stats_t stats = yard->ops->stats(yard->scheduler);
    EXPECT_EQ(stats.accepted, stats.started);
    EXPECT_EQ(stats.started, stats.finished);
    yard->ops->destroy(yard->scheduler);
}

// Every CPU in turn, until none finds anything.
static uint64_t run_all(yard_t *yard) {
    uint64_t ran = 0, now = 0;
    do {
        now = 0;
        for (uint32_t cpu = 0; cpu < yard->ops->cpus(yard->scheduler); cpu++) {
            now += yard->ops->run(yard->on[cpu], 1000);
        }
        ran += now;
    } while (now > 0);
    return ran;
}

// Exactly `count` on one CPU. A thief may have to look several times before it takes what lies with a CPU that nobody drives.
static void run_on(yard_t *yard, uint32_t cpu, uint64_t count) {
    uint64_t ran = 0;
    for (unsigned looks = 0; ran < count && looks < 100000; looks++) {
        ran += yard->ops->run(yard->on[cpu], count - ran);
    }
    EXPECT_EQ(ran, count);
}

// --- S1 -----------------------------------------------------------------------------------------------------------

static void every_task_of_every_batch_runs_once(yard_t *yard) {
    enum { COUNT = 3000 };
    static job_t jobs[COUNT];
    static task_t *tasks[COUNT];
    jobs_make(yard, jobs, tasks, COUNT);
    unsigned given = 0;
    for (unsigned size = 0; given < COUNT; size = (size * 2 + 1) % 509) {
        unsigned count = size < COUNT - given ? size : COUNT - given;
        EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks + given, count, size % SUITE_CPUS), STATUS_OK);
        given += count;
    }
    EXPECT_EQ(yard->ops->run(yard->on[0], 1), 1); // has taken over what was handed in there, and kept it
    EXPECT(yard->ops->queued(yard->scheduler) > 0 && yard->ops->queued(yard->scheduler) < COUNT);
    EXPECT_EQ(run_all(yard), COUNT - 1);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].runs, 1);
        EXPECT_EQ(state_of(yard, &jobs[i]), TASK_STATE_COMPLETED);
    }
    yard->ops->enqueue_batch(yard->scheduler, tasks, COUNT, 2); // the same tasks again, by the narrow form
    yard->ops->enqueue_batch(yard->scheduler, tasks, 0, 2);
    EXPECT_EQ(run_all(yard), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].runs, 2);
    }
}

static task_verdict_t run_tree(task_t *task, scheduler_cpu_t *on) {
    job_t *jobs = task->argument;
    yard_t *yard = jobs[0].yard;
    uint64_t at = task->user;
    atomic_fetch_add(&jobs[at].runs, 1);
    for (uint64_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
        if (jobs[child].yard != NULL) {
            yard->ops->spawn(on, &jobs[child].task);
        }
    }
    return TASK_DONE;
}

enum { TREE = 4095 };
static job_t tree[2 * TREE + 3]; // behind the last are those that are none

static void tree_make(yard_t *yard) {
    memset(tree, 0, sizeof tree);
    for (unsigned i = 0; i < TREE; i++) {
        task_init(&tree[i].task, run_tree, tree, TASK_PRIORITY_NORMAL, NULL);
        tree[i].task.user = i;
        tree[i].yard = yard;
    }
}

static void what_tasks_spawn_runs_once(yard_t *yard) {
    tree_make(yard);
    enqueue_one(yard, &tree[0], 1);
    EXPECT_EQ(run_all(yard), TREE);
    for (unsigned i = 0; i < TREE; i++) {
        EXPECT_EQ(tree[i].runs, 1);
    }
}

static void a_task_that_says_again_runs_again_behind_the_others(yard_t *yard) {
    job_t first, second;
    job_make(yard, &first, TASK_PRIORITY_NORMAL, NULL);
    job_make(yard, &second, TASK_PRIORITY_NORMAL, NULL);
    first.verdict = TASK_AGAIN;
    enqueue_one(yard, &first, 0);
    EXPECT_EQ(yard->ops->run(yard->on[0], 1), 1);
    EXPECT_EQ(state_of(yard, &first), TASK_STATE_READY);
    enqueue_one(yard, &second, 0);
    EXPECT_EQ(run_all(yard), 2);
    EXPECT_EQ(first.runs, 2);
    EXPECT_EQ(second.runs, 1);
}

static task_verdict_t run_and_free(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    (*(unsigned *)task->argument)++;
    free(task);
    return TASK_GONE;
}

static void a_task_that_is_gone_is_not_touched_again(yard_t *yard) {
    unsigned runs = 0;
    for (unsigned i = 0; i < 100; i++) {
        task_t *task = aligned_alloc(_Alignof(task_t), sizeof *task);
        EXPECT(task != NULL);
        task_init(task, run_and_free, &runs, TASK_PRIORITY_NORMAL, NULL);
        EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, i % SUITE_CPUS), STATUS_OK);
    }
    EXPECT_EQ(run_all(yard), 100);
    EXPECT_EQ(runs, 100);
}

static void what_is_left_at_the_end_is_handed_out(yard_t *yard) {
    enum { COUNT = 500 };
    static job_t jobs[COUNT];
    static task_t *tasks[COUNT], *left[COUNT + 1];
    jobs_make(yard, jobs, tasks, COUNT);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks, COUNT / 2, 0), STATUS_OK);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks + COUNT / 2, COUNT / 2, 3), STATUS_OK);
    run_on(yard, 1, 100); // some of it in the queues of a thief
    for (unsigned cpu = 0; cpu < SUITE_CPUS; cpu++) {
        yard->ops->detach(yard->on[cpu]);
        yard->on[cpu] = NULL;
    }
    unsigned count = 0, got = 0;
    while ((got = yard->ops->rest(yard->scheduler, left + count, count + 77 < COUNT ? 77 : COUNT + 1 - count)) > 0) {
        count += got;
    }
    EXPECT_EQ(count, COUNT - 100);
    unsigned ran = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        ran += jobs[i].runs;
        EXPECT_EQ(state_of(yard, &jobs[i]), jobs[i].runs == 1 ? TASK_STATE_COMPLETED : TASK_STATE_NEW);
    }
    EXPECT_EQ(ran, 100);
}

static void tasks_are_taken_and_completed_by_hand(yard_t *yard) {
    enum { COUNT = 100 };
    static job_t jobs[COUNT];
    static task_t *tasks[COUNT], *taken[COUNT + 1];
    jobs_make(yard, jobs, tasks, COUNT);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks, COUNT, 1), STATUS_OK);
    unsigned count = 0, got = 0;
    while ((got = yard->ops->dequeue(yard->scheduler, taken + count, COUNT + 1 - count, count % SUITE_CPUS)) > 0) {
        for (unsigned i = count; i < count + got; i++) {
            EXPECT_EQ(yard->ops->task_state(yard->scheduler, taken[i]), TASK_STATE_RUNNING);
            ((job_t *)taken[i]->argument)->runs++;
        }
        yard->ops->complete(yard->scheduler, taken + count, got - 1, count % SUITE_CPUS);
        yard->ops->give_back(yard->on[count % SUITE_CPUS], taken[count + got - 1], TASK_DONE);
        count += got;
    }
    EXPECT_EQ(count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].runs, 1);
        EXPECT_EQ(state_of(yard, &jobs[i]), TASK_STATE_COMPLETED);
    }
}

// --- S2 -----------------------------------------------------------------------------------------------------------

static void a_blocked_task_runs_only_after_an_unblock(yard_t *yard) {
    job_t job;
    job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
    job.verdict = TASK_BLOCK;
    EXPECT_EQ(state_of(yard, &job), TASK_STATE_NEW);
    enqueue_one(yard, &job, 0);
    EXPECT_EQ(state_of(yard, &job), TASK_STATE_READY);
    EXPECT_EQ(run_all(yard), 1);
    EXPECT_EQ(state_of(yard, &job), TASK_STATE_BLOCKED);
    EXPECT_EQ(run_all(yard), 0);
    EXPECT_EQ(yard->ops->unblock(yard->scheduler, &job.task, 2), STATUS_OK);
    EXPECT_EQ(run_all(yard), 1);
    EXPECT_EQ(state_of(yard, &job), TASK_STATE_COMPLETED);
    EXPECT_EQ(job.runs, 2);
    EXPECT_EQ(yard->ops->unblock(yard->scheduler, &job.task, 2), STATUS_STALE);
    EXPECT_EQ(yard->ops->block(yard->scheduler, &job.task), STATUS_STALE);
    EXPECT_EQ(yard->ops->terminate(yard->scheduler, &job.task), STATUS_STALE);
    EXPECT_EQ(run_all(yard), 0);
}

static void an_unblock_that_came_early_is_not_lost(yard_t *yard) {
    job_t job;
    job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
    job.verdict = TASK_BLOCK;
    enqueue_one(yard, &job, 0);
    EXPECT_EQ(yard->ops->unblock(yard->scheduler, &job.task, SCHEDULER_ANY_CPU), STATUS_OK);
    EXPECT_EQ(run_all(yard), 2);
    EXPECT_EQ(job.runs, 2);
    EXPECT_EQ(state_of(yard, &job), TASK_STATE_COMPLETED);
}

static void a_task_that_is_blocked_while_it_waits_does_not_start(yard_t *yard) {
    job_t job, neighbour;
    job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
    job_make(yard, &neighbour, TASK_PRIORITY_NORMAL, NULL);
    enqueue_one(yard, &job, 0);
    enqueue_one(yard, &neighbour, 0);
    EXPECT_EQ(yard->ops->block(yard->scheduler, &job.task), STATUS_OK);
    (void)run_all(yard);
    EXPECT_EQ(neighbour.runs, 1);
    EXPECT_EQ(job.runs, 0);
    EXPECT_EQ(state_of(yard, &job), TASK_STATE_BLOCKED);
    EXPECT_EQ(yard->ops->unblock(yard->scheduler, &job.task, 3), STATUS_OK);
    EXPECT_EQ(run_all(yard), 1);
    EXPECT_EQ(job.runs, 1);
    job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
    enqueue_one(yard, &job, 0);
    EXPECT_EQ(yard->ops->block(yard->scheduler, &job.task), STATUS_OK);
    EXPECT_EQ(yard->ops->unblock(yard->scheduler, &job.task, 3), STATUS_OK); // takes it back
    EXPECT_EQ(run_all(yard), 1);
    EXPECT_EQ(state_of(yard, &job), TASK_STATE_COMPLETED);
}

static void a_terminated_task_does_not_run(yard_t *yard) {
    job_t queued, blocked;
    job_make(yard, &queued, TASK_PRIORITY_NORMAL, NULL);
    job_make(yard, &blocked, TASK_PRIORITY_NORMAL, NULL);
    blocked.verdict = TASK_BLOCK;
    enqueue_one(yard, &blocked, 0);
    EXPECT_EQ(run_all(yard), 1);
    enqueue_one(yard, &queued, 0);
    EXPECT_EQ(yard->ops->terminate(yard->scheduler, &queued.task), STATUS_OK);
    EXPECT_EQ(yard->ops->terminate(yard->scheduler, &blocked.task), STATUS_OK);
    EXPECT_EQ(state_of(yard, &blocked), TASK_STATE_TERMINATED);
    EXPECT_EQ(yard->ops->unblock(yard->scheduler, &blocked.task, 0), STATUS_STALE);
    (void)run_all(yard);
    EXPECT_EQ(queued.runs, 0);
    EXPECT_EQ(blocked.runs, 1);
    EXPECT_EQ(state_of(yard, &queued), TASK_STATE_TERMINATED);
    enqueue_one(yard, &queued, 0); // and may be used anew
    EXPECT_EQ(run_all(yard), 1);
    EXPECT_EQ(queued.runs, 1);
}

// --- S3, S4 -------------------------------------------------------------------------------------------------------

static void work_queued_elsewhere_is_found(yard_t *yard) {
    enum { COUNT = 300 };
    static job_t jobs[COUNT];
    static task_t *tasks[COUNT];
    for (uint32_t from = 0; from < SUITE_CPUS; from++) {
        for (uint32_t runner = 0; runner < SUITE_CPUS; runner++) {
            jobs_make(yard, jobs, tasks, COUNT);
            EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks, COUNT, from), STATUS_OK);
            run_on(yard, runner, COUNT); // the last one, too
        }
    }
}

static void urgent_tasks_go_first_and_low_ones_do_not_starve(yard_t *yard) {
    enum { COUNT = 1000, FEW = 10 };
    static job_t many[COUNT], few[FEW];
    for (unsigned i = 0; i < COUNT; i++) {
        job_make(yard, &many[i], TASK_PRIORITY_LOW, NULL);
        enqueue_one(yard, &many[i], 0);
    }
    EXPECT_EQ(yard->ops->run(yard->on[0], 100), 100);
    for (unsigned i = 0; i < FEW; i++) {
        job_make(yard, &few[i], TASK_PRIORITY_URGENT, NULL);
        enqueue_one(yard, &few[i], 0);
    }
    atomic_store(&starts_so_far, 0);
    EXPECT_EQ(yard->ops->run(yard->on[0], COUNT), COUNT - 100 + FEW);
    for (unsigned i = 0; i < FEW; i++) {
        EXPECT(few[i].place <= SUITE_LOOK + FEW + 1);
    }
    for (unsigned i = 0; i < FEW; i++) {
        job_make(yard, &few[i], TASK_PRIORITY_LOW, NULL);
        enqueue_one(yard, &few[i], 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        job_make(yard, &many[i], TASK_PRIORITY_URGENT, NULL);
        enqueue_one(yard, &many[i], 0);
    }
    atomic_store(&starts_so_far, 0);
    EXPECT_EQ(yard->ops->run(yard->on[0], COUNT + FEW + 1), COUNT + FEW);
    for (unsigned turns = 1; turns <= FEW; turns++) {
        unsigned started = 0;
        for (unsigned i = 0; i < FEW; i++) {
            started += few[i].place <= 2 * SUITE_LOOK * turns;
        }
        EXPECT(started >= turns);
    }
}

static void a_task_runs_on_the_cpus_of_its_mask_alone(yard_t *yard) {
    scheduler_mask_t mask = {{0}}, nowhere = {{0}};
    scheduler_mask_add(&mask, 1);
    scheduler_mask_add(&mask, 3);
    scheduler_mask_add(&nowhere, SUITE_CPUS);
    job_t job;
    for (uint32_t given = 0; given <= SUITE_CPUS; given++) {
        job_make(yard, &job, TASK_PRIORITY_NORMAL, &mask);
        enqueue_one(yard, &job, given < SUITE_CPUS ? given : SCHEDULER_ANY_CPU);
        EXPECT_EQ(yard->ops->run(yard->on[0], 10) + yard->ops->run(yard->on[2], 10), 0);
        EXPECT_EQ(yard->ops->run(yard->on[1], 10) + yard->ops->run(yard->on[3], 10), 1);
    }
    task_t *task = &job.task;
    job_make(yard, &job, TASK_PRIORITY_NORMAL, &nowhere);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, 0), STATUS_INVALID);
    job_make(yard, &job, TASK_PRIORITIES, NULL);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, 0), STATUS_INVALID);
    job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, SUITE_CPUS), STATUS_INVALID);
    EXPECT_EQ(yard->ops->queued(yard->scheduler), 0);
}

static void park_returns_for_work_and_kicks_and_in_time(yard_t *yard) {
    EXPECT(!yard->ops->park(yard->on[0], 1000));
    job_t job;
    job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
    enqueue_one(yard, &job, 3);
    EXPECT(yard->ops->park(yard->on[0], SCHEDULER_FOREVER)); // another CPU's work
    run_on(yard, 0, 1);
    yard->ops->stop(yard->scheduler);
    EXPECT(yard->ops->stopped(yard->scheduler));
    EXPECT(yard->ops->park(yard->on[0], SCHEDULER_FOREVER));
    EXPECT_EQ(yard->ops->loop(yard->on[0]), 0);
}

// --- S6 and what is refused ------------------------------------------------------------------------------------------

static void ids_are_used_for_ever_and_never_twice(yard_t *yard) {
    static task_id_t old[256];
    unsigned runs = 0;
    task_state_t state = TASK_STATE_COUNT;
    for (unsigned i = 0; i < 20000; i++) {
        task_id_t id = TASK_NONE, *cell = &old[i % 256];
        task_t *task = NULL;
        job_t job;
        EXPECT(i < 256 || yard->ops->state_of(yard->scheduler, *cell, &state) == STATUS_STALE);
        job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
        EXPECT_EQ(yard->ops->task_create(yard->scheduler, run_job, &job, TASK_PRIORITY_NORMAL, NULL, &id, &task), STATUS_OK);
        EXPECT(id != TASK_NONE && id != *cell && yard->ops->id_of(task) == id);
        EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, i % SUITE_CPUS), STATUS_OK);
        EXPECT_EQ(yard->ops->task_release(yard->scheduler, id), STATUS_BUSY);
        EXPECT_EQ(run_all(yard), 1);
        runs += job.runs;
        EXPECT_EQ(yard->ops->state_of(yard->scheduler, id, &state), STATUS_OK);
        EXPECT_EQ(state, TASK_STATE_COMPLETED);
        EXPECT_EQ(yard->ops->task_release(yard->scheduler, id), STATUS_OK);
        EXPECT_EQ(yard->ops->task_release(yard->scheduler, id), STATUS_STALE);
        EXPECT_EQ(yard->ops->block_id(yard->scheduler, id), STATUS_STALE);
        EXPECT_EQ(yard->ops->unblock_id(yard->scheduler, id, 0), STATUS_STALE);
        EXPECT_EQ(yard->ops->terminate_id(yard->scheduler, id), STATUS_STALE);
        *cell = id;
    }
    EXPECT_EQ(runs, 20000);
    job_t plain;
    job_make(yard, &plain, TASK_PRIORITY_NORMAL, NULL);
    EXPECT_EQ(yard->ops->id_of(&plain.task), TASK_NONE);
    EXPECT_EQ(yard->ops->state_of(yard->scheduler, TASK_NONE, &state), STATUS_STALE);
    EXPECT_EQ(yard->ops->state_of(yard->scheduler, UINT64_MAX, &state), STATUS_STALE);
}

static void tasks_are_blocked_and_ended_by_id(yard_t *yard) {
    job_t job;
    task_id_t id = TASK_NONE;
    task_t *task = NULL;
    task_state_t state = TASK_STATE_COUNT;
    job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
    EXPECT_EQ(yard->ops->task_create(yard->scheduler, run_job, &job, TASK_PRIORITIES, NULL, &id, &task), STATUS_INVALID);
    EXPECT_EQ(yard->ops->task_create(yard->scheduler, run_job, &job, 0, NULL, &id, &task), STATUS_OK);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, 0), STATUS_OK);
    EXPECT_EQ(yard->ops->block_id(yard->scheduler, id), STATUS_OK);
    (void)run_all(yard);
    EXPECT_EQ(yard->ops->state_of(yard->scheduler, id, &state), STATUS_OK);
    EXPECT_EQ(state, TASK_STATE_BLOCKED);
    EXPECT_EQ(yard->ops->task_release(yard->scheduler, id), STATUS_BUSY);
    EXPECT_EQ(yard->ops->unblock_id(yard->scheduler, id, 1), STATUS_OK);
    EXPECT_EQ(yard->ops->terminate_id(yard->scheduler, id), STATUS_OK);
    (void)run_all(yard);
    EXPECT_EQ(job.runs, 0);
    EXPECT_EQ(yard->ops->state_of(yard->scheduler, id, &state), STATUS_OK);
    EXPECT_EQ(state, TASK_STATE_TERMINATED);
    EXPECT_EQ(yard->ops->task_release(yard->scheduler, id), STATUS_OK);
}

static void a_cpu_has_one_driver(yard_t *yard) {
    scheduler_cpu_t *on = NULL;
    EXPECT_EQ(yard->ops->attach(yard->scheduler, 0, &on), STATUS_BUSY);
    EXPECT_EQ(yard->ops->attach(yard->scheduler, SUITE_CPUS, &on), STATUS_INVALID);
    yard->ops->detach(yard->on[0]);
    EXPECT_EQ(yard->ops->attach(yard->scheduler, 0, &yard->on[0]), STATUS_OK);
    scheduler_config_t config = {.cpus = SCHEDULER_MAX_CPUS + 1};
    void *other = NULL;
    EXPECT_EQ(yard->ops->create(&config, &other), STATUS_INVALID);
    EXPECT_EQ(yard->ops->create(NULL, &other), STATUS_OK);
    EXPECT_EQ(yard->ops->cpus(other), 1);
    yard->ops->destroy(other);
}

// --- with a thread per CPU -------------------------------------------------------------------------------------------

typedef struct driver {
    yard_t *yard;
    uint32_t cpu;
    uint64_t ran;
} driver_t;

static void *drive(void *argument) {
    driver_t *driver = argument;
    scheduler_cpu_t *on = NULL;
    EXPECT_EQ(driver->yard->ops->attach(driver->yard->scheduler, driver->cpu, &on), STATUS_OK);
    driver->ran = driver->yard->ops->loop(on);
    driver->yard->ops->detach(on);
    return NULL;
}

static void drivers_start(yard_t *yard, driver_t *drivers, pthread_t *threads) {
    for (uint32_t cpu = 0; cpu < SUITE_CPUS; cpu++) {
        drivers[cpu] = (driver_t){.yard = yard, .cpu = cpu};
        EXPECT_EQ(pthread_create(&threads[cpu], NULL, drive, &drivers[cpu]), 0);
    }
}

static uint64_t drivers_end(yard_t *yard, driver_t *drivers, pthread_t *threads) {
    uint64_t ran = 0;
    yard->ops->stop(yard->scheduler);
    for (uint32_t cpu = 0; cpu < SUITE_CPUS; cpu++) {
        EXPECT_EQ(pthread_join(threads[cpu], NULL), 0);
        ran += drivers[cpu].ran;
    }
    return ran;
}

static void loops_run_all_that_was_enqueued_before_the_stop(yard_t *yard) {
    enum { ROUNDS = 200, EACH = 16 };
    static job_t jobs[ROUNDS * EACH];
    static task_t *tasks[ROUNDS * EACH];
    driver_t drivers[SUITE_CPUS];
    pthread_t threads[SUITE_CPUS];
    jobs_make(yard, jobs, tasks, ROUNDS * EACH);
    tree_make(yard);
    drivers_start(yard, drivers, threads);
    for (unsigned i = 0; i < ROUNDS; i++) {
        EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks + i * EACH, EACH, i % SUITE_CPUS), STATUS_OK);
        scheduler_stats_t stats = yard->ops->stats(yard->scheduler);
        EXPECT(stats.accepted >= stats.started && stats.started >= stats.finished);
    }
    enqueue_one(yard, &tree[0], SCHEDULER_ANY_CPU);
    EXPECT_EQ(drivers_end(yard, drivers, threads), ROUNDS * EACH + TREE);
    for (unsigned i = 0; i < ROUNDS * EACH; i++) {
        EXPECT_EQ(jobs[i].runs, 1);
    }
    for (unsigned i = 0; i < TREE; i++) {
        EXPECT_EQ(tree[i].runs, 1);
    }
}

static void a_sleeper_is_woken_for_every_task(yard_t *yard) {
    driver_t drivers[SUITE_CPUS];
    pthread_t threads[SUITE_CPUS];
    static job_t job;
    drivers_start(yard, drivers, threads);
    for (unsigned i = 0; i < 500; i++) { // the next only when the one before has run: a lost wakeup hangs here
        job_make(yard, &job, TASK_PRIORITY_NORMAL, NULL);
        enqueue_one(yard, &job, i % SUITE_CPUS);
        for (unsigned round = 0; state_of(yard, &job) != TASK_STATE_COMPLETED; round++) {
            spin_hint(round);
        }
    }
    EXPECT_EQ(drivers_end(yard, drivers, threads), 500);
}

static task_verdict_t run_until_enough(task_t *task, scheduler_cpu_t *on) {
    job_t *job = task->argument;
    (void)on;
    return atomic_fetch_add(&job->runs, 1) + 1 < 300 ? TASK_BLOCK : TASK_DONE;
}

static void no_unblock_is_lost_beside_a_block(yard_t *yard) {
    enum { COUNT = 8 };
    static job_t jobs[COUNT];
    driver_t drivers[SUITE_CPUS];
    pthread_t threads[SUITE_CPUS];
    drivers_start(yard, drivers, threads);
    for (unsigned i = 0; i < COUNT; i++) {
        job_make(yard, &jobs[i], TASK_PRIORITY_NORMAL, NULL);
        jobs[i].task.run = run_until_enough;
        enqueue_one(yard, &jobs[i], i % SUITE_CPUS);
    }
    for (unsigned done = 0; done < COUNT;) { // unblocks until it is over, whatever the task is doing meanwhile
        done = 0;
        for (unsigned i = 0; i < COUNT; i++) {
            done += yard->ops->unblock(yard->scheduler, &jobs[i].task, SCHEDULER_ANY_CPU) == STATUS_STALE;
        }
    }
    (void)drivers_end(yard, drivers, threads);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].runs, 300);
    }
}

typedef struct scheduler_test {
    const char *name;
    void (*run)(yard_t *yard);
    bool threads; // the CPUs are driven by threads of its own
} scheduler_test_t;

#define SCHEDULER_TEST(name) {#name, name, false}
#define SCHEDULER_TEST_OF_THREADS(name) {#name, name, true}

static int run_scheduler_contract(const scheduler_ops_t *ops, const scheduler_config_t *config) {
    static const scheduler_test_t tests[] = {
        SCHEDULER_TEST(every_task_of_every_batch_runs_once),
        SCHEDULER_TEST(what_tasks_spawn_runs_once),
        SCHEDULER_TEST(a_task_that_says_again_runs_again_behind_the_others),
        SCHEDULER_TEST(a_task_that_is_gone_is_not_touched_again),
        SCHEDULER_TEST(what_is_left_at_the_end_is_handed_out),
        SCHEDULER_TEST(tasks_are_taken_and_completed_by_hand),
        SCHEDULER_TEST(a_blocked_task_runs_only_after_an_unblock),
        SCHEDULER_TEST(an_unblock_that_came_early_is_not_lost),
        SCHEDULER_TEST(a_task_that_is_blocked_while_it_waits_does_not_start),
        SCHEDULER_TEST(a_terminated_task_does_not_run),
        SCHEDULER_TEST(work_queued_elsewhere_is_found),
        SCHEDULER_TEST(urgent_tasks_go_first_and_low_ones_do_not_starve),
        SCHEDULER_TEST(a_task_runs_on_the_cpus_of_its_mask_alone),
        SCHEDULER_TEST(park_returns_for_work_and_kicks_and_in_time),
        SCHEDULER_TEST(ids_are_used_for_ever_and_never_twice),
        SCHEDULER_TEST(tasks_are_blocked_and_ended_by_id),
        SCHEDULER_TEST(a_cpu_has_one_driver),
        SCHEDULER_TEST_OF_THREADS(loops_run_all_that_was_enqueued_before_the_stop),
        SCHEDULER_TEST_OF_THREADS(a_sleeper_is_woken_for_every_task),
        SCHEDULER_TEST_OF_THREADS(no_unblock_is_lost_beside_a_block),
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        yard_t yard = yard_make(ops, config);
        if (!tests[i].threads) {
            yard_attach(&yard);
        }
        tests[i].run(&yard);
        yard_end(&yard);
        printf("ok %s: %s\n", ops->name, tests[i].name);
    }
    return 0;
}
