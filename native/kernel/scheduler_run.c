// Running tasks, and what becomes of them: the states, and what others ask of a task.
//
// Every task has at most one holder: who enqueues it, then the queue's CPU, then who runs it. The holder alone writes task.link, and so
// the state. Others leave what they want in task.control, and the holder looks there before a run and after it. A blocked task has no holder: it is
// PARKED in control, and whoever clears that by compare-and-swap is the holder. BLOCKED in task.link is there a moment before PARKED, and a moment after: it
// is PARKED that says whether the task is blocked.
#include "scheduler_layout.h"

#include <assert.h>
#include <time.h>

task_state_t task_state(const task_t *task) {
    /* edge STATE:A — what the task has done so far; :R is in set_state */
    task_state_t state = (task_state_t)(atomic_load_acquire_u64(&task->link) & STATE_MASK);
    /* edge PARKED:A — what the task has done so far, where `link` was that of an earlier block; :RA is in stop_task */
    if (state == TASK_STATE_BLOCKED && (atomic_load_acquire_u64(&task->control) & CONTROL_PARKED) == 0) {
        return TASK_STATE_READY; // not blocked yet, and may not be at all; or no more
    }
    return state;
}

task_t *own_next_slowly(scheduler_cpu_t *on) {
    for (uint32_t level = 0; level < TASK_PRIORITIES && on->levels != 0; level++) {
        task_t *task = list_pop(&on->lists[level]);
        if (task != NULL) {
            return task;
        }
        set_levels(on, on->levels & ~LEVEL_LIST(level));
        task = (on->levels & LEVEL_DEQUE(level)) != 0 ? deque_pop(&on->deques[level]) : NULL;
        if (task != NULL) {
            return task;
        }
        set_levels(on, on->levels & ~LEVEL_DEQUE(level));
    }
    return NULL;
}

// The oldest of the lowest priority that there is.
static task_t *own_oldest(scheduler_cpu_t *on) {
    for (uint32_t level = TASK_PRIORITIES; level-- > 0 && on->levels != 0;) {
        task_t *task = (on->levels & LEVEL_DEQUE(level)) != 0 ? deque_pop_oldest(&on->deques[level]) : NULL;
        task = task != NULL ? task : list_pop(&on->lists[level]);
        if (task != NULL) {
            return task;
        }
    }
    return NULL;
}

static bool take_handed_in(scheduler_cpu_t *on) {
    bool inbox = queue_take_inbox(on, on);
    return queue_take_bound(on, on) || inbox;
}

// Counts what scheduler_run has run since the last time: started and finished, so that the two do not cost a task two writes each.
static void count_runs(scheduler_cpu_t *on) {
    uint64_t runs = on->room_counted - room_of(on) - on->charged;
    on->room_counted = room_of(on);
    on->charged = 0;
    if (runs != 0) {
        count_up(&on->counts.started, runs);
        count_up(&on->counts.finished, runs);
    }
}

// After a look at what was handed in, and at what is old: until the next.
static void looked(scheduler_cpu_t *on, uint64_t room) {
    uint64_t look = knob_of(on->scheduler, SCHEDULER_LOOK);
    on->ahead = room < look ? room : look;
    on->beyond = room - on->ahead;
    on->look_left = look - on->ahead; // what is left of it after this run
}

// Out of line, so that what is between two tasks stays short: the look at what was handed in, and at what is old, or nothing was there.
// NULL: nothing is found, or the room is used up.
static __attribute__((noinline)) task_t *take_slowly(scheduler_cpu_t *on) {
    uint64_t room = room_of(on);
    if (room == 0) {
        return NULL;
    }
    count_runs(on);
    bool due = on->ahead == 0;
    task_t *task = NULL;
    if (due) {
        looked(on, room);
        (void)take_handed_in(on);
        task = own_oldest(on);
    }
    task = task != NULL ? task : own_next(on, on->asymmetric);
    if (task == NULL && !due && take_handed_in(on)) {
        task = own_next(on, on->asymmetric);
    }
    task = task != NULL ? task : steal_round(on);
    if (task != NULL) {
        wake_found(on);
    }
    return task;
}

// The look comes after so many tasks of whatever runs and dequeues.
static void begin_taking(scheduler_cpu_t *on, uint64_t budget) {
    uint64_t left = on->look_left < budget ? on->look_left : budget;
    on->ahead = left;
    on->beyond = budget - left;
    on->room_counted = budget;
    on->look_left -= left;
    on->charged = 0;
}

static void end_taking(scheduler_cpu_t *on) {
    count_runs(on);
    on->look_left += on->ahead;
    on->ahead = 0;
    on->beyond = 0;
}

// The deque that is next has none, or a look is due. What run_all has taken off for this start is put back meanwhile.
static __attribute__((noinline)) task_t *take_next(scheduler_cpu_t *on) {
    on->ahead++;
    task_t *task = on->ahead != 0 ? own_next_slowly(on) : NULL;
    task = task != NULL ? task : take_slowly(on);
    on->ahead -= task != NULL ? 1 : 0;
    return task;
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

// COMPLETED; what was asked of the run that is over goes with it.
static void complete(task_t *task) {
    /* relaxed: a look */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    uint64_t asked = CONTROL_WANTED;
    /* edge PARKED:RA — nothing; :RA is in task_unblock */
    while ((control & asked) != 0 && !atomic_cas_acq_rel_u64(&task->control, &control, control & ~asked)) {
    }
    set_state(task, TASK_STATE_COMPLETED);
}

static bool is_wanted(const task_t *task) {
    /* relaxed: what comes later came after the end */
    return (atomic_load_relaxed_u64(&task->control) & CONTROL_WANTED) != 0;
}

static bool is_asked(const task_t *task) {
    /* relaxed: a request holds from when the holder sees it */
    return (atomic_load_relaxed_u64(&task->control) & CONTROL_ASKED) != 0;
}

// Whether the task is blocked now.
static bool end_slowly(scheduler_cpu_t *on, task_t *task, task_verdict_t verdict) {
    switch (verdict) {
    case TASK_DONE: complete(task); break;
    case TASK_AGAIN:
        if (is_asked(task)) {
            return stop_task(on, task, false);
        }
        again(on, task);
        break;
    case TASK_BLOCK: return stop_task(on, task, true);
    case TASK_GONE: break;
    }
    return false;
}

void scheduler_give_back(scheduler_cpu_t *on, task_t *task, task_verdict_t verdict) {
    bool blocked = end_slowly(on, task, verdict);
    count_up(&on->counts.finished, 1);
    count_up(&on->counts.blocked, blocked ? 1 : 0);
}

// From the queue to its run; false: it is not to run now.
static inline bool begin(scheduler_cpu_t *on, task_t *task) {
    if (__builtin_expect(is_asked(task), 0)) {
        count_up(&on->counts.started, 1);
        bool blocked = stop_task(on, task, false);
        count_up(&on->counts.finished, 1);
        count_up(&on->counts.blocked, blocked ? 1 : 0);
        return false;
    }
    /* relaxed: who sees it learns nothing else from it */
    atomic_store_relaxed_u64(&task->link, TASK_STATE_RUNNING);
    return true;
}

static inline void run_one(scheduler_cpu_t *on, task_t *task) {
    task_verdict_t verdict = task->run(task, on);
    __asm__("" : "+r"(task)); // else the addresses of two of its words are made before the call, and kept over it
    if (__builtin_expect(verdict == TASK_DONE && !is_wanted(task), 1)) {
        set_state(task, TASK_STATE_COMPLETED);
    } else if (verdict != TASK_GONE && end_slowly(on, task, verdict)) {
        count_runs(on); // so that none is blocked that is not finished
        count_up(&on->counts.blocked, 1);
    }
}

// Once for each mode, so that no task pays for the choice.
static inline __attribute__((always_inline)) void run_all(scheduler_cpu_t *on, bool asymmetric) {
    for (void *task = NULL;;) {
        bool popped = on->ahead-- != 0 && deque_pop_in(on->deque, asymmetric, &task); // one access to `ahead` for both
        if (__builtin_expect(!popped, 0)) {
            task = take_next(on);
            if (task == NULL) {
                return;
            }
        }
        if (begin(on, task)) {
            run_one(on, task);
        } else {
            on->ahead++;
        }
    }
}

uint64_t scheduler_run(scheduler_cpu_t *on, uint64_t budget) {
    begin_taking(on, budget);
    if (on->asymmetric) {
        run_all(on, true);
    } else {
        run_all(on, false);
    }
    budget -= room_of(on);
    end_taking(on);
    return budget;
}

void scheduler_charge(scheduler_cpu_t *on, uint64_t count) {
    count_up(&on->counts.accepted, count);
    count_up(&on->counts.started, count);
    count_up(&on->counts.finished, count);
    on->charged_ever += count;
    count = count < room_of(on) ? count : room_of(on);
    uint64_t ahead = count < on->ahead ? count : on->ahead;
    on->ahead -= ahead;
    on->beyond -= count - ahead;
    on->charged += count;
}

uint64_t scheduler_room(const scheduler_cpu_t *on) { return room_of(on); }

bool scheduler_quantum_over(scheduler_cpu_t *on) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    /* relaxed: written by this thread alone */
    uint64_t run = atomic_load_relaxed_u64(&on->counts.started) - on->charged_ever + on->room_counted - room_of(on) - on->charged;
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

// With nothing in the own queues: what was handed in, past them. It is all there is, so this is the look as well.
static uint32_t dequeue_straight(scheduler_cpu_t *on, task_t **tasks) {
    uint64_t room = room_of(on), look = knob_of(on->scheduler, SCHEDULER_LOOK);
    uint32_t taken = on->levels == 0 ? blocks_take_straight(on, tasks, (uint32_t)(room < look ? room : look)) : 0;
    if (taken == 0) {
        return 0;
    }
    looked(on, room);
    wake_found(on);
    uint32_t count = 0;
    for (uint32_t i = 0; i < taken; i++) {
        task_t *task = tasks[i];
        tasks[count] = task;
        count += begin(on, task);
    }
    on->ahead -= count;
    on->charged += count; // as in scheduler_dequeue_wide
    return count;
}

uint32_t scheduler_dequeue_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max, uint32_t cpu) {
    if (cpu >= scheduler->cpu_count) {
        return 0;
    }
    scheduler_cpu_t *on = &scheduler->cpus[cpu];
    uint32_t count = 0;
    begin_taking(on, max);
    for (;;) {
        task_t *task = on->ahead != 0 ? own_next(on, on->asymmetric) : NULL;
        if (task == NULL) {
            count += dequeue_straight(on, tasks + count);
            task = take_slowly(on);
        }
        if (task == NULL) {
            break;
        }
        if (begin(on, task)) {
            tasks[count++] = task;
            on->ahead--;
            on->charged++; // counted below: they are started, and not finished
        }
    }
    end_taking(on);
    count_up(&on->counts.started, count);
    return count;
}

uint32_t scheduler_dequeue_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max, uint8_t cpu) {
    return scheduler_dequeue_wide(scheduler, tasks, max, cpu);
}

void scheduler_complete_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    if (cpu >= scheduler->cpu_count) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (__builtin_expect(is_wanted(tasks[i]), 0)) {
            complete(tasks[i]);
        } else {
            set_state(tasks[i], TASK_STATE_COMPLETED);
        }
    }
    count_up(&scheduler->cpus[cpu].counts.finished, count);
}

void scheduler_complete_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu) {
    scheduler_complete_wide(scheduler, tasks, count, cpu);
}
