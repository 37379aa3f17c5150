// The scheduler's short ways, inline: tasks that are found one at a time, handed in a batch at a time. One atomic
// read-modify-write per batch instead of one per task, which is most of what handing in costs.
//
//     scheduler_batch_t batch = scheduler_batch_for(scheduler, cpu);
//     for (...) { scheduler_batch_add(&batch, task); }
//     scheduler_batch_flush(&batch);              // what was added is not queued before this, or before the batch is full
//
// A batch is its thread's own. For a task in a run function: scheduler_spawn, which needs no read-modify-write at all.
#pragma once

#include "cpu.h"
#include "scheduler.h"

#define SCHEDULER_BATCH 32u

typedef struct scheduler_batch {
    scheduler_lockfree_t *scheduler;
    uint32_t cpu;
    uint32_t count;
    task_t *tasks[SCHEDULER_BATCH];
} scheduler_batch_t;

// `cpu` as for scheduler_enqueue_wide.
static inline scheduler_batch_t scheduler_batch_for(scheduler_lockfree_t *scheduler, uint32_t cpu) {
    return (scheduler_batch_t){.scheduler = scheduler, .cpu = cpu};
}

// OK or INVALID, with all of the batch still in it, as scheduler_enqueue_wide. An empty batch is OK.
static inline status_t scheduler_batch_flush(scheduler_batch_t *batch) {
    status_t status = STATUS_OK;
    if (batch->count > 0) {
        status = scheduler_enqueue_wide(batch->scheduler, batch->tasks, batch->count, batch->cpu);
    }
    batch->count = status == STATUS_OK ? 0 : batch->count;
    return status;
}

// OK; or INVALID, the task not added: the batch is full, and could not be handed in.
static inline status_t scheduler_batch_add(scheduler_batch_t *batch, task_t *task) {
    if (__builtin_expect(batch->count == SCHEDULER_BATCH, 0)) {
        status_t status = scheduler_batch_flush(batch);
        if (status != STATUS_OK) {
            return status;
        }
    }
    batch->tasks[batch->count++] = task;
    return STATUS_OK;
}

// Before a task's memory is filled in and handed over, while something else is done.
static inline void scheduler_prefetch(const task_t *task) { cpu_prefetch(task); }
