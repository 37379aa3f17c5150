// Tasks that wait for each other, under the explorer (S3): of each pair one runs only while the other one does, too, so every CPU that sleeps must be
// woken though those that were woken before find something to do. One or two producers hand them in, one by one or together.
#include "scheduler_sources.h"

enum { CPUS = 2, PAIRS = 2 };

typedef struct pair {
    task_t tasks[2];
    uint32_t here; // who has come
} pair_t;

static scheduler_lockfree_t *scheduler;
static pair_t *pairs[PAIRS];
static unsigned producers, pair_count, over;

static task_verdict_t meet(task_t *task, scheduler_cpu_t *on) {
    pair_t *pair = task->argument;
    (void)on;
    pair->here++;
    explore_wake(&pair->here, CPUS);
    explore_wait(&pair->here, sizeof pair->here, 1, false);
    EXPLORE_EXPECT(pair->here == 2, "S1: one of the two ran twice");
    if (++over == 2 * pair_count) {
        scheduler_stop(scheduler);
    }
    return TASK_DONE;
}

static void drive(uint32_t cpu) {
    scheduler_cpu_t *on = NULL;
    EXPLORE_EXPECT(scheduler_attach(scheduler, cpu, &on) == STATUS_OK, "S3: not mine");
    while (!scheduler_stopped(scheduler)) {
        if (scheduler_run(on, 1) == 0) {
            (void)scheduler_park(on, SCHEDULER_FOREVER);
        }
    }
    scheduler_detach(on);
}

static void hand_in(task_t *task) {
    EXPLORE_EXPECT(scheduler_cpus(scheduler) == CPUS, "S6: CPUs have gone");
    if (explore_draw(2) == 0) {
        scheduler_enqueue_batch(scheduler, &task, 1, (uint8_t)explore_draw(CPUS + 1));
    } else {
        EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, &task, 1, (uint32_t)explore_draw(CPUS)) == STATUS_OK, "S1: not taken");
    }
}

// One pair after the other; or each of the two producers one of a pair. The second pair comes when the first has met: two that wait for others would fill both CPUs.
static void produce(unsigned producer) {
    if (producers == 2) {
        hand_in(&pairs[0]->tasks[producer]);
        return;
    }
    for (unsigned i = 0; i < pair_count; i++) {
        hand_in(&pairs[i]->tasks[0]);
        hand_in(&pairs[i]->tasks[1]);
        for (uint32_t here = pairs[i]->here; here < 2; here = pairs[i]->here) {
            explore_wait(&pairs[i]->here, sizeof here, here, false);
        }
    }
}

static void run(unsigned thread) {
    if (thread < CPUS) {
        drive(thread);
    } else {
        produce(thread - CPUS);
    }
}

static void set_up(unsigned producer_count) {
    producers = producer_count;
    pair_count = producers == 2 ? 1 : PAIRS;
    over = 0;
    scheduler_deque_mode_t mode = explore_draw(2) == 0 ? SCHEDULER_DEQUE_FENCED : SCHEDULER_DEQUE_ASYMMETRIC;
    scheduler_config_t config = {.cpus = CPUS, .deque_first = 2, .mode = mode};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6: no scheduler");
    (void)scheduler_set(scheduler, SCHEDULER_PATIENCE, explore_draw(2));
    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i] = shared_alloc_aligned(sizeof **pairs);
        pairs[i]->here = 0;
        for (unsigned k = 0; k < 2; k++) {
            task_init(&pairs[i]->tasks[k], meet, pairs[i], (uint8_t)explore_draw(2), NULL);
        }
    }
}
static void set_up_one(void) { set_up(1); }
static void set_up_two(void) { set_up(2); }

static void finish(void) {
    EXPLORE_EXPECT(over == 2 * pair_count, "S3: some have not met");
    for (unsigned i = 0; i < PAIRS; i++) {
        shared_free(pairs[i]);
    }
    scheduler_destroy(scheduler);
}

static const explore_scenario_t scenarios[] = {
    {"meet_three", CPUS + 1, set_up_one, run, finish},
    {"meet_four", CPUS + 2, set_up_two, run, finish},
};
EXPLORE_SCENARIOS("scheduler", "S1,S3,S6", scenarios)
