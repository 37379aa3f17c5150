// Random schedules of the deque and of parking: coroutines that may be interrupted at every atomic operation (atomics_steps.h).
//
//     test_scheduler_schedules [seconds [seed]]     default: 4 seconds, from seed 1
//
// A schedule is a function of its seed, so a violation comes again with `test_scheduler_schedules 0 SEED`. Odd seeds: one owner and up
// to three thieves on one small deque, and each item is taken exactly once. Even seeds: up to three CPUs that run and
// park, and a producer. In one of four a deque that wants to grow often finds no memory. Time does not pass here: a sleeper that nobody wakes sleeps for ever, so when all sleep and a task has not run, a wakeup was lost.
#define ORCH_ATOMICS_BACKEND "atomics_steps.h"
#include "atomics.h"

static void steps_park(atomic_u32_t *at, uint32_t expected);
#define park_wait(at, expected, timeout) ((void)(timeout), steps_park(at, expected))
#define park_wake(at) ((void)(at))
static void *steps_alloc(size_t bytes);
#define shared_alloc_aligned(bytes) steps_alloc(bytes)
#define WAKE_FROM 1u // a lone task wakes, too: there is no time after which it would be found
#define LONE_ROUNDS 1u
#define BLOCK_TASKS 4u // few and small, so that they are full and used up
#define BLOCK_FROM 2u
#define BLOCKS 2u
#define BLOCKS_OF_MANY 2u
#define MANY_CPUS 64u

static bool starved; // no deque grows, most of the time

// The order of inclusion is the order of their uses.
#include "../kernel/deque.c"
#include "../kernel/scheduler_run.c"
#include "../kernel/scheduler_queue.c"
#include "../kernel/scheduler_blocks.c"
#undef NOBODY
#include "../kernel/scheduler_steal.c"
#undef NOBODY
#include "../kernel/scheduler_park.c"
#undef NOBODY
#include "../kernel/scheduler_tasks.c"
#include "../kernel/scheduler.c"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#if ATOMICS_MODEL_FENCES
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

enum { ACTORS = 4, ITEMS = 64, TASKS = 12, STACK = 1 << 18, STEPS_MAX = 60000 };

typedef struct actor {
    ucontext_t context;
    void *fiber;
    char *stack;
    void (*act)(void);
    int operations;
    unsigned priority;
    bool done;
    const atomic_u32_t *asleep_at; // NULL: not asleep
    uint32_t asleep_while;
} actor_t;

static actor_t actors[ACTORS];
static int actor_count;
static uint64_t random_state, seed;
static ucontext_t home;
static void *home_fiber;
static actor_t *running; // NULL: no scheduling points
static unsigned steps, eagerness, freeze_at;
static int frozen;

static uint64_t draw(uint64_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state * 0x2545f4914f6cdd1du >> 32) % below;
}

static void describe(void);
static void violation(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void violation(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fprintf(stderr, "violation ");
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, " (seed %llu)\n", (unsigned long long)seed);
    describe();
    fflush(NULL);
    _Exit(1);
}

static void observe(void);

static void switch_to(ucontext_t *from, ucontext_t *to, void *fiber) {
#if ATOMICS_MODEL_FENCES
    __tsan_switch_to_fiber(fiber, 0);
#endif
    (void)fiber;
    swapcontext(from, to);
}

void schedule_point(void) {
    actor_t *self = running;
    if (self == NULL) {
        return;
    }
    running = NULL;
    observe();
    running = self;
    if (++steps > STEPS_MAX) {
        violation("S3: the scripts do not end");
    }
    if (eagerness == 0 ? draw(24) == 0 : draw(eagerness) == 0) {
        self->priority = (unsigned)draw(1000);
        switch_to(&self->context, &home, home_fiber);
    }
}

void schedule_wait(void) {
    actor_t *self = running;
    if (self != NULL) {
        self->priority = 0;
        schedule_point();
        switch_to(&self->context, &home, home_fiber);
    }
}

static void steps_park(atomic_u32_t *at, uint32_t expected) {
    actor_t *self = running;
    self->asleep_at = at;
    self->asleep_while = expected;
    switch_to(&self->context, &home, home_fiber);
    self->asleep_at = NULL;
}

static void *steps_alloc(size_t bytes) {
    return running != NULL && starved && draw(4) != 0 ? NULL : (shared_alloc_aligned)(bytes);
}

static bool is_runnable(const actor_t *actor) {
    return !actor->done && (actor->asleep_at == NULL || atomic_load_relaxed_u32(actor->asleep_at) != actor->asleep_while);
}

static actor_t *choose(void) {
    actor_t *best = NULL;
    uint64_t ties = 0;
    for (int a = 0; a < actor_count; a++) {
        if (!is_runnable(&actors[a]) || (a == frozen && steps >= freeze_at)) {
            continue;
        }
        bool better = best == NULL || (eagerness == 0 && actors[a].priority > best->priority);
        if (better || (eagerness != 0 && draw(++ties + 1) == 0)) {
            best = &actors[a];
        }
    }
    if (best == NULL && frozen >= 0) {
        frozen = -1;
        return choose();
    }
    return best;
}

// --- one deque ----------------------------------------------------------------------------------------------------------

static deque_t deque;
static uint64_t pushed, taken_count;
static bool taken[ITEMS];
static bool owner_done;

static void take_item(const void *item) {
    uint64_t number = (uint64_t)(uintptr_t)item - 1;
    if (number >= pushed || taken[number]) {
        violation("S1: item %d of %d is taken %s", (int)number, (int)pushed, number < pushed ? "twice" : "and was never put in");
    }
    taken[number] = true;
    taken_count++;
}

static void push_some(uint64_t count) {
    void *items[4];
    for (uint64_t i = 0; i < count; i++) {
        items[i] = (void *)(uintptr_t)(pushed + i + 1);
    }
    pushed += count; // before: a thief may be faster than the return
    bool good = count == 1 ? deque_push(&deque, items[0]) : deque_push_batch(&deque, items, count);
    if (!good && !starved) {
        violation("S1: a push fails");
    }
    pushed -= good ? 0 : count;
}

static void own_deque(void) {
    actor_t *self = running;
    for (int i = 0; i < self->operations; i++) {
        uint64_t what = draw(12);
        void *item = NULL;
        if (what < 6 && pushed + 4 < ITEMS) {
            push_some(what < 4 ? 1 : 1 + draw(4));
        } else if (what == 6) {
            item = deque_pop_oldest(&deque);
        } else if (what == 7 && draw(4) == 0) {
            deque_expose(&deque);
        } else {
            item = deque_pop(&deque);
        }
        if (item != NULL) {
            take_item(item);
        }
    }
    for (void *item = deque_pop(&deque); item != NULL; item = deque_pop(&deque)) {
        take_item(item);
    }
    owner_done = true;
    self->done = true;
    switch_to(&self->context, &home, home_fiber);
}

static void rob_deque(void) {
    actor_t *self = running;
    for (int i = 0; i < self->operations; i++) {
        void *items[8];
        uint32_t count = deque_steal(&deque, items, 1 + (uint32_t)draw(8));
        for (uint32_t k = 0; k < count; k++) {
            take_item(items[k]);
        }
        if (count == 0 && deque_ask(&deque) && draw(2) == 0) {
            (void)deque_force(&deque);
        }
    }
    self->done = true;
    switch_to(&self->context, &home, home_fiber);
}

static void prepare_deque(void) {
    memset(taken, 0, sizeof taken);
    pushed = 0;
    taken_count = 0;
    owner_done = false;
    uint64_t first = draw(3) == 0 ? UINT64_MAX - draw(6) : draw(2) == 0 ? ((uint64_t)1 << 40) - draw(6) : 0;
    if (deque_begin(&deque, 2, first, false) != STATUS_OK) {
        violation("S6: no deque");
    }
    actor_count = 2 + (int)draw(ACTORS - 1);
    for (int a = 0; a < actor_count; a++) {
        actors[a].act = a == 0 ? own_deque : rob_deque;
        actors[a].operations = a == 0 ? 4 + (int)draw(12) : 2 + (int)draw(8);
    }
}

static void finish_deque(void) {
    for (void *item = deque_pop(&deque); item != NULL; item = deque_pop(&deque)) {
        take_item(item);
    }
    if (taken_count != pushed || deque_size(&deque) != 0) {
        violation("S1: %d items put in, %d taken, %d left", (int)pushed, (int)taken_count, (int)deque_size(&deque));
    }
    deque_end(&deque);
}

// --- parking ------------------------------------------------------------------------------------------------------------

static scheduler_lockfree_t *scheduler;
static task_t tasks[TASKS];
static unsigned runs[TASKS], wanted[TASKS];
static unsigned children[TASKS]; // the first that a task spawns; TASKS: none
static unsigned task_count, tasks_over, roots;
static int cpu_count;
static bool block_seen[TASKS]; // BLOCKED was seen, and no unblock has begun since
static bool unblocking[TASKS]; // an unblock has begun; each blocks once

static task_verdict_t run_step(task_t *task, scheduler_cpu_t *on) {
    unsigned i = (unsigned)(task - tasks);
    if (block_seen[i]) {
        violation("S2: task %d runs while it is blocked", (int)i);
    }
    if (runs[i] >= wanted[i]) {
        violation("S1: task %d runs %d times", (int)i, (int)runs[i] + 1);
    }
    runs[i]++;
    if (runs[i] == 1 && children[i] < task_count) {
        scheduler_spawn(on, &tasks[children[i]]);
    }
    if (runs[i] < wanted[i]) {
        return i % 2 == 0 ? TASK_AGAIN : TASK_BLOCK;
    }
    if (++tasks_over == task_count) {
        scheduler_stop(scheduler);
    }
    return TASK_DONE;
}

static void drive_cpu(void) {
    actor_t *self = running;
    scheduler_cpu_t *on = NULL;
    if (scheduler_attach(scheduler, (uint32_t)(self - actors), &on) != STATUS_OK) {
        violation("S3: a CPU is busy");
    }
    while (!scheduler_stopped(scheduler)) {
        if (scheduler_run(on, 1 + draw(3)) == 0) {
            (void)scheduler_park(on, SCHEDULER_FOREVER);
            schedule_wait();
        }
    }
    scheduler_detach(on);
    self->done = true;
    switch_to(&self->context, &home, home_fiber);
}

static void unblock_all(void) {
    for (unsigned i = 1; i < task_count; i += 2) {
        if (task_state(&tasks[i]) == TASK_STATE_BLOCKED) {
            unblocking[i] = true;
            block_seen[i] = false;
            (void)scheduler_unblock(scheduler, &tasks[i], SCHEDULER_ANY_CPU);
        }
    }
}

static void produce(void) {
    actor_t *self = running;
    task_t *batch[TASKS];
    for (unsigned i = 0; i < roots;) {
        unsigned count = 1 + (unsigned)draw(roots - i);
        for (unsigned k = 0; k < count; k++) {
            batch[k] = &tasks[i + k];
        }
        if (draw(2) == 0) {
            scheduler_enqueue_batch(scheduler, batch, count, (uint8_t)draw((uint64_t)cpu_count));
        } else if (scheduler_enqueue_wide(scheduler, batch, count, (uint32_t)draw((uint64_t)cpu_count)) != STATUS_OK) {
            violation("S1: an enqueue fails");
        }
        i += count;
    }
    for (unsigned round = 0; !scheduler_stopped(scheduler); round++) {
        unblock_all();
        schedule_wait();
        frozen = round > 50 ? -1 : frozen; // it may be what this waits for
        bool blocked = false; // it has nothing to do but to unblock: then it is no reason for the others to wait
        for (unsigned i = 1; i < task_count; i += 2) {
            blocked |= wanted[i] > 1 && runs[i] < wanted[i];
        }
        if (!blocked) {
            break;
        }
    }
    self->done = true;
    switch_to(&self->context, &home, home_fiber);
}

static void prepare_parking(void) {
    cpu_count = 1 + (int)draw(ACTORS - 1);
    scheduler_config_t config = {.cpus = (uint32_t)cpu_count, .deque_first = 2, .mode = SCHEDULER_DEQUE_FENCED};
    if (scheduler_create(&config, &scheduler) != STATUS_OK) {
        violation("S6: no scheduler");
    }
    (void)scheduler_set(scheduler, SCHEDULER_PATIENCE, draw(2));
    (void)scheduler_set(scheduler, SCHEDULER_LOOK, 1 + draw(8));
    (void)scheduler_set(scheduler, SCHEDULER_STEAL_MAX, 1 + draw(4));
    task_count = 1 + (unsigned)draw(TASKS);
    tasks_over = 0;
    roots = 1 + (unsigned)draw(task_count);
    for (unsigned i = 0; i < task_count; i++) {
        task_init(&tasks[i], run_step, NULL, (uint8_t)draw(TASK_PRIORITIES), NULL);
        runs[i] = 0;
        wanted[i] = 1 + (unsigned)(draw(3) == 0);
        block_seen[i] = false;
        unblocking[i] = false;
        children[i] = i + roots; // so each that is no root is spawned by one
    }
    actor_count = cpu_count + 1;
    for (int a = 0; a < actor_count; a++) {
        actors[a].act = a < cpu_count ? drive_cpu : produce;
    }
}

static void finish_parking(void) {
    if (tasks_over != task_count) {
        violation("S3: all sleep, and %d of %d tasks are not over", (int)(task_count - tasks_over), (int)task_count);
    }
    task_t *rest = NULL;
    scheduler_stats_t stats = scheduler_stats(scheduler);
    if (scheduler_rest(scheduler, &rest, 1) != 0 || stats.accepted != stats.started || stats.started != stats.finished) {
        violation("S5: %d accepted, %d started, %d finished", (int)stats.accepted, (int)stats.started, (int)stats.finished);
    }
    if (atomic_load_relaxed_u64(&scheduler->idle) != 0) {
        violation("S5: nobody is there, and %#llx idle", (unsigned long long)atomic_load_relaxed_u64(&scheduler->idle));
    }
    scheduler_destroy(scheduler);
    scheduler = NULL;
}

// Between any two steps.
static void observe(void) {
    if (scheduler == NULL) {
        return;
    }
    scheduler_stats_t stats = scheduler_stats(scheduler);
    if (stats.accepted < stats.started || stats.started < stats.finished || stats.finished < stats.blocked) {
        violation("S5: %d accepted, %d started, %d finished, %d blocked", (int)stats.accepted, (int)stats.started,
                  (int)stats.finished, (int)stats.blocked);
    }
    uint64_t idle = atomic_load_relaxed_u64(&scheduler->idle);
    if (sleeping(idle) > cpu_count || sleeping(idle) < -cpu_count || waking(idle) > (uint32_t)cpu_count) {
        violation("S5: %d asleep, %d woken", (int)sleeping(idle), (int)waking(idle));
    }
    for (unsigned i = 1; i < task_count; i += 2) {
        uint64_t control = atomic_load_relaxed_u64(&tasks[i].control);
        block_seen[i] |= !unblocking[i] && task_state(&tasks[i]) == TASK_STATE_BLOCKED && (control & CONTROL_PARKED) != 0;
    }
}

// What there was when a violation was found.
static void describe(void) {
    running = NULL;
    for (unsigned i = 0; scheduler != NULL && i < task_count; i++) {
        fprintf(stderr, "  task %u: %s, control %#llx, %u of %u runs%s\n", i, task_state_name(task_state(&tasks[i])),
                (unsigned long long)atomic_load_relaxed_u64(&tasks[i].control), runs[i], wanted[i], i < roots ? ", root" : "");
    }
    for (int a = 0; a < actor_count; a++) {
        fprintf(stderr, "  actor %d%s%s%s\n", a, actors[a].done ? " done" : "", actors[a].asleep_at != NULL ? " asleep" : "",
                frozen == a ? " frozen" : "");
    }
}

// --- one schedule ---------------------------------------------------------------------------------------------------

static void stalled(int signal_number) {
    (void)signal_number;
    violation("S3: a schedule does not end");
}

static void start_actor(actor_t *actor) {
    actor->done = false;
    actor->asleep_at = NULL;
    actor->priority = (unsigned)draw(1000);
    getcontext(&actor->context);
#if ATOMICS_MODEL_FENCES
    actor->fiber = __tsan_create_fiber(0);
    home_fiber = __tsan_get_current_fiber();
#endif
    actor->context.uc_stack.ss_sp = actor->stack;
    actor->context.uc_stack.ss_size = STACK;
    makecontext(&actor->context, actor->act, 0);
}

static void run_schedule(void) {
    alarm(20);
    random_state = seed * 0x9e3779b97f4a7c15u | 1;
    (void)draw(2);
    bool parking = seed % 2 == 0;
    static const unsigned eager[] = {0, 0, 2, 6, 20};
    eagerness = eager[draw(5)];
    steps = 0;
    starved = draw(4) == 0;
    if (parking) {
        prepare_parking();
    } else {
        prepare_deque();
    }
    frozen = draw(3) == 0 ? (int)draw((uint64_t)actor_count) : -1;
    freeze_at = (unsigned)draw(150);
    for (int a = 0; a < actor_count; a++) {
        start_actor(&actors[a]);
    }
    for (actor_t *next = choose(); next != NULL; next = choose()) {
        running = next;
        switch_to(&home, &next->context, next->fiber);
        running = NULL;
    }
#if ATOMICS_MODEL_FENCES
    for (int a = 0; a < actor_count; a++) {
        __tsan_destroy_fiber(actors[a].fiber);
    }
#endif
    if (parking) {
        finish_parking();
    } else {
        finish_deque();
    }
}

int main(int count, char **arguments) {
    double seconds = count > 1 ? strtod(arguments[1], NULL) : 4;
    seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    for (int a = 0; a < ACTORS; a++) {
        actors[a].stack = malloc(STACK);
    }
    signal(SIGALRM, stalled);
    struct timespec now, begin_at;
    clock_gettime(CLOCK_MONOTONIC, &begin_at);
    uint64_t first = seed;
    do {
        run_schedule();
        seed++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin_at.tv_sec) + (double)(now.tv_nsec - begin_at.tv_nsec) * 1e-9 < seconds);
    for (int a = 0; a < ACTORS; a++) {
        free(actors[a].stack);
    }
    printf("ok schedules: %llu from seed %llu\n", (unsigned long long)(seed - first), (unsigned long long)first);
    return 0;
}
