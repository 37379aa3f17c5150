// Inside the scheduler: what a CPU and a task's words look like. For kernel/scheduler*.c alone.
//
// task.link    next task of a list | state in the low 3 bits. Written by who holds the task: who enqueues it, whose queue it is in, who
//              runs it, who has unblocked it.
// task.control generation << 8 | bits below. Read-modify-writes by whoever asks something of the task.
//
// Where a queued task can be, on its CPU:
//   blocks         handed in by any thread, as pointers (scheduler_blocks.c)
//   inbox, bound   handed in by any thread, as batches linked through task.batch, newest first; bound: those with a mask
//   deques[level]  taken over; anybody may steal
//   lists[level]   taken over, with a mask; and all that found no room in a deque. The CPU's own.
#pragma once

#include "deque.h"
#include "scheduler.h"

#define STATE_MASK ((uint64_t)7)
#define CONTROL_BLOCK ((uint64_t)1)     // to be blocked before it starts or goes on
#define CONTROL_PERMIT ((uint64_t)2)    // unblocked before it has blocked
#define CONTROL_PARKED ((uint64_t)4)    // blocked: nobody holds it; who clears this holds it
#define CONTROL_TERMINATE ((uint64_t)8) // to be ended before it starts or goes on
#define CONTROL_FREE ((uint64_t)16)     // a slot without a task
#define CONTROL_WANTED (CONTROL_BLOCK | CONTROL_PERMIT | CONTROL_TERMINATE)
#define CONTROL_ASKED (CONTROL_BLOCK | CONTROL_TERMINATE)
#define GENERATION_SHIFT 8
#define SLOT_BITS 22
#define TASK_GENERATION_MAX (((uint64_t)1 << (64 - SLOT_BITS)) - 1)
#define SLOT_COMMIT 4096u // slots whose memory is taken together
#define SLOT_BYTES (((size_t)SCHEDULER_MAX_TASKS + 1) * sizeof(task_t))

// Bits of scheduler_cpu.levels: per priority, its deque, and its list. The list of a priority comes before its deque.
#define LEVEL_DEQUE(LEVEL) ((uint32_t)1 << (LEVEL))
#define LEVEL_LIST(LEVEL) ((uint32_t)LEVEL_LISTS_FROM << (LEVEL))
#define LEVEL_LISTS_FROM 16u

// A deque with so many tasks is worth a wake; a lone one is its owner's next. SCHEDULER_RELOOK_NS is for the owner that does not come to it.
#ifndef WAKE_FROM
#define WAKE_FROM 2u
#endif

#define GATHER 64u // tasks that go to a deque together

#ifndef BLOCK_TASKS
#define BLOCK_TASKS 32u // places of a block
#define BLOCK_FROM 4u   // a batch of fewer is not worth one
#define BLOCKS 64u      // of a CPU: at most 64
#define BLOCKS_OF_MANY 16u
#define MANY_CPUS 64u // with more CPUs than that, each has BLOCKS_OF_MANY
#endif
typedef struct block { // ends with the first NULL, or is full
    _Alignas(CPU_PAIR) plain_ptr_t tasks[BLOCK_TASKS];
} block_t;

typedef struct task_list {
    task_t *first, *last;
} task_list_t;

typedef struct cpu_counts { // written by the CPU's thread, read by others
    atomic_u64_t accepted, started, finished, blocked;
    atomic_u64_t steals, stolen, tries, forced, parks;
} cpu_counts_t;

struct scheduler_cpu {
    // The thread's own.
    _Alignas(CPU_PAIR) scheduler_lockfree_t *scheduler;
    uint32_t index;
    uint32_t levels;   // where something may be; written by set_levels, like the next two
    uint32_t level;    // of the deque that is next; TASK_PRIORITIES: none, or a list comes before it
    deque_t *deque;    // that deque; the one behind the last: as above
    atomic_u64_t *idle;    // scheduler.idle; where a spawn has to fence, a word that says that somebody sleeps
    uint64_t ahead;        // tasks that the present run may still start before it looks at inbox and oldest
    uint64_t beyond;       // and after that: see room_of
    uint64_t look_left;    // between runs: how many tasks until then
    uint64_t room_counted; // the room up to which runs are in the counts
    uint64_t charged;      // of the room since: by scheduler_charge
    uint64_t random;
    uint64_t charged_ever; // in all
    uint64_t quantum_run;   // the run, by counts.started, that asked for its quantum last
    uint64_t quantum_begin; // when it did so first
    uint64_t kicks;         // scheduler.kicks as park last saw it
    uint32_t last_victim;
    uint32_t victim;      // of whom something is asked; UINT32_MAX: of nobody
    uint32_t victim_level;
    uint32_t victim_looks;
    uint32_t lone_victim;   // a CPU with one task alone
    uint32_t lone_rounds;   // for how many looks it has started nothing
    uint64_t lone_started;
    bool asymmetric;   // constant
    bool waking;       // woken, and counted so in scheduler.idle
    task_list_t lists[TASK_PRIORITIES];
    _Alignas(CPU_PAIR) cpu_counts_t counts;
    // Written by anybody.
    _Alignas(CPU_PAIR) atomic_u64_t inbox; // task_t *
    atomic_u64_t free; // a bit per block that nobody has claimed
    atomic_u64_t full; // a bit per block that is to be taken over
    block_t *blocks;   // constant
    _Alignas(CPU_PAIR) atomic_u64_t bound; // task_t *
    _Alignas(CPU_PAIR) atomic_u32_t park;  // 1: asleep, or about to be
    atomic_u32_t attached;
    deque_t deques[TASK_PRIORITIES + 1]; // per priority; and one that is always empty, and the CPU's own as a pop writes to it
};

struct scheduler_lockfree {
    // Constant.
    uint32_t cpu_count;
    bool asymmetric;
    uint64_t first_generation;
    atomic_u64_t suspected; // see scheduler_cpu.idle
    uint16_t *victims; // per CPU the others, nearest first
    scheduler_memory_t *memory; // NULL: the heap
    // Written now and then, read all the time.
    _Alignas(CPU_PAIR) atomic_u64_t idle; // woken and still searching << 32, plus asleep; written by who parks and who wakes
    _Alignas(CPU_PAIR) atomic_u64_t knobs[SCHEDULER_KNOBS]; // written by scheduler_set
    atomic_u32_t stopped;
    atomic_u64_t driven; // CPUs that somebody has attached to
    _Alignas(CPU_PAIR) atomic_u64_t kicks; // written by scheduler_kick
    atomic_u64_t sleepers[SCHEDULER_MAX_CPUS / 64]; // one bit per CPU asleep
    // Slots of tasks with ids.
    _Alignas(CPU_PAIR) atomic_u64_t slots; // task_t *, reserved; 0: not yet
    atomic_u64_t free_slots; // count of changes << 32 | slot
    atomic_u64_t fresh;      // first slot never given out
    scheduler_cpu_t cpus[];
};

// Whether a control word is of the task with that id; of any, where `id` is TASK_NONE.
static inline bool task_is_of(uint64_t control, task_id_t id) {
    return id == TASK_NONE || (control >> GENERATION_SHIFT == id >> SLOT_BITS && (control & CONTROL_FREE) == 0);
}

// The lower half is signed: it is below 0 for a moment where a sleeper gets up by itself whom a waker has counted already.
static inline int32_t sleeping(uint64_t idle) { return (int32_t)(uint32_t)idle; }
static inline uint32_t waking(uint64_t idle) { return (uint32_t)((idle - (uint64_t)(int64_t)sleeping(idle)) >> 32); }

static inline task_t *task_next(uint64_t link) { return (task_t *)(uintptr_t)(link & ~STATE_MASK); }

// A counter that only its CPU's thread writes. Release, so that who reads sums from the last to the first never sees one ahead of another.
static inline void count_up(atomic_u64_t *counter, uint64_t by) {
    /* relaxed: written by this thread alone */
    uint64_t value = atomic_load_relaxed_u64(counter);
    /* edge COUNT:R — what was counted before; :A is in counter_read */
    atomic_store_release_u64(counter, value + by);
}

static inline uint64_t knob_of(const scheduler_lockfree_t *scheduler, scheduler_knob_t knob) {
    /* relaxed: a number that may change at any time; nothing hangs on when */
    return atomic_load_relaxed_u64(&scheduler->knobs[knob]);
}

// Tasks that the present run may still start.
static inline uint64_t room_of(const scheduler_cpu_t *on) { return on->ahead + on->beyond; }

static inline void set_state(task_t *task, task_state_t state) {
    /* edge STATE:R — what the task has done so far; :A is in task_state */
    atomic_store_release_u64(&task->link, (uint64_t)state);
}

static inline task_t *list_pop(task_list_t *list) {
    task_t *task = list->first;
    if (task != NULL) {
        /* relaxed: the list is this thread's own */
        list->first = task_next(atomic_load_relaxed_u64(&task->link));
    }
    return task;
}

static inline void set_levels(scheduler_cpu_t *on, uint32_t levels) {
    bool deques_alone = levels - 1 < LEVEL_LISTS_FROM - 1;
    on->levels = levels;
    on->level = deques_alone ? (uint32_t)__builtin_ctz(levels) : TASK_PRIORITIES;
    on->deque = &on->deques[on->level];
}

// Something has been put there.
static inline void add_level(scheduler_cpu_t *on, uint32_t level) {
    if (__builtin_expect((on->levels & level) == 0, 0)) {
        set_levels(on, on->levels | level);
    }
}

// The next of the own queues, in order of priority. NULL: there is none.
task_t *own_next_slowly(scheduler_cpu_t *on);
static inline task_t *own_next(scheduler_cpu_t *on, bool asymmetric) {
    void *item = NULL;
    return __builtin_expect(deque_pop_in(on->deque, asymmetric, &item), 1) ? item : own_next_slowly(on);
}

// --- scheduler_queue.c: handing in and taking over -----------------------------------------------------------------
// Readies one task, on `cpu` where its mask allows it, and wakes who is to run it.
void queue_one(scheduler_lockfree_t *scheduler, task_t *task, uint32_t cpu);
// A CPU for a task of which nobody has said where: one that somebody drives, if there is one.
uint32_t queue_pick(const scheduler_lockfree_t *scheduler, const task_t *task);
// Takes over what was handed in to `from` (on's own, or another's). Whether there was something.
bool queue_take_inbox(scheduler_cpu_t *on, scheduler_cpu_t *from);
bool queue_take_bound(scheduler_cpu_t *on, scheduler_cpu_t *from);
// The last GATHER - first of `tasks`, an array of GATHER, in the order in which thieves are to find them: to the deques. They are READY, without masks.
void queue_gathered(scheduler_cpu_t *on, void **tasks, uint32_t first);
// To the deque, or the list where the deque has no room.
void queue_own(scheduler_cpu_t *on, task_t *task);
void queue_append(scheduler_cpu_t *on, task_t *task, uint8_t level);
bool mask_allows(const task_t *task, uint32_t cpu);

// --- scheduler_blocks.c -----------------------------------------------------------------------------------------------
// Hands in the first of `tasks`, without waking anybody: how many. The rest goes by the chain.
uint32_t blocks_hand_in(scheduler_lockfree_t *scheduler, task_t *const *tasks, uint32_t count, scheduler_cpu_t *to);
// Takes over what was handed in to `from`. Whether there was something.
bool blocks_take(scheduler_cpu_t *on, scheduler_cpu_t *from);
// For who has nothing in its own queues, and takes by hand: where one batch of one priority is all that was handed in, and no more than `max`, its tasks, which are
// accepted, and not READY yet: how many. 0: otherwise; then they are in the own queues.
uint32_t blocks_take_straight(scheduler_cpu_t *on, task_t **tasks, uint32_t max);
uint64_t blocks_queued(const scheduler_cpu_t *of); // exact when nothing runs

// --- scheduler_steal.c ------------------------------------------------------------------------------------------------
// One round over all other CPUs. A task, or NULL; what else was brought lies in the own queues.
task_t *steal_round(scheduler_cpu_t *on);
// Whether something is queued that `on` may run, or might. For who is about to park; takes over tasks with masks.
bool steal_look(scheduler_cpu_t *on);

// Whether a CPU has been asked for tasks, and has neither given some yet nor been left time enough to be taken from by force.
bool steal_asked(const scheduler_cpu_t *on);
// Whether any other CPU is attached to and not asleep.
bool steal_others_busy(const scheduler_cpu_t *on);
// Whether a lone task is stuck at a busy CPU: for who is parked, now and then.
bool steal_lone(scheduler_cpu_t *on);

// --- scheduler_ask.c --------------------------------------------------------------------------------------------------
// By pointer where `id` is TASK_NONE.
status_t task_block(task_t *task, task_id_t id);
status_t task_unblock(scheduler_lockfree_t *scheduler, task_t *task, task_id_t id, uint32_t cpu);
status_t task_terminate(task_t *task, task_id_t id);

// --- scheduler_park.c -------------------------------------------------------------------------------------------------
// Wakes one CPU, nearest to `near`, unless somebody is awake and searching already.
void wake_for_work(scheduler_lockfree_t *scheduler, uint32_t near);
// Wakes this one if it sleeps; whether it did.
bool wake_cpu(scheduler_lockfree_t *scheduler, uint32_t cpu);
// `on` has found something: the next one, if `on` was woken itself, or has more of it than it starts now.
void wake_found(scheduler_cpu_t *on);
bool is_asleep(scheduler_lockfree_t *scheduler, uint32_t cpu);
// Woken no more. wake_one: somebody, whatever for.
void stop_waking(scheduler_cpu_t *on);
void wake_one(scheduler_lockfree_t *scheduler, uint32_t near);
