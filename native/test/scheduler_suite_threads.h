// The tests of scheduler_suite.h that have a thread per CPU.
#pragma once

#include "scheduler_suite_runs.h"

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
