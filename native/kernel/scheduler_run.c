// Running tasks, and what becomes of them: the states, and what others ask of a task.
//
// Every task has at most one holder: who enqueues it, then the queue's CPU, then who runs it. The holder alone writes task.link, and so
// the state. Others leave what they want in task.control, and the holder looks there before a run and after it. A blocked task has no holder: it is
// PARKED in control, and whoever clears that by compare-and-swap is the holder.
#include "scheduler_layout.h"

#include <assert.h>
#include <time.h>

task_state_t task_state(const task_t *task) {
    /* edge STATE:A — what the task has done so far; :R is in set_state */
    return (task_state_t)(atomic_load_acquire_u64(&task->link) & STATE_MASK);
}

task_t *own_next(scheduler_cpu_t *on) {
    while (on->levels != 0) {
        unsigned bit = (unsigned)__builtin_ctz(on->levels);
        unsigned level = bit / 2;
        task_t *task = bit % 2 != 0 ? deque_pop(&on->deques[level]) : list_pop(&on->lists[level]);
        if (__builtin_expect(task != NULL, 1)) {
            return task;
        }
        on->levels &= on->levels - 1;
    }
    return NULL;
}

// The oldest of the lowest priority that there is.
static task_t *own_oldest(scheduler_cpu_t *on) {
    for (uint32_t levels = on->levels; levels != 0;) {
        unsigned bit = 31u - (unsigned)__builtin_clz(levels);
        task_t *task = bit % 2 != 0 ? deque_pop_oldest(&on->deques[bit / 2]) : list_pop(&on->lists[bit / 2]);
        if (task != NULL) {
            return task;
        }
        levels &= ~((uint32_t)1 << bit);
    }
    return NULL;
}

static bool take_handed_in(scheduler_cpu_t *on) {
    bool inbox = queue_take_inbox(on, on);
    return queue_take_bound(on, on) || inbox;
}

// Out of line, so that what is between two tasks stays short.
static __attribute__((noinline)) task_t *take_slowly(scheduler_cpu_t *on) {
    bool due = on->look == 0;
    task_t *task = NULL;
    if (due) {
        on->look = knob_of(on->scheduler, SCHEDULER_LOOK);
        (void)take_handed_in(on);
        task = own_oldest(on);
    }
    task = task != NULL ? task : own_next(on);
    if (task == NULL && !due && take_handed_in(on)) {
        task = own_next(on);
    }
    task = task != NULL ? task : steal_round(on);
    if (task != NULL) {
        wake_found(on);
    }
    return task;
}

static inline task_t *take(scheduler_cpu_t *on) {
    if (__builtin_expect(--on->look != 0, 1)) {
        task_t *task = own_next(on);
        if (__builtin_expect(task != NULL, 1)) {
            return task;
        }
    }
    return take_slowly(on);
}

static void again(scheduler_cpu_t *on, task_t *task) { queue_one(on->scheduler, task, on->index); }

// The task is not to go on: makes it blocked or terminated, or ready again where that has been taken back. `willing`: it has
// asked for it itself. Whether it is blocked.
static bool stop_task(scheduler_cpu_t *on, task_t *task, bool willing) {
    /* relaxed: the compare-and-swap decides */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    for (;;) {
        if ((control & CONTROL_TERMINATE) != 0) {
            /* edge PARKED:RA — that the requests are answered; :RA is in task_unblock */
            if (!atomic_cas_acq_rel_u64(&task->control, &control, control & ~(CONTROL_ASKED | CONTROL_PERMIT))) {
                continue;
            }
            set_state(task, TASK_STATE_TERMINATED);
            return false;
        }
        bool parks = (control & CONTROL_BLOCK) != 0 || (willing && (control & CONTROL_PERMIT) == 0);
        uint64_t next = control & ~(CONTROL_BLOCK | CONTROL_PERMIT);
        if (parks) {
            set_state(task, TASK_STATE_BLOCKED);
            /* edge PARKED:RA — the task, to who unblocks it; :RA is in task_unblock */
            if (atomic_cas_acq_rel_u64(&task->control, &control, next | CONTROL_PARKED)) {
                return true;
            }
            /* edge PARKED:RA — what who unblocked it has done; :RA is in task_unblock */
        } else if (atomic_cas_acq_rel_u64(&task->control, &control, next)) {
            again(on, task);
            return false;
        }
    }
}

static void count_end(scheduler_cpu_t *on, bool blocked) {
    count_up(&on->counts.finished, 1);
    if (blocked) {
        count_up(&on->counts.blocked, 1);
    }
}

// COMPLETED; what was asked of the run that is over goes with it.
static void complete(task_t *task) {
    /* relaxed: a look */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    uint64_t asked = CONTROL_ASKED | CONTROL_PERMIT;
    /* edge PARKED:RA — nothing; :RA is in task_unblock */
    while ((control & asked) != 0 && !atomic_cas_acq_rel_u64(&task->control, &control, control & ~asked)) {
    }
    set_state(task, TASK_STATE_COMPLETED);
}

static bool is_asked(const task_t *task) {
    /* relaxed: a request holds from when the holder sees it */
    return (atomic_load_relaxed_u64(&task->control) & CONTROL_ASKED) != 0;
}

void scheduler_give_back(scheduler_cpu_t *on, task_t *task, task_verdict_t verdict) {
    bool blocked = false;
    switch (verdict) {
    case TASK_DONE: complete(task); break;
    case TASK_AGAIN:
        if (is_asked(task)) {
            blocked = stop_task(on, task, false);
        } else {
            again(on, task);
        }
        break;
    case TASK_BLOCK: blocked = stop_task(on, task, true); break;
    case TASK_GONE: break;
    }
    count_end(on, blocked);
}

// From the queue to its run; false: it is not to run now.
static inline bool begin(scheduler_cpu_t *on, task_t *task) {
    count_up(&on->counts.started, 1);
    if (__builtin_expect(is_asked(task), 0)) {
        count_end(on, stop_task(on, task, false));
        return false;
    }
    /* relaxed: who sees it learns nothing else from it */
    atomic_store_relaxed_u64(&task->link, TASK_STATE_RUNNING);
    return true;
}

uint64_t scheduler_run(scheduler_cpu_t *on, uint64_t budget) {
    on->room = budget;
    while (on->room > 0) {
        task_t *task = take(on);
        if (task == NULL) {
            break;
        }
        if (begin(on, task)) {
            on->room--;
            scheduler_give_back(on, task, task->run(task, on));
        }
    }
    budget -= on->room;
    on->room = 0;
    return budget;
}

void scheduler_charge(scheduler_cpu_t *on, uint64_t count) {
    count_up(&on->counts.accepted, count);
    count_up(&on->counts.started, count);
    count_up(&on->counts.finished, count);
    on->room -= count < on->room ? count : on->room;
}

uint64_t scheduler_room(const scheduler_cpu_t *on) { return on->room; }

bool scheduler_quantum_over(scheduler_cpu_t *on) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    /* relaxed: written by this thread alone */
    uint64_t run = atomic_load_relaxed_u64(&on->counts.started);
    if (on->quantum_run != run) {
        on->quantum_run = run;
        on->quantum_begin = at;
    }
    return at - on->quantum_begin >= knob_of(on->scheduler, SCHEDULER_QUANTUM_NS);
}

uint64_t scheduler_loop(scheduler_cpu_t *on) {
    uint64_t sum = 0;
    for (uint64_t idle = 0;;) {
        bool stopped = scheduler_stopped(on->scheduler);
        uint64_t ran = scheduler_run(on, 1024);
        sum += ran;
        idle = ran > 0 ? 0 : idle + 1;
        if (ran > 0) {
            continue;
        }
        if (stopped && !steal_look(on)) {
            return sum;
        }
        if (idle > knob_of(on->scheduler, SCHEDULER_SPIN) && !stopped) {
            (void)scheduler_park(on, SCHEDULER_FOREVER);
            idle = 0;
        } else {
            spin_hint((unsigned)idle);
        }
    }
}

// --- by hand --------------------------------------------------------------------------------------------------------

uint32_t scheduler_dequeue_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max, uint32_t cpu) {
    if (cpu >= scheduler->cpu_count) {
        return 0;
    }
    scheduler_cpu_t *on = &scheduler->cpus[cpu];
    uint32_t count = 0;
    while (count < max) {
        task_t *task = take(on);
        if (task == NULL) {
            break;
        }
        if (begin(on, task)) {
            tasks[count++] = task;
        }
    }
    return count;
}

uint32_t scheduler_dequeue_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max, uint8_t cpu) {
    return scheduler_dequeue_wide(scheduler, tasks, max, cpu);
}

void scheduler_complete_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    for (uint32_t i = 0; cpu < scheduler->cpu_count && i < count; i++) {
        scheduler_give_back(&scheduler->cpus[cpu], tasks[i], TASK_DONE);
    }
}

void scheduler_complete_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu) {
    scheduler_complete_wide(scheduler, tasks, count, cpu);
}

// --- what others ask ------------------------------------------------------------------------------------------------

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
