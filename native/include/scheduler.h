// The scheduler: tasks, CPUs that threads of the caller drive, growable work-stealing deques. No lock anywhere.
//
// A task is a `task_t` in the caller's memory (or in the scheduler's, when it is to have an id) with a function that is run
// to its end on one CPU; what the function returns says what becomes of the task. A CPU is a set of queues and the one thread that has attached to
// it. Nothing runs unless a thread calls scheduler_run (or scheduler_loop, or takes tasks with scheduler_dequeue_batch).
//
//     scheduler_cpu_t *on;                              // in each thread, its own `cpu`
//     scheduler_attach(scheduler, cpu, &on);
//     while (there_is_work) {
//         if (scheduler_run(on, 1000) == 0) {           // ran nothing: looked everywhere, found nothing
//             scheduler_park(on, SCHEDULER_FOREVER);    // until there is work, or scheduler_stop
//         }
//     }                                                 // or all of it: scheduler_loop(on), until scheduler_stop
//     scheduler_detach(on);
//
//     static task_verdict_t hello(task_t *task, scheduler_cpu_t *on) {
//         scheduler_spawn(on, task->argument);          // another task, to this CPU's deque; idle CPUs steal from there
//         return TASK_DONE;                             // or TASK_AGAIN, TASK_BLOCK, TASK_GONE
//     }
//
// Contract (docs/native/scheduler.md has the arguments and who may run beside whom)
//   S1  Every task that was enqueued runs exactly once (once more per TASK_AGAIN, unblock after TASK_BLOCK, or new enqueue after its end);
//       growth loses none, and at shutdown each has run or is handed out by scheduler_rest.
//   S2  From the moment that task_state says BLOCKED until an unblock, the task does not run.
//   S3  A CPU parks only when no task that it may run is queued anywhere, and wakes when one is. A task queued on a CPU that is
//       busy with another is found and taken by an idle one. One exception: a CPU's only queued task, spawned or taken over there, wakes nobody,
//       since that CPU is about to come to it; should it not, an idle one finds it within two SCHEDULER_RELOOK_NS. And a task with a mask that
//       its CPU has taken over from its inbox waits for that CPU; one that scheduler_enqueue_batch has handed in to a CPU outside its mask, for whoever
//       takes that inbox over.
//   S4  Affinity: a task runs on CPUs of its mask alone. Priority: on one CPU, a task that is queued there is started before all of lower
//       priority there, but for at most SCHEDULER_LOOK tasks started after it came; and one in SCHEDULER_LOOK starts is given to the
//       oldest task of the lowest priority, so that none starves.
//   S5  Counters never underflow: accepted >= started >= finished in every answer of scheduler_stats.
//   S6  Nothing leaks; an id is used again for ever: slot and generation, a stale one answers STALE.
//
// Memory exhausted: enqueue, spawn and steal never fail for it (a queue that cannot grow hands over to a list through the tasks
// themselves). create functions answer NO_MEMORY.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomics.h"
#include "status.h"

#define SCHEDULER_MAX_CPUS 1024u
#define SCHEDULER_ANY_CPU UINT32_MAX       // wide form, and `near` of a mask: wherever it suits
#define SCHEDULER_FOREVER UINT64_MAX
#define SCHEDULER_MAX_TASKS (((uint32_t)1 << 22) - 1) // tasks with ids alive at once; tasks without are not limited
#define SCHEDULER_RELOOK_NS 1000000u // how often a parked CPU looks around all the same while another is at work

typedef struct scheduler_lockfree scheduler_lockfree_t; // shared
typedef struct scheduler_cpu scheduler_cpu_t;           // one CPU of it; used by the thread that attached to it, alone
typedef struct task task_t;
typedef uint64_t task_id_t; // generation << 22 | slot
#define TASK_NONE ((task_id_t)0)

// What a run function answers.
typedef enum task_verdict {
    TASK_DONE,  // completed. The scheduler marks it so: its last access. From then on the memory is the caller's again.
    TASK_AGAIN, // ready again, behind what is queued on this CPU
    TASK_BLOCK, // blocked until scheduler_unblock; where that came since the task last blocked, ready again at once
    TASK_GONE,  // completed, and the scheduler does not touch it again: its function has freed it, given it away or enqueued
                // it anew. Not for tasks with an id.
} task_verdict_t;
typedef task_verdict_t task_run_t(task_t *task, scheduler_cpu_t *on);

typedef enum task_state {
    TASK_STATE_NEW = 0,
    TASK_STATE_READY,
    TASK_STATE_RUNNING,
    TASK_STATE_BLOCKED,
    TASK_STATE_COMPLETED,
    TASK_STATE_TERMINATED, // ended by scheduler_terminate before it could run (again)
    TASK_STATE_COUNT
} task_state_t;
const char *task_state_name(task_state_t state);

#define TASK_PRIORITIES 4u // 0 is served first
#define TASK_PRIORITY_URGENT 0u
#define TASK_PRIORITY_HIGH 1u
#define TASK_PRIORITY_NORMAL 2u
#define TASK_PRIORITY_LOW 3u

// A set of CPUs.
typedef struct scheduler_mask {
    uint64_t bits[SCHEDULER_MAX_CPUS / 64];
} scheduler_mask_t;
static inline void scheduler_mask_add(scheduler_mask_t *mask, uint32_t cpu) { mask->bits[cpu / 64] |= (uint64_t)1 << cpu % 64; }
static inline bool scheduler_mask_has(const scheduler_mask_t *mask, uint32_t cpu) {
    return (mask->bits[cpu / 64] >> cpu % 64 & 1) != 0;
}

// One line. Put it first in, or anywhere inside, a structure of your own; aligned to 64. Made by task_init. While the task is queued, blocked
// or running, nothing of it is changed by anybody but the scheduler, and the mask stays alive.
struct task {
    _Alignas(CPU_LINE) task_run_t *run;
    void *argument;               // the caller's
    const scheduler_mask_t *mask; // NULL: every CPU. Not empty.
    uint64_t user;                // the caller's
    atomic_u64_t link;            // next in a queue | state; written by who holds the task
    atomic_u64_t control;         // generation, and what others ask of it
    plain_ptr_t batch;            // first of a batch in a queue: the batch before it
    uint32_t slot;                // 0: no id
    uint8_t priority;             // 0 .. TASK_PRIORITIES - 1
    uint8_t spare[3];
};
_Static_assert(sizeof(task_t) == CPU_LINE, "a task is one line");

static inline void task_init(task_t *task, task_run_t *run, void *argument, uint8_t priority, const scheduler_mask_t *mask) {
    *task = (task_t){.run = run, .argument = argument, .mask = mask, .priority = priority};
}
// Any thread, while the memory lives. A state that lasts (BLOCKED, COMPLETED, TERMINATED) is seen with all that was done before it.
task_state_t task_state(const task_t *task);

// --- the scheduler ----------------------------------------------------------------------------------------------

typedef enum scheduler_deque_mode {
    SCHEDULER_DEQUE_AUTO = 0,   // asymmetric where the system has membarrier
    SCHEDULER_DEQUE_FENCED,     // the owner of a deque fences at every pop and spawn
    SCHEDULER_DEQUE_ASYMMETRIC, // the owner does not; who is idle makes the whole process do it (INVALID where that cannot be)
} scheduler_deque_mode_t;

// Where a scheduler's memory comes from and lies, instead of the heap; scheduler_numa.h makes one. It outlives what it gave: destroy calls `end` last,
// and create, where it fails, does not.
typedef struct scheduler_memory {
    void *(*whole)(struct scheduler_memory *memory, size_t bytes); // zeroed, aligned to CPU_PAIR, its pages not touched yet; NULL: none
    void (*settle)(struct scheduler_memory *memory, uint32_t cpu, void *at, size_t bytes); // a CPU's part of it, before the first touch
    struct deque_memory *(*rings)(struct scheduler_memory *memory, uint32_t cpu);          // for the deques of a CPU
    void (*end)(struct scheduler_memory *memory);
} scheduler_memory_t;

typedef struct scheduler_config {
    uint32_t cpus;                // 1 .. SCHEDULER_MAX_CPUS
    uint32_t deque_first;         // places in a new deque; 0: 256; rounded up to a power of two. They grow.
    scheduler_deque_mode_t mode;
    const uint16_t *node_of;      // per CPU, its NUMA node; NULL: all on one. Read by create alone, like the next.
    const uint8_t *node_distance; // nodes * nodes, row by row, as the system reports it; NULL: own node first, then the rest
    uint32_t nodes;               // 0: no distances
    uint64_t first_generation;    // 0: 1. For tests of a slot's last generations.
    uint64_t first_index;         // 0. For tests of indices that wrap.
    scheduler_memory_t *memory;   // NULL: the heap
} scheduler_config_t;

// `config` NULL: one CPU. OK, INVALID or NO_MEMORY.
status_t scheduler_create(const scheduler_config_t *config, scheduler_lockfree_t **scheduler);
// All have detached. Tasks that are still queued are not touched: take them with scheduler_rest before.
void scheduler_destroy(scheduler_lockfree_t *scheduler);
uint32_t scheduler_cpus(const scheduler_lockfree_t *scheduler);

// --- driving a CPU ------------------------------------------------------------------------------------------------

// The calling thread drives `cpu` from now on. OK, BUSY where another does, or INVALID. A thread may drive several.
status_t scheduler_attach(scheduler_lockfree_t *scheduler, uint32_t cpu, scheduler_cpu_t **on);
// What is queued there stays, and the other CPUs find it.
void scheduler_detach(scheduler_cpu_t *on);
uint32_t scheduler_cpu_index(const scheduler_cpu_t *on);
scheduler_lockfree_t *scheduler_of(const scheduler_cpu_t *on);

// Runs up to `budget` tasks: own, handed in, stolen. Returns how many; fewer than `budget`, when nothing was found any more. Does not
// wait. Not from inside a task.
uint64_t scheduler_run(scheduler_cpu_t *on, uint64_t budget);
// Sleeps until there may be work, somebody calls scheduler_kick or scheduler_stop, or the time is over. Returns at once where work is queued that this
// CPU may run. false: the time is over.
bool scheduler_park(scheduler_cpu_t *on, uint64_t timeout_ns);
// run and park until scheduler_stop was called and nothing is left to run. Returns the number of tasks run.
uint64_t scheduler_loop(scheduler_cpu_t *on);
// From any thread: loops end when the queues are empty. Tasks may go on spawning; what others enqueue later is run by who still
// looks, or stays for scheduler_rest.
void scheduler_stop(scheduler_lockfree_t *scheduler);
bool scheduler_stopped(const scheduler_lockfree_t *scheduler);
// Makes parked CPUs return from park.
void scheduler_kick(scheduler_lockfree_t *scheduler);
// No thread is attached, none enqueues: takes out up to `max` tasks that are still queued, state NEW. 0: there are none.
uint32_t scheduler_rest(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max);

// --- from inside a run function, or between two runs: the CPU's own thread --------------------------------------------

// Makes the task ready on this CPU (where its mask allows it; else on one of the mask).
void scheduler_spawn(scheduler_cpu_t *on, task_t *task);
void scheduler_spawn_batch(scheduler_cpu_t *on, task_t **tasks, uint32_t count);
// A task that did the work of `count` others itself says so: it counts towards the budget of the scheduler_run that it is in, and in
// the counters as so many accepted, started and finished.
void scheduler_charge(scheduler_cpu_t *on, uint64_t count);
// How many more tasks that scheduler_run may run: a chain may go on inline for so long.
uint64_t scheduler_room(const scheduler_cpu_t *on);
// Whether the running task should return TASK_AGAIN: SCHEDULER_QUANTUM_NS have passed since it first asked.
bool scheduler_quantum_over(scheduler_cpu_t *on);

// Takes up to `max` ready tasks for the caller to run by hand, state RUNNING; looks everywhere as scheduler_run does. Each is given
// back by complete_batch, by a new enqueue, or by scheduler_give_back with a verdict. The caller drives `cpu`.
uint32_t scheduler_dequeue_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max, uint8_t cpu);
uint32_t scheduler_dequeue_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max, uint32_t cpu);
void scheduler_complete_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu);
void scheduler_complete_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu);
void scheduler_give_back(scheduler_cpu_t *on, task_t *task, task_verdict_t verdict);

// --- from any thread ----------------------------------------------------------------------------------------------

// Makes `count` tasks, each NEW, COMPLETED or TERMINATED (or RUNNING, by who runs it and then returns TASK_GONE), ready on `cpu`: two atomic read-modify-writes for
// each 32 of them, and no access to the tasks themselves. Idle CPUs may take them from there. A task whose mask lacks `cpu` goes to one of its mask. The array is the
// caller's again at return. `cpu` outside the scheduler's: any, one that somebody drives if there is one. count 0: nothing.
// What is enqueued on a CPU that nobody drives waits for a CPU that is idle, or for who attaches to it.
// Until a CPU has taken a task over, its state may still be the one before. So one that has ended and is enqueued again may still say COMPLETED,
// and requests to it be answered STALE: who waits for the end of the next run by the state makes the task anew before (task_init), or
// enqueues it by scheduler_enqueue_wide. A task with an id is READY at return.
void scheduler_enqueue_batch(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint8_t cpu);
// The same for every CPU number, the tasks READY at return, and with an answer: OK, or INVALID, with nothing enqueued, where `cpu` is neither a CPU of the scheduler nor
// SCHEDULER_ANY_CPU, or a task has a mask without any of its CPUs, or a priority that is none.
status_t scheduler_enqueue_wide(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t count, uint32_t cpu);

// Who blocks and ends tasks: by pointer, while its memory lives. Each is a request to whoever holds the task next. One that comes just as a
// run ends may be OK and too late for that run: then the next enqueue of the task answers it (a block: BLOCKED instead of started).
// block: the task is BLOCKED instead of started, or instead of going on when it returns TASK_AGAIN; a call that runs is not interrupted. OK; STALE once it is
// completed or terminated.
status_t scheduler_block(scheduler_lockfree_t *scheduler, task_t *task);
// unblock: ready, if it is BLOCKED; else takes back a request to block; else is remembered, once, and its next TASK_BLOCK is a
// TASK_AGAIN. `cpu` may be SCHEDULER_ANY_CPU. OK; STALE once it is completed or terminated.
status_t scheduler_unblock(scheduler_lockfree_t *scheduler, task_t *task, uint32_t cpu);
// terminate: the task is TERMINATED instead of started or of going on; a blocked one at once. OK; STALE as above.
status_t scheduler_terminate(scheduler_lockfree_t *scheduler, task_t *task);

// --- tasks with an id: in the scheduler's memory ---------------------------------------------------------------------

// A NEW task, not yet enqueued. OK, INVALID, FULL (SCHEDULER_MAX_TASKS) or NO_MEMORY. `task->user` is the caller's.
status_t scheduler_task_create(scheduler_lockfree_t *scheduler, task_run_t *run, void *argument, uint8_t priority,
                               const scheduler_mask_t *mask, task_id_t *id, task_t **task);
// Ends the id and gives the slot back. The task is NEW, COMPLETED or TERMINATED: OK. STALE; BUSY in every other state. Two threads: one OK.
status_t scheduler_task_release(scheduler_lockfree_t *scheduler, task_id_t id);
// As above, by id: safe with any 64 bits, at any time, STALE where the id was released.
status_t scheduler_block_id(scheduler_lockfree_t *scheduler, task_id_t id);
status_t scheduler_unblock_id(scheduler_lockfree_t *scheduler, task_id_t id, uint32_t cpu);
status_t scheduler_terminate_id(scheduler_lockfree_t *scheduler, task_id_t id);
status_t scheduler_state_of(const scheduler_lockfree_t *scheduler, task_id_t id, task_state_t *state);
task_id_t scheduler_id_of(const task_t *task); // TASK_NONE without an id

// --- knobs: at run time, from any thread ---------------------------------------------------------------------------

typedef enum scheduler_knob {
    SCHEDULER_QUANTUM_NS, // 10 ms;  1 us .. 10 s    see scheduler_quantum_over
    SCHEDULER_LOOK,       // 64;     1 .. 65536      tasks between two looks at what was handed in, and at what is old
    SCHEDULER_VICTIMS,    // nearest; a scheduler_victims_t
    SCHEDULER_STEAL_MAX,  // 32;     1 .. SCHEDULER_BATCH_MAX   tasks in one steal
    SCHEDULER_SPIN,       // 16;     0 .. 65536      rounds of looking everywhere in scheduler_loop before it parks
    SCHEDULER_PATIENCE,   // 8;      0 .. 65536      looks of a thief that a busy CPU leaves unanswered before it takes by force
    SCHEDULER_KNOBS
} scheduler_knob_t;
#define SCHEDULER_BATCH_MAX 256u
typedef enum scheduler_victims {
    SCHEDULER_VICTIMS_NEAREST, // by distance of nodes, then from the CPU's own number on
    SCHEDULER_VICTIMS_RANDOM,  // starts at random
    SCHEDULER_VICTIMS_LAST,    // starts where the last steal succeeded
    SCHEDULER_VICTIMS_COUNT
} scheduler_victims_t;
// INVALID outside the bounds.
status_t scheduler_set(scheduler_lockfree_t *scheduler, scheduler_knob_t knob, uint64_t value);
uint64_t scheduler_get(const scheduler_lockfree_t *scheduler, scheduler_knob_t knob);
const char *scheduler_knob_name(scheduler_knob_t knob); // "quantum_ns", "look", …
void scheduler_knob_bounds(scheduler_knob_t knob, uint64_t *least, uint64_t *most, uint64_t *standard);

// --- accounts ------------------------------------------------------------------------------------------------------

// Sums over CPUs, or one CPU's; read while they run. A task counts as accepted when a CPU has it in its queues.
typedef struct scheduler_stats {
    uint64_t accepted;   // times that a CPU took a task into its queues: by spawn, handed in, again, unblocked
    uint64_t started;    // runs begun, or ended before they began
    uint64_t finished;   // runs ended, whatever the verdict; and terminated ones
    uint64_t blocked;    // of them: TASK_BLOCK or block; a task that blocks and is unblocked counts again in accepted
    uint64_t steals;     // successful, and what they brought
    uint64_t stolen;
    uint64_t tries;      // looks at another CPU's queues
    uint64_t forced;     // of the steals: where the other CPU did not answer
    uint64_t parks;
    uint64_t grown;      // growths of deques
} scheduler_stats_t;
scheduler_stats_t scheduler_stats(const scheduler_lockfree_t *scheduler);
scheduler_stats_t scheduler_cpu_stats(const scheduler_lockfree_t *scheduler, uint32_t cpu);
// Tasks that CPUs have in their queues now; what was handed in counts when a CPU has taken it over. Exact when nothing runs.
uint64_t scheduler_queued(const scheduler_lockfree_t *scheduler);
