// In the place of the scheduler, for scenarios of what hands it tasks: whatever is spawned or enqueued goes to the scenario's own list. Before it: hand_in,
// which takes a task, and struct scheduler_cpu with its index. scheduler_cpus and scheduler_room are the scenario's.
#pragma once

uint32_t scheduler_cpu_index(const scheduler_cpu_t *on) { return on->index; }
void scheduler_charge(scheduler_cpu_t *on, uint64_t count) {
    (void)on;
    (void)count;
}
void scheduler_spawn(scheduler_cpu_t *on, task_t *task) {
    (void)on;
    hand_in(task);
}
status_t scheduler_enqueue_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint32_t to) {
    (void)scheduler;
    (void)to;
    for (uint32_t i = 0; i < count; i++) {
        hand_in(tasks[i]);
    }
    return STATUS_OK;
}
