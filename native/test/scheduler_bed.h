// What tests of the scheduler stand on: one made, driven and ended, and tasks that note what ran.
#pragma once

#include "scheduler_optimized.h"

#include <stdlib.h>

#include "expect.h"

// A scheduler of so many CPUs, otherwise like `like`; NULL: as usual.
static inline scheduler_lockfree_t *make(uint32_t cpus, const scheduler_config_t *like) {
    scheduler_config_t config = like != NULL ? *like : (scheduler_config_t){0};
    config.cpus = cpus;
    scheduler_lockfree_t *scheduler = NULL;
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_OK);
    return scheduler;
}

static inline scheduler_cpu_t *drive(scheduler_lockfree_t *scheduler, uint32_t cpu) {
    scheduler_cpu_t *on = NULL;
    EXPECT_EQ(scheduler_attach(scheduler, cpu, &on), STATUS_OK);
    return on;
}

// Nothing is queued, and the accounts are even.
static inline void end(scheduler_lockfree_t *scheduler) {
    task_t *rest[4];
    EXPECT_EQ(scheduler_rest(scheduler, rest, 4), 0);
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPECT_EQ(stats.accepted, stats.started);
    EXPECT_EQ(stats.started, stats.finished);
    scheduler_destroy(scheduler);
}

// What ran, in order.
static uint32_t order[4096], ran;
static inline task_verdict_t note(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    EXPECT_EQ(task_state(task), TASK_STATE_RUNNING);
    order[ran++ % 4096] = (uint32_t)task->user;
    return TASK_DONE;
}

static inline task_t *tasks_of(uint32_t count, task_run_t *run, uint8_t priority, const scheduler_mask_t *mask) {
    task_t *tasks = aligned_alloc(_Alignof(task_t), count * sizeof *tasks);
    EXPECT(tasks != NULL);
    for (uint32_t i = 0; tasks != NULL && i < count; i++) {
        task_init(&tasks[i], run, NULL, priority, mask);
        tasks[i].user = i;
    }
    return tasks;
}

static inline task_t **pointers_to(task_t *tasks, uint32_t count) {
    task_t **pointers = calloc(count, sizeof(task_t *));
    EXPECT(pointers != NULL);
    for (uint32_t i = 0; i < count; i++) {
        pointers[i] = &tasks[i];
    }
    return pointers;
}
