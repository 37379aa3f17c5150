// The scheduler that one would write first: per CPU a list for each priority under a mutex, one condition variable for all who
// sleep, a locked table of ids. It is the Before column of the measurements, and the second implementation that the tests
// hold against the same contract.
//
// The functions mean what those of the same name in scheduler.h mean (S1 to S6), and take the same tasks and the same run functions: what
// a run function is given as its CPU is a CPU of this scheduler, in the type that run functions have. A task that is made with
// task_init may go to either scheduler, and to one at a time. It steals one task at a time, from the next CPU first; it has no
// knobs, takes no notice of NUMA, deque modes and first values, and every call may wait for another.
#pragma once

#include "scheduler.h"

typedef struct baseline_scheduler baseline_scheduler_t;

status_t baseline_scheduler_create(const scheduler_config_t *config, baseline_scheduler_t **scheduler);
void baseline_scheduler_destroy(baseline_scheduler_t *scheduler);
uint32_t baseline_scheduler_cpus(const baseline_scheduler_t *scheduler);
task_state_t baseline_task_state(const baseline_scheduler_t *scheduler, const task_t *task);

status_t baseline_scheduler_attach(baseline_scheduler_t *scheduler, uint32_t cpu, scheduler_cpu_t **on);
void baseline_scheduler_detach(scheduler_cpu_t *on);
uint32_t baseline_scheduler_cpu_index(const scheduler_cpu_t *on);
baseline_scheduler_t *baseline_scheduler_of(const scheduler_cpu_t *on);

uint64_t baseline_scheduler_run(scheduler_cpu_t *on, uint64_t budget);
bool baseline_scheduler_park(scheduler_cpu_t *on, uint64_t timeout_ns);
uint64_t baseline_scheduler_loop(scheduler_cpu_t *on);
void baseline_scheduler_stop(baseline_scheduler_t *scheduler);
bool baseline_scheduler_stopped(const baseline_scheduler_t *scheduler);
void baseline_scheduler_kick(baseline_scheduler_t *scheduler);
uint32_t baseline_scheduler_rest(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t max);

void baseline_scheduler_spawn(scheduler_cpu_t *on, task_t *task);
void baseline_scheduler_charge(scheduler_cpu_t *on, uint64_t count);
uint64_t baseline_scheduler_room(const scheduler_cpu_t *on);
uint32_t baseline_scheduler_dequeue_batch(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t max, uint8_t cpu);
uint32_t baseline_scheduler_dequeue_wide(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t max, uint32_t cpu);
void baseline_scheduler_complete_batch(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu);
void baseline_scheduler_complete_wide(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu);
void baseline_scheduler_give_back(scheduler_cpu_t *on, task_t *task, task_verdict_t verdict);

void baseline_scheduler_enqueue_batch(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu);
status_t baseline_scheduler_enqueue_wide(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu);
status_t baseline_scheduler_block(baseline_scheduler_t *scheduler, task_t *task);
status_t baseline_scheduler_unblock(baseline_scheduler_t *scheduler, task_t *task, uint32_t cpu);
status_t baseline_scheduler_terminate(baseline_scheduler_t *scheduler, task_t *task);

status_t baseline_scheduler_task_create(baseline_scheduler_t *scheduler, task_run_t *run, void *argument, uint8_t priority,
                                        const scheduler_mask_t *mask, task_id_t *id, task_t **task);
status_t baseline_scheduler_task_release(baseline_scheduler_t *scheduler, task_id_t id);
status_t baseline_scheduler_block_id(baseline_scheduler_t *scheduler, task_id_t id);
status_t baseline_scheduler_unblock_id(baseline_scheduler_t *scheduler, task_id_t id, uint32_t cpu);
status_t baseline_scheduler_terminate_id(baseline_scheduler_t *scheduler, task_id_t id);
status_t baseline_scheduler_state_of(const baseline_scheduler_t *scheduler, task_id_t id, task_state_t *state);
task_id_t baseline_scheduler_id_of(const task_t *task);

scheduler_stats_t baseline_scheduler_stats(const baseline_scheduler_t *scheduler);
scheduler_stats_t baseline_scheduler_cpu_stats(const baseline_scheduler_t *scheduler, uint32_t cpu);
uint64_t baseline_scheduler_queued(const baseline_scheduler_t *scheduler);
