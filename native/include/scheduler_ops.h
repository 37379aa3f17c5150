// One shape for every implementation of the scheduler, so that one test suite and one oracle run over all of them. Through
// these pointers a scheduler is a `void *`; tasks, run functions and CPUs are those of scheduler.h, and what the functions do is
// written there. Benches call the functions themselves, not these pointers.
//
// The lock-free system speaks the baseline's interface, and the baseline the lock-free one's: a program that was written
// for either runs over the other through baseline/adapters/, without a change to its source.
#pragma once

#include "scheduler.h"

typedef struct scheduler_ops {
    const char *name;
    status_t (*create)(const scheduler_config_t *config, void **scheduler);
    void (*destroy)(void *scheduler);
    uint32_t (*cpus)(const void *scheduler);
    task_state_t (*task_state)(const void *scheduler, const task_t *task);

    status_t (*attach)(void *scheduler, uint32_t cpu, scheduler_cpu_t **on);
    void (*detach)(scheduler_cpu_t *on);
    uint32_t (*cpu_index)(const scheduler_cpu_t *on);
    void *(*of)(const scheduler_cpu_t *on);

    uint64_t (*run)(scheduler_cpu_t *on, uint64_t budget);
    bool (*park)(scheduler_cpu_t *on, uint64_t timeout_ns);
    uint64_t (*loop)(scheduler_cpu_t *on);
    void (*stop)(void *scheduler);
    bool (*stopped)(const void *scheduler);
    void (*kick)(void *scheduler);
    uint32_t (*rest)(void *scheduler, task_t **tasks, uint32_t max);

    void (*spawn)(scheduler_cpu_t *on, task_t *task);
    uint32_t (*dequeue)(void *scheduler, task_t **tasks, uint32_t max, uint32_t cpu); // scheduler_dequeue_wide
    void (*complete)(void *scheduler, task_t **tasks, uint32_t count, uint32_t cpu);  // scheduler_complete_wide
    void (*give_back)(scheduler_cpu_t *on, task_t *task, task_verdict_t verdict);

    void (*enqueue_batch)(void *scheduler, task_t **tasks, uint32_t count, uint8_t cpu);
    status_t (*enqueue)(void *scheduler, task_t **tasks, uint32_t count, uint32_t cpu); // scheduler_enqueue_wide
    status_t (*block)(void *scheduler, task_t *task);
    status_t (*unblock)(void *scheduler, task_t *task, uint32_t cpu);
    status_t (*terminate)(void *scheduler, task_t *task);

    status_t (*task_create)(void *scheduler, task_run_t *run, void *argument, uint8_t priority, const scheduler_mask_t *mask,
                            task_id_t *id, task_t **task);
    status_t (*task_release)(void *scheduler, task_id_t id);
    status_t (*block_id)(void *scheduler, task_id_t id);
    status_t (*unblock_id)(void *scheduler, task_id_t id, uint32_t cpu);
    status_t (*terminate_id)(void *scheduler, task_id_t id);
    status_t (*state_of)(const void *scheduler, task_id_t id, task_state_t *state);
    task_id_t (*id_of)(const task_t *task);

    scheduler_stats_t (*stats)(const void *scheduler);
    scheduler_stats_t (*cpu_stats)(const void *scheduler, uint32_t cpu);
    uint64_t (*queued)(const void *scheduler);
} scheduler_ops_t;

extern const scheduler_ops_t scheduler_lockfree_ops; // kernel/scheduler_ops.c
extern const scheduler_ops_t scheduler_baseline_ops; // baseline/baseline_scheduler_ops.c
