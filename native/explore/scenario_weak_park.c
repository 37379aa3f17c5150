// Who lies down while others have something for it, under the explorer, in the fewest steps: of each promise that a sleeper is woken one word at
// each end alone decides, so that where one is weaker somebody sleeps for ever. A kick, a task bound to the CPU, tasks that a busy CPU has taken over, and tasks
// that it spawns and then waits for.
#include "scheduler_sources.h"

enum { CPUS = 2, TASKS = 4, KICKS = 3 };

static scheduler_lockfree_t *scheduler;
static scheduler_mask_t mask;
static task_t *tasks[TASKS];
static uint32_t *over; // tasks that have come
static unsigned task_count, early, kicks; // early: of the tasks, the last one is there before the others
static bool kicked;  // else a task with a mask
static bool spawned; // else handed in together
static atomic_u64_t *flag;

static void make_scheduler(uint32_t cpus) {
    scheduler_deque_mode_t mode = explore_draw(4) != 0 ? SCHEDULER_DEQUE_FENCED : SCHEDULER_DEQUE_ASYMMETRIC;
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2, .mode = mode};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6: no scheduler");
    (void)scheduler_set(scheduler, SCHEDULER_PATIENCE, explore_draw(2));
    over = shared_alloc(sizeof *over);
}

static scheduler_cpu_t *attach(uint32_t cpu) {
    scheduler_cpu_t *on = NULL;
    EXPLORE_EXPECT(scheduler_attach(scheduler, cpu, &on) == STATUS_OK, "S3: not mine");
    return on;
}

static void drive(scheduler_cpu_t *on) {
    while (!scheduler_stopped(scheduler)) {
        if (scheduler_run(on, 1) == 0) {
            (void)scheduler_park(on, SCHEDULER_FOREVER);
        }
    }
}

static void make_tasks(task_run_t *run, unsigned count, bool alike) {
    task_count = count;
    for (unsigned i = 0; i < count; i++) {
        tasks[i] = shared_alloc_aligned(sizeof *tasks[i]);
        task_init(tasks[i], run, NULL, alike ? 0 : (uint8_t)explore_draw(2), NULL);
    }
}

static void finish(void) {
    EXPLORE_EXPECT(*over == task_count, "S3: some have not run");
    for (unsigned i = 0; i < task_count; i++) {
        shared_free(tasks[i]);
    }
    shared_free(over);
    scheduler_destroy(scheduler);
}

// --- one CPU that sleeps, and one thread that has something for it --------------------------------------------------

static task_verdict_t come(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    (void)on;
    ++*over;
    return TASK_DONE;
}

static void set_up_sleep(void) {
    make_scheduler(1);
    kicked = explore_draw(2) == 0;
    kicks = kicked ? 1 + (unsigned)explore_draw(KICKS) : 0;
    mask = (scheduler_mask_t){{0}};
    scheduler_mask_add(&mask, 0);
    flag = shared_alloc(sizeof *flag);
    make_tasks(come, kicked ? 0 : 1 + (unsigned)explore_draw(TASKS), true);
    for (unsigned i = 0; i < task_count; i++) {
        tasks[i]->mask = &mask;
    }
}

static void run_sleep(unsigned thread) {
    if (thread == 0) {
        scheduler_cpu_t *on = attach(0);
        while (kicked ? atomic_load_acquire_u64(flag) != kicks : *over != task_count) {
            if (kicked || scheduler_run(on, 1) == 0) {
                (void)scheduler_park(on, SCHEDULER_FOREVER);
            }
        }
        scheduler_detach(on);
        return;
    }
    for (unsigned i = 0; i < kicks; i++) {
        atomic_store_release_u64(flag, i + 1);
        scheduler_kick(scheduler);
    }
    for (unsigned i = 0; i < task_count; i++) {
        EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, &tasks[i], 1, 0) == STATUS_OK, "S1: not taken");
    }
}

static void finish_sleep(void) {
    shared_free(flag);
    finish();
}

// --- tasks that wait for each other: handed in together to one CPU, or spawned there ---------------------------------

static void arrive(void) {
    if (++*over == task_count) {
        scheduler_stop(scheduler);
    }
    explore_wake(over, CPUS);
}

static task_verdict_t wait_for_all(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    (void)on;
    arrive();
    while (*over < task_count) {
        explore_wait(over, sizeof *over, *over, false);
    }
    return TASK_DONE;
}

static task_verdict_t arrive_alone(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    (void)on;
    arrive();
    return TASK_DONE;
}

static task_verdict_t spawn_and_wait(task_t *task, scheduler_cpu_t *on) {
    if (explore_draw(2) == 0) {
        scheduler_spawn_batch(on, &tasks[1], task_count - 1);
    } else {
        for (unsigned i = 1; i < task_count; i++) {
            scheduler_spawn(on, tasks[i]);
        }
    }
    return wait_for_all(task, on);
}

// CPUs are two, so no more than two may wait.
static void set_up_found(void) {
    make_scheduler(CPUS);
    spawned = explore_draw(2) == 0;
    early = spawned ? 0 : (unsigned)explore_draw(2);
    make_tasks(arrive_alone, 2 + (unsigned)explore_draw(TASKS - 1 - early) + early, explore_draw(2) == 0);
    tasks[0]->run = spawned ? spawn_and_wait : wait_for_all;
    if (early != 0) { // so that CPU 0 looks for what is old when it takes over the others
        (void)scheduler_set(scheduler, SCHEDULER_LOOK, 1);
        EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, &tasks[task_count - 1], 1, 0) == STATUS_OK, "S1: not taken");
    }
}

static void run_found(unsigned thread) {
    if (thread < CPUS) {
        scheduler_cpu_t *on = attach(thread);
        drive(on);
        scheduler_detach(on);
        return;
    }
    EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, tasks, spawned ? 1 : task_count - early, 0) == STATUS_OK, "S1: not taken");
}

static const explore_scenario_t scenarios[] = {
    {"weak_sleep", 2, set_up_sleep, run_sleep, finish_sleep},
    {"weak_found", CPUS + 1, set_up_found, run_found, finish},
};
EXPLORE_SCENARIOS("scheduler", "S1,S3,S6", scenarios)
