// What the parts of the baseline scheduler share.
//
// A task's `control` holds its state, what others ask of it, its home and its generation. The home is a CPU, and that CPU's lock
// guards the task: it is the CPU in whose queue the task is, or was before it began to run. Who wants the lock reads the home, locks
// it, and reads the home again. Only an enqueue changes the home without the lock of the one before, by compare-and-swap, and everybody
// who changes a task that is not in the queue he has locked does so by compare-and-swap, too. `batch` is the next in the queue.
#pragma once

#include <pthread.h>

#include "baseline_scheduler.h"

#define STATE_MASK ((uint64_t)0xff)
#define ASKED_BLOCK ((uint64_t)1 << 8)
#define ASKED_END ((uint64_t)1 << 9)
#define UNBLOCKED_EARLY ((uint64_t)1 << 10)
#define ASKED_MASK (ASKED_BLOCK | ASKED_END | UNBLOCKED_EARLY)
#define HOME_SHIFT 16
#define HOME_MASK ((uint64_t)0xffff << HOME_SHIFT)
#define GENERATION_SHIFT 32

#define LOOK 64u // one in so many starts is the oldest task of the lowest priority

typedef struct fifo {
    task_t *first;
    task_t *last;
} fifo_t;

typedef struct baseline_cpu {
    _Alignas(CPU_PAIR) pthread_mutex_t lock; // guards all but the last three, and the tasks whose home this is
    fifo_t queues[TASK_PRIORITIES];
    uint32_t starts; // since the lowest priority had its turn
    bool attached;
    scheduler_stats_t stats; // of the queues here, whoever took tasks from them
    uint64_t room;           // tasks that the run under way may still run; its thread's own
    uint32_t index;
    baseline_scheduler_t *scheduler;
} baseline_cpu_t;

typedef struct id_slot {
    task_t *task; // NULL: free
    uint32_t generation;
    uint32_t next_free;
} id_slot_t;

struct baseline_scheduler {
    baseline_cpu_t *cpus;
    uint32_t count;
    atomic_u32_t next; // where a task that may go anywhere goes

    _Alignas(CPU_PAIR) pthread_mutex_t sleep_lock; // guards the rest of this group; queue locks are taken inside it
    pthread_cond_t awake;
    atomic_u32_t sleepers;
    atomic_u32_t stopped;
    uint64_t kicks;

    _Alignas(CPU_PAIR) pthread_mutex_t id_lock; // guards the rest; queue locks are taken inside it
    id_slot_t *slots;
    uint32_t slots_made, slots_room, first_free; // slot 0 is none
    uint64_t first_generation;
};

static inline task_state_t state_in(uint64_t control) { return (task_state_t)(control & STATE_MASK); }
static inline uint32_t home_in(uint64_t control) { return (uint32_t)((control & HOME_MASK) >> HOME_SHIFT); }
static inline uint64_t with_state(uint64_t control, task_state_t state) {
    return (control & ~STATE_MASK) | (uint64_t)state;
}
static inline uint64_t with_home(uint64_t control, uint32_t home) {
    return (control & ~HOME_MASK) | (uint64_t)home << HOME_SHIFT;
}
static inline baseline_cpu_t *cpu_of(const scheduler_cpu_t *on) { return (baseline_cpu_t *)(uintptr_t)on; }
static inline scheduler_cpu_t *handle_of(baseline_cpu_t *cpu) { return (scheduler_cpu_t *)(uintptr_t)cpu; }

// Locks the home of the task, and tells what its control is then.
baseline_cpu_t *baseline_lock_home(const baseline_scheduler_t *scheduler, const task_t *task, uint64_t *control);
// Makes a task that nobody holds, whose control was `control`, ready on `cpu` or where its mask allows.
void baseline_make_ready(baseline_scheduler_t *scheduler, task_t *task, uint32_t cpu);
// Whether the scheduler can run such a task at all.
bool baseline_fits(const baseline_scheduler_t *scheduler, const scheduler_mask_t *mask, uint8_t priority);
void baseline_wake(baseline_scheduler_t *scheduler);
