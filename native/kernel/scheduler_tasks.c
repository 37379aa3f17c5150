// Tasks with ids, in memory that stays: so any 64 bits may be asked after at any time.
//
// An id is generation << 22 | slot. The generation stands in task.control beside the requests, so whoever acts by id does so by one
// compare-and-swap that fails for a former or later task. A slot whose generations are used up is not used again (2^42 of them: years).
//
// Free slots are a stack; its head counts changes in the upper half, so that a slot that went and came back is not mistaken (2^32 changes
// while one thread sleeps between two lines). A free slot's task.link holds the next one's number.
#include "scheduler_layout.h"

static task_t *slots_of(const scheduler_lockfree_t *scheduler) {
    /* edge SLOTS:A — nothing but the address; :RA is in reserve */
    return (task_t *)(uintptr_t)atomic_load_acquire_u64(&scheduler->slots);
}

static task_t *reserve(scheduler_lockfree_t *scheduler) {
    task_t *slots = slots_of(scheduler);
    if (slots != NULL) {
        return slots;
    }
    slots = shared_reserve(SLOT_BYTES);
    uint64_t found = 0;
    /* edge SLOTS:RA — nothing but the address; :A is in slots_of */
    if (slots != NULL && !atomic_cas_acq_rel_u64(&scheduler->slots, &found, (uint64_t)(uintptr_t)slots)) {
        shared_release(slots, SLOT_BYTES);
        return (task_t *)(uintptr_t)found;
    }
    return slots;
}

static uint32_t pop_free(scheduler_lockfree_t *scheduler, const task_t *slots) {
    /* edge FREE:A — the slot's next; :RA is in push_free */
    uint64_t head = atomic_load_acquire_u64(&scheduler->free_slots);
    uint64_t next = 0;
    do {
        if ((uint32_t)head == 0) {
            return 0;
        }
        /* relaxed: acquired with the head; where the slot has gone meanwhile, the compare-and-swap fails */
        next = atomic_load_relaxed_u64(&slots[(uint32_t)head].link) >> 3;
        /* edge FREE:RA — the slot's words; :RA is in push_free */
    } while (!atomic_cas_acq_rel_u64(&scheduler->free_slots, &head, ((head >> 32) + 1) << 32 | next));
    return (uint32_t)head;
}

static void push_free(scheduler_lockfree_t *scheduler, task_t *slots, uint32_t slot) {
    /* relaxed: the compare-and-swap decides */
    uint64_t head = atomic_load_relaxed_u64(&scheduler->free_slots);
    do {
        /* relaxed: the compare-and-swap publishes it */
        atomic_store_relaxed_u64(&slots[slot].link, (uint64_t)(uint32_t)head << 3);
        /* edge FREE:RA — the slot's words; :RA is in pop_free */
    } while (!atomic_cas_acq_rel_u64(&scheduler->free_slots, &head, ((head >> 32) + 1) << 32 | slot));
}

static status_t take_fresh(scheduler_lockfree_t *scheduler, task_t *slots, uint32_t *slot) {
    /* relaxed: the compare-and-swap decides */
    uint64_t fresh = atomic_load_relaxed_u64(&scheduler->fresh);
    do {
        if (fresh > SCHEDULER_MAX_TASKS) {
            return STATUS_FULL;
        }
        // Before the slot is taken: where there is no memory, it stays for another time.
        task_t *chunk = &slots[fresh / SLOT_COMMIT * SLOT_COMMIT];
        bool first = fresh == 1 || fresh % SLOT_COMMIT == 0;
        if (first && !shared_commit(chunk, SLOT_COMMIT * sizeof *chunk, false)) {
            return STATUS_NO_MEMORY;
        }
        /* edge FRESH:RA — that the chunk may be written; :A is in slot_of */
    } while (!atomic_cas_acq_rel_u64(&scheduler->fresh, &fresh, fresh + 1));
    *slot = (uint32_t)fresh;
    return STATUS_OK;
}

// The slot of an id, if there ever was one.
static task_t *slot_of(const scheduler_lockfree_t *scheduler, task_id_t id) {
    uint64_t slot = id & (((uint64_t)1 << SLOT_BITS) - 1);
    /* edge FRESH:A — that the chunk may be read; :RA is in take_fresh */
    bool known = slot != 0 && slot < atomic_load_acquire_u64(&scheduler->fresh);
    return known ? &slots_of(scheduler)[slot] : NULL;
}

static bool has_cpu(const scheduler_mask_t *mask, uint32_t cpus) {
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        if (mask == NULL || scheduler_mask_has(mask, cpu)) {
            return true;
        }
    }
    return false;
}

status_t scheduler_task_create(scheduler_lockfree_t *scheduler, task_run_t *run, void *argument, uint8_t priority,
                               const scheduler_mask_t *mask, task_id_t *id, task_t **out) {
    if (run == NULL || priority >= TASK_PRIORITIES || !has_cpu(mask, scheduler->cpu_count)) {
        return STATUS_INVALID;
    }
    task_t *slots = reserve(scheduler);
    if (slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    uint32_t slot = pop_free(scheduler, slots);
    if (slot == 0) {
        status_t status = take_fresh(scheduler, slots, &slot);
        if (status != STATUS_OK) {
            return status;
        }
        /* relaxed: no id of it is known yet */
        atomic_store_relaxed_u64(&slots[slot].control, scheduler->first_generation << GENERATION_SHIFT | CONTROL_FREE);
    }
    task_t *task = &slots[slot];
    task->run = run;
    task->argument = argument;
    task->mask = mask;
    task->user = 0;
    task->priority = priority;
    task->slot = slot;
    set_state(task, TASK_STATE_NEW);
    /* relaxed: nobody else changes a free slot's */
    uint64_t generation = atomic_load_relaxed_u64(&task->control) >> GENERATION_SHIFT;
    /* edge BORN:R — the task; :RA is in task_block */
    atomic_store_release_u64(&task->control, generation << GENERATION_SHIFT);
    *id = generation << SLOT_BITS | slot;
    *out = task;
    return STATUS_OK;
}

status_t scheduler_task_release(scheduler_lockfree_t *scheduler, task_id_t id) {
    task_t *task = slot_of(scheduler, id);
    if (task == NULL) {
        return STATUS_STALE;
    }
    /* edge BORN:A — the task; :R is in scheduler_task_create */
    uint64_t control = atomic_load_acquire_u64(&task->control);
    uint64_t generation = control >> GENERATION_SHIFT;
    do {
        if (generation != id >> SLOT_BITS || control >> GENERATION_SHIFT != generation || (control & CONTROL_FREE) != 0) {
            return STATUS_STALE;
        }
        task_state_t state = task_state(task);
        if (state != TASK_STATE_NEW && state != TASK_STATE_COMPLETED && state != TASK_STATE_TERMINATED) {
            return STATUS_BUSY;
        }
        /* edge BORN:RA — the end of the id; :RA is in task_block */
    } while (!atomic_cas_acq_rel_u64(&task->control, &control, (generation + 1) << GENERATION_SHIFT | CONTROL_FREE));
    if (generation < TASK_GENERATION_MAX) {
        push_free(scheduler, slots_of(scheduler), task->slot);
    }
    return STATUS_OK;
}

status_t scheduler_block_id(scheduler_lockfree_t *scheduler, task_id_t id) {
    task_t *task = slot_of(scheduler, id);
    return task == NULL ? STATUS_STALE : task_block(task, id);
}

status_t scheduler_unblock_id(scheduler_lockfree_t *scheduler, task_id_t id, uint32_t cpu) {
    task_t *task = slot_of(scheduler, id);
    return task == NULL ? STATUS_STALE : task_unblock(scheduler, task, id, cpu);
}

status_t scheduler_terminate_id(scheduler_lockfree_t *scheduler, task_id_t id) {
    task_t *task = slot_of(scheduler, id);
    return task == NULL ? STATUS_STALE : task_terminate(task, id);
}

status_t scheduler_state_of(const scheduler_lockfree_t *scheduler, task_id_t id, task_state_t *state) {
    const task_t *task = slot_of(scheduler, id);
    if (task == NULL) {
        return STATUS_STALE;
    }
    /* edge BORN:A — the task; :R is in scheduler_task_create */
    bool before = task_is_of(atomic_load_acquire_u64(&task->control), id);
    task_state_t found = task_state(task);
    /* edge BORN:A — the task; :R is in scheduler_task_create */
    if (!before || !task_is_of(atomic_load_acquire_u64(&task->control), id)) {
        return STATUS_STALE;
    }
    *state = found;
    return STATUS_OK;
}

task_id_t scheduler_id_of(const task_t *task) {
    /* relaxed: who holds a task with an id knows that it has one */
    uint64_t generation = atomic_load_relaxed_u64(&task->control) >> GENERATION_SHIFT;
    return task->slot == 0 ? TASK_NONE : generation << SLOT_BITS | task->slot;
}
