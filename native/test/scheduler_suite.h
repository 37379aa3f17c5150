// The contract of scheduler.h, S1 to S6, for any implementation behind scheduler_ops_t. Each test makes its own scheduler; one thread
// drives all its CPUs, but for the last tests, which have a thread per CPU (scheduler_suite_threads.h).
#pragma once

#include "scheduler_suite_runs.h"
#include "scheduler_suite_threads.h"

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
