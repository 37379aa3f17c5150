// What others ask of a task: to block, to go on, to end. Each leaves it in task.control, where the task's holder finds it (scheduler_run.c); who
// asks something of a blocked task, which nobody holds, becomes its holder.
#include "scheduler_layout.h"

static bool is_over(const task_t *task) {
    task_state_t state = task_state(task);
    return state == TASK_STATE_COMPLETED || state == TASK_STATE_TERMINATED;
}

status_t task_block(task_t *task, task_id_t id) {
    /* relaxed: the compare-and-swap decides */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    do {
        if (!task_is_of(control, id) || is_over(task)) {
            return STATUS_STALE;
        }
        if ((control & CONTROL_PARKED) != 0) {
            return STATUS_OK;
        }
        /* edge PARKED:RA — nothing but the request; :RA is in stop_task */
        /* edge BORN:RA — the task, or the end of its id; :RA is in scheduler_task_release */
    } while (!atomic_cas_acq_rel_u64(&task->control, &control, (control | CONTROL_BLOCK) & ~CONTROL_PERMIT));
    return STATUS_OK;
}

status_t task_unblock(scheduler_lockfree_t *scheduler, task_t *task, task_id_t id, uint32_t cpu) {
    /* relaxed: the compare-and-swap decides */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    uint64_t next = 0;
    do {
        if (!task_is_of(control, id) || is_over(task)) {
            return STATUS_STALE;
        }
        if ((control & (CONTROL_PARKED | CONTROL_BLOCK)) != 0) {
            next = control & ~(CONTROL_PARKED | CONTROL_BLOCK);
        } else {
            next = control | CONTROL_PERMIT;
        }
        /* edge PARKED:RA — the task; :RA is in stop_task */
    } while (!atomic_cas_acq_rel_u64(&task->control, &control, next));
    if ((control & CONTROL_PARKED) != 0) {
        queue_one(scheduler, task, cpu < scheduler->cpu_count ? cpu : queue_pick(scheduler, task));
    }
    return STATUS_OK;
}

status_t task_terminate(task_t *task, task_id_t id) {
    /* relaxed: the compare-and-swap decides */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    uint64_t next = 0;
    do {
        if (!task_is_of(control, id) || is_over(task)) {
            return STATUS_STALE;
        }
        bool parked = (control & CONTROL_PARKED) != 0;
        next = parked ? control & ~(CONTROL_PARKED | CONTROL_ASKED | CONTROL_PERMIT) : control | CONTROL_TERMINATE;
        /* edge PARKED:RA — the task; :RA is in stop_task */
    } while (!atomic_cas_acq_rel_u64(&task->control, &control, next));
    if ((control & CONTROL_PARKED) != 0) {
        set_state(task, TASK_STATE_TERMINATED);
    }
    return STATUS_OK;
}

status_t scheduler_block(scheduler_lockfree_t *scheduler, task_t *task) {
    (void)scheduler;
    return task_block(task, TASK_NONE);
}

status_t scheduler_unblock(scheduler_lockfree_t *scheduler, task_t *task, uint32_t cpu) {
    return task_unblock(scheduler, task, TASK_NONE, cpu);
}

status_t scheduler_terminate(scheduler_lockfree_t *scheduler, task_t *task) {
    (void)scheduler;
    return task_terminate(task, TASK_NONE);
}
