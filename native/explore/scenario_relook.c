// The lone task of a busy CPU under the explorer (S3): its spawn wakes nobody, and its CPU does not come to it, so an idle one must find
// it by itself, within two looks around. Time passes for who sleeps, and for nobody else; so a stale read, of which a thread has eight at most,
// may cost a look more.
#include "atomics.h"
#include "explore.h"

static void park_by_looks(atomic_u32_t *at, uint32_t expected, uint64_t timeout_ns);
#define PARK_BY park_by_looks
#include "scheduler_sources.h"

enum { CPUS = 2, LOOKS_MOST = 2 + 8, PATIENCE_MOST = 60 };

static scheduler_lockfree_t *scheduler;
static task_t *busy, *lone;
static uint32_t *over; // 1: the lone one has run; the busy one waits for it
static uint32_t busy_on; // the CPU that has it: CPU 1 takes it where CPU 0 does not come to it, either
static bool waits;     // the lone one, in its CPU's queue
static unsigned looks;

static void park_by_looks(atomic_u32_t *at, uint32_t expected, uint64_t timeout_ns) {
    bool waited = waits;
    explore_wait(&at->value, sizeof at->value, expected, timeout_ns <= SCHEDULER_RELOOK_NS);
    looks += waited && waits && at->value == expected;
    EXPLORE_EXPECT(looks <= LOOKS_MOST, "S3: a lone task is not found in time");
}

static task_verdict_t run_lone(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    EXPLORE_EXPECT(scheduler_cpu_index(on) != busy_on, "S1: a busy CPU runs another task");
    waits = false;
    *over = 1;
    explore_wake(over, 1);
    scheduler_stop(scheduler);
    return TASK_DONE;
}

static task_verdict_t run_busy(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    looks = 0;
    waits = true;
    busy_on = scheduler_cpu_index(on);
    scheduler_spawn(on, lone);
    explore_wait(over, sizeof *over, 0, false);
    return TASK_DONE;
}

static void run(unsigned thread) {
    scheduler_cpu_t *on = NULL;
    EXPLORE_EXPECT(scheduler_attach(scheduler, thread, &on) == STATUS_OK, "S3: not mine");
    if (thread == 0) {
        scheduler_spawn(on, busy);
    }
    while (!scheduler_stopped(scheduler)) {
        if (scheduler_run(on, 2) == 0) {
            (void)scheduler_park(on, SCHEDULER_FOREVER);
        }
    }
    scheduler_detach(on);
}

static void set_up(void) {
    scheduler_deque_mode_t mode = explore_draw(2) == 0 ? SCHEDULER_DEQUE_FENCED : SCHEDULER_DEQUE_ASYMMETRIC;
    scheduler_config_t config = {.cpus = CPUS, .deque_first = 2, .mode = mode};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6: no scheduler");
    (void)scheduler_set(scheduler, SCHEDULER_PATIENCE, explore_draw(2) == 0 ? explore_draw(4) : PATIENCE_MOST);
    busy = shared_alloc_aligned(sizeof *busy);
    lone = shared_alloc_aligned(sizeof *lone);
    over = shared_alloc(sizeof *over);
    task_init(busy, run_busy, NULL, (uint8_t)explore_draw(TASK_PRIORITIES), NULL);
    task_init(lone, run_lone, NULL, (uint8_t)explore_draw(TASK_PRIORITIES), NULL);
    waits = false;
    looks = 0;
}

static void finish(void) {
    EXPLORE_EXPECT(*over == 1, "S3: it was not found");
    shared_free(busy);
    shared_free(lone);
    shared_free(over);
    scheduler_destroy(scheduler);
}

static const explore_scenario_t scenarios[] = {{"relook_two", CPUS, set_up, run, finish}};
EXPLORE_SCENARIOS("scheduler", "S1,S3,S6", scenarios)
