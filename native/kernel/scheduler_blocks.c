// Batches handed in as pointers: whoever hands them in touches no task, and so no line per task.
//
// A CPU has some blocks of BLOCK_TASKS places. Who hands in claims one (clears its bit in `free`), writes the pointers, and publishes it (sets its bit
// in `full`). Whoever takes over takes all that are full at once, by exchange, and frees them when it has read them. A bit is claimed by a
// compare-and-swap of the very word that says that the block is free: no ABA. A thread that is stopped in between holds up its block alone.
// Where all are in use, or a batch is too small to be worth a block, the chain through the tasks takes it (scheduler_queue.c).
//
// The states follow when a CPU takes the tasks over, and so do their masks. A task with an id becomes READY at once, or its slot could be
// released while it is queued: it goes by the chain. Such a one is known by its address.
#include "scheduler_layout.h"

static bool has_ids(const scheduler_lockfree_t *scheduler, task_t *const *tasks, uint32_t count) {
    /* relaxed: who has such a task knows of the slots; it is the address that is compared */
    uint64_t slots = atomic_load_relaxed_u64(&scheduler->slots);
    bool has = false;
    for (uint32_t i = 0; slots != 0 && i < count; i++) {
        has |= (uint64_t)(uintptr_t)tasks[i] - slots < SLOT_BYTES;
    }
    return has;
}

static bool claim_block(scheduler_cpu_t *to, uint32_t *index) {
    /* relaxed: the compare-and-swap decides */
    uint64_t free = atomic_load_relaxed_u64(&to->free);
    do {
        if (free == 0) {
            return false;
        }
        /* edge BLOCK:RA — that who took the block over has read it; :RA is in free_blocks */
    } while (!atomic_cas_acq_rel_u64(&to->free, &free, free & (free - 1)));
    *index = (uint32_t)__builtin_ctzll(free);
    return true;
}

static void fill(block_t *restrict block, task_t *const *restrict tasks, uint32_t count) {
    if (count == BLOCK_TASKS) {
        for (uint32_t i = 0; i < BLOCK_TASKS; i++) {
            plain_store_ptr(&block->tasks[i], tasks[i]);
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        plain_store_ptr(&block->tasks[i], tasks[i]);
    }
    plain_store_ptr(&block->tasks[count], NULL);
}

uint32_t blocks_hand_in(scheduler_lockfree_t *scheduler, task_t *const *tasks, uint32_t count, scheduler_cpu_t *to) {
    uint32_t done = 0, index = 0;
    if (count < BLOCK_FROM || has_ids(scheduler, tasks, count)) {
        return 0;
    }
    while (done < count && claim_block(to, &index)) {
        uint32_t next = count - done < BLOCK_TASKS ? count - done : BLOCK_TASKS;
        fill(&to->blocks[index], tasks + done, next);
        done += next;
        /* edge HANDED:RA — the tasks; :RA is in take_full */
        /* edge SLEEP:S — that there is work, before the look at who sleeps; :S is in steal_look */
        (void)atomic_fetch_or_seq_cst_u64(&to->full, (uint64_t)1 << index);
    }
    return done;
}

static uint32_t count_of(const block_t *block) {
    uint32_t count = 0;
    while (count < BLOCK_TASKS && plain_load_ptr(&block->tasks[count]) != NULL) {
        count++;
    }
    return count;
}

// The tasks of a block, where they have no masks, and one priority: how many; else 0.
static uint32_t copy_alike(const block_t *block, task_t **tasks) {
    uint32_t count = 0;
    const task_t *first = plain_load_ptr(&block->tasks[0]);
    uint8_t priority = first->priority; // NOLINT(clang-analyzer-core.NullDereference): a block that is full of anything has a first
    bool alike = true;
    for (; count < BLOCK_TASKS; count++) {
        task_t *task = plain_load_ptr(&block->tasks[count]);
        if (task == NULL) {
            break;
        }
        tasks[count] = task;
        alike &= (task->mask == NULL) & (task->priority == priority);
    }
    return alike ? count : 0;
}

static void take_block(scheduler_cpu_t *on, scheduler_cpu_t *from, const block_t *block) {
    void *gathered[GATHER];
    uint32_t first = GATHER;
    for (uint32_t i = 0; i < BLOCK_TASKS; i++) {
        task_t *task = plain_load_ptr(&block->tasks[i]);
        if (task == NULL) {
            break;
        }
        /* relaxed: the deque or the list publishes it */
        atomic_store_relaxed_u64(&task->link, TASK_STATE_READY);
        if (task->mask == NULL) {
            gathered[--first] = task;
        } else if (mask_allows(task, on->index)) {
            count_up(&on->counts.accepted, 1);
            queue_append(on, task, task->priority);
        } else {
            queue_one(on->scheduler, task, from->index);
        }
    }
    queue_gathered(on, gathered, first);
}

static uint64_t take_full(scheduler_cpu_t *from) {
    /* relaxed: a look, so that an empty inbox costs no more; who parks has fenced */
    if (atomic_load_relaxed_u64(&from->full) == 0) {
        return 0;
    }
    /* edge HANDED:RA — the tasks; :RA is in blocks_hand_in */
    return atomic_exchange_acq_rel_u64(&from->full, 0);
}

static void free_blocks(scheduler_cpu_t *from, uint64_t blocks) {
    /* edge BLOCK:RA — that they have been read; :RA is in claim_block */
    (void)atomic_fetch_or_acq_rel_u64(&from->free, blocks);
}

// From the last to the first, so that who pops the newest comes to the first one first.
static void take_all_of(scheduler_cpu_t *on, scheduler_cpu_t *from, uint64_t blocks) {
    for (uint64_t left = blocks; left != 0;) {
        uint32_t index = 63 - (uint32_t)__builtin_clzll(left);
        left &= ~((uint64_t)1 << index);
        take_block(on, from, &from->blocks[index]);
    }
    free_blocks(from, blocks);
}

bool blocks_take(scheduler_cpu_t *on, scheduler_cpu_t *from) {
    uint64_t blocks = take_full(from);
    if (blocks != 0) {
        take_all_of(on, from, blocks);
    }
    return blocks != 0;
}

uint32_t blocks_take_straight(scheduler_cpu_t *on, task_t **tasks, uint32_t max) {
    /* relaxed: looks; what is there a moment later came later */
    bool more = max == 0 || atomic_load_relaxed_u64(&on->inbox) != 0 || atomic_load_relaxed_u64(&on->bound) != 0;
    uint64_t blocks = more ? 0 : take_full(on);
    if (blocks == 0) {
        return 0;
    }
    const block_t *block = &on->blocks[__builtin_ctzll(blocks)];
    bool fits = (blocks & (blocks - 1)) == 0 && (max >= BLOCK_TASKS || count_of(block) <= max);
    uint32_t count = fits ? copy_alike(block, tasks) : 0;
    if (count == 0) {
        take_all_of(on, on, blocks);
        return 0;
    }
    free_blocks(on, blocks);
    count_up(&on->counts.accepted, count);
    return count;
}

uint64_t blocks_queued(const scheduler_cpu_t *of) {
    uint64_t count = 0;
    /* edge HANDED:A — the tasks; :RA is in blocks_hand_in */
    for (uint64_t left = atomic_load_acquire_u64(&of->full); left != 0; left &= left - 1) {
        count += count_of(&of->blocks[__builtin_ctzll(left)]);
    }
    return count;
}
