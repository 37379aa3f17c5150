#include "guarded_task.h"

#include <stddef.h>

_Static_assert(offsetof(guarded_task_t, task) == 0, "a task's address is its guarded task's");

static task_verdict_t run_guarded(task_t *task, scheduler_cpu_t *on) {
    guarded_task_t *guarded = (guarded_task_t *)task;
    guarded_run_t *chosen = guarded_hold(&guarded->guarded) ? guarded->body : guarded->refusal;
    return chosen != NULL ? chosen(guarded, on) : TASK_DONE;
}

// What guarded_dispatch would call; a guarded task calls functions of its own.
static void no_body(guarded_t *task, void *worker) {
    (void)task;
    (void)worker;
}

status_t guarded_task_init(guarded_task_t *task, const guarded_gate_t *gate, guarded_run_t *body, guarded_run_t *refusal,
                           const guard_t *guards, uint32_t count) {
    if (body == NULL) {
        return STATUS_INVALID;
    }
    status_t status = guarded_init(&task->guarded, gate, no_body, NULL, guards, count);
    if (status == STATUS_OK) {
        task_init(&task->task, run_guarded, NULL, TASK_PRIORITY_NORMAL, NULL);
        task->body = body;
        task->refusal = refusal;
    }
    return status;
}
