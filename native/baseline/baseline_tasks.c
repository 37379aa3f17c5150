// What is asked of single tasks, by pointer and by id.
#include "baseline_scheduler_layout.h"

baseline_cpu_t *baseline_lock_home(const baseline_scheduler_t *scheduler, const task_t *task, uint64_t *control) {
    for (;;) {
        /* relaxed: a guess, looked at again under the lock */
        uint32_t home = home_in(atomic_load_relaxed_u64(&task->control));
        baseline_cpu_t *cpu = &scheduler->cpus[home];
        pthread_mutex_lock(&cpu->lock);
        /* edge HOME:A — the words of a task that was moved; :RA is in settle */
        *control = atomic_load_acquire_u64(&task->control);
        if (home_in(*control) == home) {
            return cpu;
        }
        pthread_mutex_unlock(&cpu->lock);
    }
}

task_state_t baseline_task_state(const baseline_scheduler_t *scheduler, const task_t *task) {
    uint64_t control = 0;
    pthread_mutex_unlock(&baseline_lock_home(scheduler, task, &control)->lock);
    return state_in(control);
}

static bool is_over(uint64_t control) {
    return state_in(control) == TASK_STATE_COMPLETED || state_in(control) == TASK_STATE_TERMINATED;
}

typedef uint64_t answer_t(uint64_t control);

static uint64_t blocked(uint64_t control) {
    return state_in(control) == TASK_STATE_BLOCKED ? control : control | ASKED_BLOCK;
}

static uint64_t unblocked(uint64_t control) {
    if (state_in(control) == TASK_STATE_BLOCKED) {
        return with_state(control, TASK_STATE_READY);
    }
    return (control & ASKED_BLOCK) != 0 ? control & ~ASKED_BLOCK : control | UNBLOCKED_EARLY;
}

static uint64_t ended(uint64_t control) {
    if (state_in(control) == TASK_STATE_BLOCKED) {
        return with_state(control & ~ASKED_MASK, TASK_STATE_TERMINATED);
    }
    return control | ASKED_END;
}

// Replaces the control under the lock of its home; an enqueue elsewhere makes it begin anew. What was there before.
static uint64_t change(baseline_scheduler_t *scheduler, task_t *task, answer_t *answer) {
    for (;;) {
        uint64_t control = 0;
        baseline_cpu_t *home = baseline_lock_home(scheduler, task, &control);
        uint64_t found = control;
        /* edge HOME:RA — what is asked of the task; :RA is in settle */
        bool done = is_over(control) || atomic_cas_acq_rel_u64(&task->control, &found, answer(control));
        pthread_mutex_unlock(&home->lock);
        if (done) {
            return control;
        }
    }
}

status_t baseline_scheduler_block(baseline_scheduler_t *scheduler, task_t *task) {
    return is_over(change(scheduler, task, blocked)) ? STATUS_STALE : STATUS_OK;
}

status_t baseline_scheduler_unblock(baseline_scheduler_t *scheduler, task_t *task, uint32_t cpu) {
    uint64_t before = change(scheduler, task, unblocked);
    if (state_in(before) == TASK_STATE_BLOCKED) {
        baseline_make_ready(scheduler, task, cpu); // nobody else does: the others found it ready
    }
    return is_over(before) ? STATUS_STALE : STATUS_OK;
}

status_t baseline_scheduler_terminate(baseline_scheduler_t *scheduler, task_t *task) {
    return is_over(change(scheduler, task, ended)) ? STATUS_STALE : STATUS_OK;
}

// --- ids ----------------------------------------------------------------------------------------------------------

// The id lock is held.
static task_t *task_with(const baseline_scheduler_t *scheduler, task_id_t id) {
    uint32_t slot = (uint32_t)id;
    bool lives = slot > 0 && slot < scheduler->slots_made && scheduler->slots[slot].generation == id >> GENERATION_SHIFT;
    return lives ? scheduler->slots[slot].task : NULL;
}

static bool more_slots(baseline_scheduler_t *scheduler) {
    if (scheduler->slots_made < scheduler->slots_room) {
        return true;
    }
    uint32_t room = scheduler->slots_room == 0 ? 256 : scheduler->slots_room * 2;
    id_slot_t *slots = shared_alloc(room * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < scheduler->slots_made; i++) {
        slots[i] = scheduler->slots[i];
    }
    shared_free(scheduler->slots);
    scheduler->slots = slots;
    scheduler->slots_room = room;
    scheduler->slots_made += scheduler->slots_made == 0; // slot 0
    return true;
}

// A free slot, 0 without one; `status` says why.
static uint32_t take_slot(baseline_scheduler_t *scheduler, status_t *status) {
    uint32_t slot = scheduler->first_free;
    if (slot != 0) {
        scheduler->first_free = scheduler->slots[slot].next_free;
        return slot;
    }
    if (scheduler->slots_made > SCHEDULER_MAX_TASKS) {
        *status = STATUS_FULL;
        return 0;
    }
    if (!more_slots(scheduler)) {
        *status = STATUS_NO_MEMORY;
        return 0;
    }
    slot = scheduler->slots_made++;
    scheduler->slots[slot].generation = (uint32_t)scheduler->first_generation;
    return slot;
}

status_t baseline_scheduler_task_create(baseline_scheduler_t *scheduler, task_run_t *run, void *argument, uint8_t priority,
                                        const scheduler_mask_t *mask, task_id_t *id, task_t **task) {
    if (run == NULL || !baseline_fits(scheduler, mask, priority)) {
        return STATUS_INVALID;
    }
    task_t *made = shared_alloc_aligned(sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    status_t status = STATUS_OK;
    pthread_mutex_lock(&scheduler->id_lock);
    uint32_t slot = take_slot(scheduler, &status);
    if (slot != 0) {
        task_init(made, run, argument, priority, mask);
        made->slot = slot;
        uint64_t generation = scheduler->slots[slot].generation;
        /* relaxed: nobody else knows it yet */
        atomic_store_relaxed_u64(&made->control, generation << GENERATION_SHIFT);
        scheduler->slots[slot].task = made;
        *id = generation << GENERATION_SHIFT | slot;
        *task = made;
    }
    pthread_mutex_unlock(&scheduler->id_lock);
    if (slot == 0) {
        shared_free(made);
    }
    return status;
}

status_t baseline_scheduler_task_release(baseline_scheduler_t *scheduler, task_id_t id) {
    status_t status = STATUS_STALE;
    pthread_mutex_lock(&scheduler->id_lock);
    task_t *task = task_with(scheduler, id);
    if (task != NULL) {
        task_state_t state = baseline_task_state(scheduler, task);
        bool idle = state == TASK_STATE_NEW || state == TASK_STATE_COMPLETED || state == TASK_STATE_TERMINATED;
        status = idle ? STATUS_OK : STATUS_BUSY;
    }
    if (status == STATUS_OK) {
        id_slot_t *slot = &scheduler->slots[(uint32_t)id];
        slot->task = NULL;
        slot->generation += slot->generation + 1 != 0 ? 1 : 2; // an id is never TASK_NONE, nor of generation 0
        slot->next_free = scheduler->first_free;
        scheduler->first_free = (uint32_t)id;
        shared_free(task);
    }
    pthread_mutex_unlock(&scheduler->id_lock);
    return status;
}

status_t baseline_scheduler_block_id(baseline_scheduler_t *scheduler, task_id_t id) {
    pthread_mutex_lock(&scheduler->id_lock);
    task_t *task = task_with(scheduler, id);
    status_t status = task != NULL ? baseline_scheduler_block(scheduler, task) : STATUS_STALE;
    pthread_mutex_unlock(&scheduler->id_lock);
    return status;
}

status_t baseline_scheduler_unblock_id(baseline_scheduler_t *scheduler, task_id_t id, uint32_t cpu) {
    pthread_mutex_lock(&scheduler->id_lock);
    task_t *task = task_with(scheduler, id);
    status_t status = task != NULL ? baseline_scheduler_unblock(scheduler, task, cpu) : STATUS_STALE;
    pthread_mutex_unlock(&scheduler->id_lock);
    return status;
}

status_t baseline_scheduler_terminate_id(baseline_scheduler_t *scheduler, task_id_t id) {
    pthread_mutex_lock(&scheduler->id_lock);
    task_t *task = task_with(scheduler, id);
    status_t status = task != NULL ? baseline_scheduler_terminate(scheduler, task) : STATUS_STALE;
    pthread_mutex_unlock(&scheduler->id_lock);
    return status;
}

status_t baseline_scheduler_state_of(const baseline_scheduler_t *scheduler, task_id_t id, task_state_t *state) {
    baseline_scheduler_t *locked = (baseline_scheduler_t *)(uintptr_t)scheduler; // the lock changes, the scheduler does not
    pthread_mutex_lock(&locked->id_lock);
    const task_t *task = task_with(scheduler, id);
    if (task != NULL) {
        *state = baseline_task_state(scheduler, task);
    }
    pthread_mutex_unlock(&locked->id_lock);
    return task != NULL ? STATUS_OK : STATUS_STALE;
}

task_id_t baseline_scheduler_id_of(const task_t *task) {
    /* relaxed: the generation of a task does not change while it lives */
    uint64_t control = atomic_load_relaxed_u64(&task->control);
    return task->slot == 0 ? TASK_NONE : (control >> GENERATION_SHIFT) << GENERATION_SHIFT | task->slot;
}
