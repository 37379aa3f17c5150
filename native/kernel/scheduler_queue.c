// Handing tasks in, from any thread, and taking over what was handed in.
//
// A batch is a chain through task.link; batches are a stack through their first tasks' task.batch. So a batch costs one
// compare-and-swap, whatever its size, needs no memory and cannot fail. Nothing is ever taken off but all at once, by exchange: no ABA.
#include "scheduler_layout.h"

bool mask_allows(const task_t *task, uint32_t cpu) { return task->mask == NULL || scheduler_mask_has(task->mask, cpu); }

static void push_chain(atomic_u64_t *stack, task_t *first) {
    /* relaxed: the compare-and-swap decides */
    uint64_t head = atomic_load_relaxed_u64(stack);
    do {
        plain_store_ptr(&first->batch, (void *)(uintptr_t)head);
        /* edge HANDED:RA — the tasks; :RA is in take_all */
        /* edge SLEEP:S — that there is work, before the look at who sleeps; :S is in steal_look */
    } while (!atomic_cas_seq_cst_u64(stack, &head, (uint64_t)(uintptr_t)first));
}

static task_t *take_all(atomic_u64_t *stack) {
    /* relaxed: a look, so that an empty stack costs no more; who parks has fenced */
    if (atomic_load_relaxed_u64(stack) == 0) {
        return NULL;
    }
    /* edge HANDED:RA — the tasks; :RA is in push_chain */
    return (task_t *)(uintptr_t)atomic_exchange_acq_rel_u64(stack, 0);
}

static void link_to(task_t *task, const task_t *next) {
    /* relaxed: what publishes the chain publishes it */
    atomic_store_relaxed_u64(&task->link, (uint64_t)(uintptr_t)next | TASK_STATE_READY);
}

static task_t *next_of(const task_t *task) {
    /* relaxed: the holder has acquired the chain */
    return task_next(atomic_load_relaxed_u64(&task->link));
}

void queue_append(scheduler_cpu_t *on, task_t *task, uint8_t level) {
    task_list_t *list = &on->lists[level];
    link_to(task, NULL);
    if (list->first == NULL) {
        list->first = task;
    } else {
        link_to(list->last, task);
    }
    list->last = task;
    add_level(on, LEVEL_LIST(level));
}

void queue_own(scheduler_cpu_t *on, task_t *task) {
    uint8_t level = task->priority; // once it is pushed, another may have run it, and its memory may be anything
    if (task->mask == NULL && deque_push(&on->deques[level], task)) {
        add_level(on, LEVEL_DEQUE(level));
    } else {
        queue_append(on, task, level);
    }
}

void queue_gathered(scheduler_cpu_t *on, void **tasks, uint32_t first) {
    uint32_t count = GATHER - first;
    if (count == 0) {
        return;
    }
    count_up(&on->counts.accepted, count);
    uint8_t level = ((task_t *)tasks[first])->priority;
    bool alike = true;
    for (uint32_t i = first; i < GATHER; i++) {
        alike &= ((task_t *)tasks[i])->priority == level;
    }
    if (alike && deque_push_batch(&on->deques[level], tasks + first, count)) {
        add_level(on, LEVEL_DEQUE(level));
        return;
    }
    for (uint32_t i = first; i < GATHER; i++) {
        queue_own(on, tasks[i]);
    }
}

bool queue_take_inbox(scheduler_cpu_t *on, scheduler_cpu_t *from) {
    task_t *batch = take_all(&from->inbox);
    bool found = batch != NULL;
    void *gathered[GATHER];
    while (batch != NULL) {
        task_t *older = plain_load_ptr(&batch->batch);
        uint32_t first = GATHER;
        for (task_t *task = batch; task != NULL;) {
            task_t *next = next_of(task);
            gathered[--first] = task;
            if (first == 0) {
                queue_gathered(on, gathered, first);
                first = GATHER;
            }
            task = next;
        }
        queue_gathered(on, gathered, first);
        batch = older;
    }
    return blocks_take(on, from) || found; // after the chain, so that they, which are older mostly, are popped before it
}

// Those that `on` may run to its lists; the others go back, and their CPU is woken for them.
bool queue_take_bound(scheduler_cpu_t *on, scheduler_cpu_t *from) {
    task_t *batch = take_all(&from->bound);
    task_list_t rest = {NULL, NULL};
    uint64_t kept = 0;
    while (batch != NULL) {
        task_t *older = plain_load_ptr(&batch->batch);
        for (task_t *task = batch; task != NULL;) {
            task_t *next = next_of(task);
            if (mask_allows(task, on->index)) {
                kept++;
                count_up(&on->counts.accepted, 1);
                queue_append(on, task, task->priority);
            } else {
                link_to(task, NULL);
                if (rest.first == NULL) {
                    rest.first = task;
                } else {
                    link_to(rest.last, task);
                }
                rest.last = task;
            }
            task = next;
        }
        batch = older;
    }
    if (rest.first != NULL) {
        push_chain(&from->bound, rest.first);
        (void)wake_cpu(on->scheduler, from->index);
    }
    return kept > 0;
}

// A CPU of the mask for a task that was meant for `cpu`: that one; one that sleeps; one that somebody drives; any.
static uint32_t cpu_for(scheduler_lockfree_t *scheduler, const task_t *task, uint32_t cpu) {
    if (mask_allows(task, cpu)) {
        return cpu;
    }
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < scheduler->cpu_count; i++) {
        uint32_t at = (cpu + i) % scheduler->cpu_count;
        if (!scheduler_mask_has(task->mask, at)) {
            continue;
        }
        if (is_asleep(scheduler, at)) {
            return at;
        }
        /* relaxed: a preference */
        bool driven = atomic_load_relaxed_u32(&scheduler->cpus[at].attached) != 0;
        /* relaxed: as above */
        if (best == UINT32_MAX || (driven && atomic_load_relaxed_u32(&scheduler->cpus[best].attached) == 0)) {
            best = at;
        }
    }
    return best;
}

uint32_t queue_pick(const scheduler_lockfree_t *scheduler, const task_t *task) {
    uint32_t first = (uint32_t)(((uintptr_t)task / sizeof *task) % scheduler->cpu_count);
    for (uint32_t i = 0; i < scheduler->cpu_count; i++) {
        uint32_t cpu = (first + i) % scheduler->cpu_count;
        /* relaxed: a preference */
        if (atomic_load_relaxed_u32(&scheduler->cpus[cpu].attached) != 0) {
            return cpu;
        }
    }
    return first;
}

void queue_one(scheduler_lockfree_t *scheduler, task_t *task, uint32_t cpu) {
    uint32_t target = cpu_for(scheduler, task, cpu);
    link_to(task, NULL);
    if (task->mask == NULL) {
        push_chain(&scheduler->cpus[target].inbox, task);
        wake_for_work(scheduler, target);
    } else {
        push_chain(&scheduler->cpus[target].bound, task);
        (void)wake_cpu(scheduler, target);
    }
}

// Tasks without a mask, up to the first with one: how many. The loop is a sixth slower where its instructions lie across two lines: so the
// function begins with a line, and the loop is not far from there.
static __attribute__((noinline, aligned(CPU_LINE))) uint32_t chain_free(task_t **tasks, uint32_t count) {
    task_t **at = tasks, **last = tasks + (count - 1);
    for (; at != last && (*at)->mask == NULL; at++) {
        link_to(at[0], at[1]);
    }
    at += (*at)->mask == NULL ? 1 : 0;
    if (at != tasks) {
        link_to(at[-1], NULL);
    }
    return (uint32_t)(at - tasks);
}

static void enqueue(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    while (count > 0) {
        uint32_t free = chain_free(tasks, count);
        if (free > 0) {
            push_chain(&scheduler->cpus[cpu].inbox, tasks[0]);
            wake_for_work(scheduler, cpu);
        } else {
            free = 1;
            queue_one(scheduler, tasks[0], cpu);
        }
        tasks += free;
        count -= free;
    }
}

void scheduler_enqueue_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu) {
    if (count == 0) {
        return;
    }
    uint32_t at = cpu < scheduler->cpu_count ? cpu : queue_pick(scheduler, tasks[0]);
    uint32_t done = blocks_hand_in(scheduler, tasks, count, &scheduler->cpus[at]);
    /* edge SLEEP:S — who sleeps, after work was published; :S is in steal_look */
    if (done > 0 && sleeping(atomic_load_seq_cst_u64(&scheduler->idle)) > 0) {
        wake_for_work(scheduler, at);
    }
    enqueue(scheduler, tasks + done, count - done, at);
}

status_t scheduler_enqueue_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    if (cpu >= scheduler->cpu_count && cpu != SCHEDULER_ANY_CPU) {
        return STATUS_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        const task_t *task = tasks[i];
        if (task->priority >= TASK_PRIORITIES || (cpu_for(scheduler, task, 0) == UINT32_MAX)) {
            return STATUS_INVALID;
        }
    }
    if (count > 0) {
        enqueue(scheduler, tasks, count, cpu != SCHEDULER_ANY_CPU ? cpu : queue_pick(scheduler, tasks[0]));
    }
    return STATUS_OK;
}

// After something was put into the deque.
static __attribute__((noinline)) void look_for_sleepers(scheduler_cpu_t *on, const deque_t *deque) {
    /* edge SLEEP:S — that there is work, before the look at who sleeps; :S is in steal_look */
    atomic_fence_light_seq_cst(on->asymmetric);
    /* relaxed: the fence orders it */
    if (sleeping(atomic_load_relaxed_u64(&on->scheduler->idle)) > 0 && deque_size(deque) >= WAKE_FROM) {
        wake_for_work(on->scheduler, on->index);
    }
}

// With a mask, or to another deque than the one that is next, or where that has to grow.
static __attribute__((noinline)) void spawn_slowly(scheduler_cpu_t *on, task_t *task) {
    if (task->mask != NULL) {
        queue_one(on->scheduler, task, on->index);
        return;
    }
    count_up(&on->counts.accepted, 1);
    /* relaxed: the deque publishes it */
    atomic_store_relaxed_u64(&task->link, TASK_STATE_READY);
    uint8_t level = task->priority; // as above
    queue_own(on, task);
    look_for_sleepers(on, &on->deques[level]);
}

// The short way calls nothing but at its end.
void scheduler_spawn(scheduler_cpu_t *on, task_t *task) {
    deque_t *deque = on->deque;
    if (__builtin_expect(task->priority != on->level || task->mask != NULL, 0)) {
        spawn_slowly(on, task);
        return;
    }
    uint64_t bottom = deque_bottom(deque);
    if (__builtin_expect(deque_is_full(deque, bottom), 0)) {
        spawn_slowly(on, task);
        return;
    }
    count_up(&on->counts.accepted, 1);
    /* relaxed: the deque publishes it */
    atomic_store_relaxed_u64(&task->link, TASK_STATE_READY);
    deque_push_into_room(deque, bottom, task);
    /* edge SLEEP:S — that there is work, before the look at who sleeps; :S is in steal_look */
    atomic_fence_light_seq_cst(true); // where that is not enough, look_for_sleepers fences
    /* relaxed: the fence orders it */
    if (__builtin_expect(sleeping(atomic_load_relaxed_u64(on->idle)) > 0, 0)) {
        look_for_sleepers(on, deque);
    }
}

// What is next of `count` tasks goes to one deque in one go.
static uint32_t spawn_alike(scheduler_cpu_t *on, task_t **tasks, uint32_t count) {
    void *alike[GATHER];
    uint32_t end = 0;
    uint8_t level = tasks[0]->priority;
    for (; end < count && end < GATHER && tasks[end]->mask == NULL && tasks[end]->priority == level; end++) {
        /* relaxed: the deque publishes it */
        atomic_store_relaxed_u64(&tasks[end]->link, TASK_STATE_READY);
        alike[end] = tasks[end];
    }
    count_up(&on->counts.accepted, end);
    if (end > 0 && deque_push_batch(&on->deques[level], alike, end)) {
        add_level(on, LEVEL_DEQUE(level));
        return end;
    }
    for (uint32_t i = 0; i < end; i++) {
        queue_append(on, tasks[i], level);
    }
    return end;
}

void scheduler_spawn_batch(scheduler_cpu_t *on, task_t **tasks, uint32_t count) {
    uint32_t done = 0;
    while (done < count) {
        uint32_t alike = spawn_alike(on, tasks + done, count - done);
        if (alike == 0) {
            queue_one(on->scheduler, tasks[done], on->index);
            alike = 1;
        }
        done += alike;
    }
    /* edge SLEEP:S — that there is work, before the look at who sleeps; :S is in steal_look */
    atomic_fence_light_seq_cst(on->asymmetric);
    /* relaxed: the fence orders it */
    if (count >= WAKE_FROM && sleeping(atomic_load_relaxed_u64(&on->scheduler->idle)) > 0) {
        wake_for_work(on->scheduler, on->index);
    }
}
