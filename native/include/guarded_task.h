// A guarded task of the scheduler: guarded.h and scheduler.h in one structure, for every table and every scheduler.
//
//     guarded_task_t task;                                       // in your own memory, while it is under way
//     guard_t guards[] = {{file, CAPABILITY_RIGHT_READ}};
//     guarded_task_init(&task, &gate, body, refusal, guards, 1); // then task.task.priority, .mask, .argument, .user as you like
//     scheduler_spawn(on, &task.task);
//
// Each time that the scheduler starts the task is one dispatch of guarded.h, G1 to G3: also after TASK_AGAIN, and after an
// unblock. So a task that works in slices is stopped between two of them, and one that was blocked when its capability
// was revoked is refused when it is unblocked. scheduler_terminate ends a task without either: neither body nor refusal runs.
#pragma once

#include "guarded.h"
#include "scheduler.h"

typedef struct guarded_task guarded_task_t;
typedef task_verdict_t guarded_run_t(guarded_task_t *task, scheduler_cpu_t *on);

struct guarded_task {
    task_t task; // first: its address is the task's
    guarded_t guarded;
    guarded_run_t *body;
    guarded_run_t *refusal; // NULL: TASK_DONE, and nobody hears of it
};

// As guarded_init. Makes the task too: NEW, of normal priority, for every CPU.
status_t guarded_task_init(guarded_task_t *task, const guarded_gate_t *gate, guarded_run_t *body, guarded_run_t *refusal,
                           const guard_t *guards, uint32_t count);
