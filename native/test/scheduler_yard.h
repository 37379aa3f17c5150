// What the tests of scheduler_suite.h stand on: a scheduler behind scheduler_ops_t, its CPUs, and tasks of which it is known how often they ran.
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
