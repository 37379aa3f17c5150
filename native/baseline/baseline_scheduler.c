// Queues under locks: enqueue, take, run. What is asked of single tasks is in baseline_tasks.c, sleep in baseline_sleep.c.
#include "baseline_scheduler_layout.h"

// --- queues; the lock of the CPU is held --------------------------------------------------------------------------

static task_t *next_of(const task_t *task) { return plain_load_ptr(&task->batch); }

static void push(baseline_cpu_t *cpu, task_t *task) {
    fifo_t *queue = &cpu->queues[task->priority];
    plain_store_ptr(&task->batch, NULL);
    if (queue->first == NULL) {
        queue->first = task;
    } else {
        plain_store_ptr(&queue->last->batch, task);
    }
    queue->last = task;
    cpu->stats.accepted++;
}

static bool may_run(const task_t *task, uint32_t cpu) { return task->mask == NULL || scheduler_mask_has(task->mask, cpu); }

// The oldest of one priority that `runner` may run; NULL without one.
static task_t *take_from(fifo_t *queue, uint32_t runner) {
    task_t *before = NULL;
    for (task_t *task = queue->first; task != NULL; before = task, task = next_of(task)) {
        if (!may_run(task, runner)) {
            continue;
        }
        if (before == NULL) {
            queue->first = next_of(task);
        } else {
            plain_store_ptr(&before->batch, next_of(task));
        }
        if (queue->last == task) {
            queue->last = before;
        }
        return task;
    }
    return NULL;
}

static task_t *take_any(baseline_cpu_t *cpu, uint32_t runner) {
    bool lowest_first = cpu->starts >= LOOK - 1;
    for (uint32_t i = 0; i < TASK_PRIORITIES; i++) {
        task_t *task = take_from(&cpu->queues[lowest_first ? TASK_PRIORITIES - 1 - i : i], runner);
        if (task != NULL) {
            cpu->starts = lowest_first ? 0 : cpu->starts + 1;
            return task;
        }
    }
    return NULL;
}

// Up to `max` tasks that are to run now. Those that were asked to block or to end do so instead.
static uint32_t take(baseline_cpu_t *cpu, task_t **tasks, uint32_t max, uint32_t runner) {
    uint32_t taken = 0;
    pthread_mutex_lock(&cpu->lock);
    while (taken < max) {
        task_t *task = take_any(cpu, runner);
        if (task == NULL) {
            break;
        }
        /* relaxed: its home is here, and the lock is held */
        uint64_t control = atomic_load_relaxed_u64(&task->control);
        task_state_t state = TASK_STATE_RUNNING;
        if ((control & ASKED_END) != 0) {
            state = TASK_STATE_TERMINATED;
            control &= ~ASKED_MASK;
        } else if ((control & ASKED_BLOCK) != 0) {
            state = TASK_STATE_BLOCKED;
            control &= ~ASKED_BLOCK;
        }
        cpu->stats.started++;
        cpu->stats.finished += state != TASK_STATE_RUNNING;
        cpu->stats.blocked += state == TASK_STATE_BLOCKED;
        if (state == TASK_STATE_RUNNING) {
            tasks[taken++] = task;
        }
        /* relaxed: as above */
        atomic_store_relaxed_u64(&task->control, with_state(control, state));
    }
    pthread_mutex_unlock(&cpu->lock);
    return taken;
}

// --- making ready -------------------------------------------------------------------------------------------------

// The home of a task that is not queued moves to `cpu`, whose lock is held.
static void settle(baseline_cpu_t *cpu, task_t *task) {
    /* relaxed: the caller holds the task; what others ask of it meanwhile is found by the compare-and-swap */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    uint64_t ready;
    do {
        ready = with_home(with_state(control, TASK_STATE_READY), cpu->index);
        if (home_in(control) == cpu->index) {
            /* relaxed: the lock that guards it is held */
            atomic_store_relaxed_u64(&task->control, ready);
            return;
        }
        /* edge HOME:RA — what was asked of it under the lock before; :RA is in change */
    } while (!atomic_cas_acq_rel_u64(&task->control, &control, ready));
}

static uint32_t place_of(const baseline_scheduler_t *scheduler, const task_t *task, uint32_t cpu) {
    uint32_t place = cpu;
    while (!may_run(task, place)) {
        place = place + 1 < scheduler->count ? place + 1 : 0;
    }
    return place;
}

static uint32_t any_cpu(baseline_scheduler_t *scheduler) {
    /* relaxed: it only spreads the tasks */
    return atomic_fetch_add_relaxed_u32(&scheduler->next, 1) % scheduler->count;
}

// Each task is touched once: from the moment that it is queued, it may have run, and be gone.
static void make_all_ready(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    baseline_cpu_t *locked = NULL;
    for (uint32_t i = 0; i < count; i++) {
        baseline_cpu_t *place = &scheduler->cpus[place_of(scheduler, tasks[i], cpu)];
        if (locked == NULL || place != locked) {
            if (locked != NULL) {
                pthread_mutex_unlock(&locked->lock);
            }
            pthread_mutex_lock(&place->lock);
            locked = place;
        }
        settle(place, tasks[i]);
        push(place, tasks[i]);
    }
    if (locked != NULL) {
        pthread_mutex_unlock(&locked->lock);
        baseline_wake(scheduler);
    }
}

void baseline_make_ready(baseline_scheduler_t *scheduler, task_t *task, uint32_t cpu) {
    make_all_ready(scheduler, &task, 1, cpu < scheduler->count ? cpu : any_cpu(scheduler));
}

bool baseline_fits(const baseline_scheduler_t *scheduler, const scheduler_mask_t *mask, uint8_t priority) {
    bool somewhere = mask == NULL;
    for (uint32_t cpu = 0; cpu < scheduler->count && !somewhere; cpu++) {
        somewhere = scheduler_mask_has(mask, cpu);
    }
    return somewhere && priority < TASK_PRIORITIES;
}

void baseline_scheduler_enqueue_batch(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu) {
    make_all_ready(scheduler, tasks, count, cpu < scheduler->count ? cpu : any_cpu(scheduler));
}

status_t baseline_scheduler_enqueue_wide(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    if (cpu >= scheduler->count && cpu != SCHEDULER_ANY_CPU) {
        return STATUS_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!baseline_fits(scheduler, tasks[i]->mask, tasks[i]->priority)) {
            return STATUS_INVALID;
        }
    }
    make_all_ready(scheduler, tasks, count, cpu < scheduler->count ? cpu : any_cpu(scheduler));
    return STATUS_OK;
}

void baseline_scheduler_spawn(scheduler_cpu_t *on, task_t *task) {
    baseline_make_ready(cpu_of(on)->scheduler, task, cpu_of(on)->index);
}

// --- running ------------------------------------------------------------------------------------------------------

static uint32_t take_somewhere(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t max, uint32_t runner) {
    uint32_t taken = take(&scheduler->cpus[runner], tasks, max, runner);
    for (uint32_t i = 1; i < scheduler->count && taken == 0; i++) {
        baseline_cpu_t *victim = &scheduler->cpus[(runner + i) % scheduler->count];
        taken = take(victim, tasks, 1, runner);
        pthread_mutex_lock(&scheduler->cpus[runner].lock);
        scheduler->cpus[runner].stats.tries++;
        scheduler->cpus[runner].stats.steals += taken;
        scheduler->cpus[runner].stats.stolen += taken;
        pthread_mutex_unlock(&scheduler->cpus[runner].lock);
    }
    return taken;
}

static void count_finished(baseline_cpu_t *home) {
    pthread_mutex_lock(&home->lock);
    home->stats.finished++;
    pthread_mutex_unlock(&home->lock);
}

// What becomes of a task whose run has ended; TASK_STATE_READY: it is to be queued again.
static task_state_t state_after(uint64_t control, task_verdict_t verdict) {
    if (verdict == TASK_DONE) {
        return TASK_STATE_COMPLETED;
    }
    if ((control & ASKED_END) != 0) {
        return TASK_STATE_TERMINATED;
    }
    if (verdict == TASK_BLOCK) {
        return (control & UNBLOCKED_EARLY) != 0 ? TASK_STATE_READY : TASK_STATE_BLOCKED;
    }
    return (control & ASKED_BLOCK) != 0 ? TASK_STATE_BLOCKED : TASK_STATE_READY;
}

// Which requests the new state has answered.
static uint64_t asked_after(uint64_t control, task_verdict_t verdict, task_state_t state) {
    if (state == TASK_STATE_COMPLETED || state == TASK_STATE_TERMINATED) {
        return control & ~ASKED_MASK;
    }
    if (verdict == TASK_BLOCK && state == TASK_STATE_READY) {
        return control & ~UNBLOCKED_EARLY;
    }
    return state == TASK_STATE_BLOCKED ? control & ~ASKED_BLOCK : control;
}

void baseline_scheduler_give_back(scheduler_cpu_t *on, task_t *task, task_verdict_t verdict) {
    baseline_scheduler_t *scheduler = cpu_of(on)->scheduler;
    if (verdict == TASK_GONE) {
        count_finished(cpu_of(on));
        return;
    }
    uint64_t control = 0;
    baseline_cpu_t *home = baseline_lock_home(scheduler, task, &control);
    task_state_t state = state_after(control, verdict);
    home->stats.finished++;
    home->stats.blocked += state == TASK_STATE_BLOCKED;
    /* relaxed: nobody but the runner enqueues a task that runs, so its home is here; the lock is held */
    atomic_store_relaxed_u64(&task->control, with_state(asked_after(control, verdict, state), state));
    pthread_mutex_unlock(&home->lock); // unless it is ready, the task may be gone from here on
    if (state == TASK_STATE_READY) {
        baseline_make_ready(scheduler, task, cpu_of(on)->index);
    }
}

uint64_t baseline_scheduler_run(scheduler_cpu_t *on, uint64_t budget) {
    baseline_cpu_t *cpu = cpu_of(on);
    task_t *task = NULL;
    cpu->room = budget;
    while (cpu->room > 0 && take_somewhere(cpu->scheduler, &task, 1, cpu->index) == 1) {
        cpu->room--;
        baseline_scheduler_give_back(on, task, task->run(task, on));
    }
    uint64_t ran = budget - cpu->room;
    cpu->room = 0;
    return ran;
}

void baseline_scheduler_charge(scheduler_cpu_t *on, uint64_t count) {
    baseline_cpu_t *cpu = cpu_of(on);
    pthread_mutex_lock(&cpu->lock);
    cpu->stats.accepted += count;
    cpu->stats.started += count;
    cpu->stats.finished += count;
    pthread_mutex_unlock(&cpu->lock);
    cpu->room -= count < cpu->room ? count : cpu->room;
}

uint64_t baseline_scheduler_room(const scheduler_cpu_t *on) { return ((const baseline_cpu_t *)(uintptr_t)on)->room; }

uint32_t baseline_scheduler_dequeue_wide(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t max, uint32_t cpu) {
    return cpu < scheduler->count && max > 0 ? take_somewhere(scheduler, tasks, max, cpu) : 0;
}

uint32_t baseline_scheduler_dequeue_batch(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t max, uint8_t cpu) {
    return baseline_scheduler_dequeue_wide(scheduler, tasks, max, cpu);
}

void baseline_scheduler_complete_wide(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    for (uint32_t i = 0; i < count && cpu < scheduler->count; i++) {
        baseline_scheduler_give_back(handle_of(&scheduler->cpus[cpu]), tasks[i], TASK_DONE);
    }
}

void baseline_scheduler_complete_batch(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu) {
    baseline_scheduler_complete_wide(scheduler, tasks, count, cpu);
}

uint32_t baseline_scheduler_rest(baseline_scheduler_t *scheduler, task_t **tasks, uint32_t max) {
    uint32_t taken = 0;
    for (uint32_t cpu = 0; cpu < scheduler->count; cpu++) {
        baseline_cpu_t *from = &scheduler->cpus[cpu];
        pthread_mutex_lock(&from->lock);
        for (uint32_t p = 0; p < TASK_PRIORITIES; p++) {
            while (taken < max && from->queues[p].first != NULL) {
                task_t *task = take_from(&from->queues[p], cpu);
                /* relaxed: its home is here, and the lock is held */
                uint64_t control = atomic_load_relaxed_u64(&task->control);
                /* relaxed: as above */
                atomic_store_relaxed_u64(&task->control, with_state(control & ~ASKED_MASK, TASK_STATE_NEW));
                from->stats.accepted--; // it never was in a queue
                tasks[taken++] = task;
            }
        }
        pthread_mutex_unlock(&from->lock);
    }
    return taken;
}
