// What goes along with a request under the explorer: who unblocks a task before it has blocked, and who ends one that is blocked, hand over what was done
// before, and so does who stops the scheduler to whoever sees it stopped; and who sees a task blocked sees all that it has done (S1, S2).
#include "scheduler_sources.h"

enum { CPU, ASKER, WATCHER };

static scheduler_lockfree_t *scheduler;
static task_t *task;
static plain_u32_t *before, *result; // written before the request; by the task
static unsigned runs;
static bool unblocks; // else it is ended

static void set_up(void) {
    scheduler_config_t config = {.cpus = 1, .deque_first = 2};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6: no scheduler");
    (void)scheduler_set(scheduler, SCHEDULER_SPIN, explore_draw(2));
    before = shared_alloc(sizeof *before);
    result = shared_alloc(sizeof *result);
    task = shared_alloc_aligned(sizeof *task);
    runs = 0;
}

static void finish(void) {
    shared_free(before);
    shared_free(result);
    shared_free(task);
    scheduler_destroy(scheduler);
}

static void await(task_state_t state) {
    for (unsigned round = 0; task_state(task) != state; round++) {
        spin_hint(round);
    }
}

static void hand_in(task_run_t *does) {
    task_init(task, does, NULL, 0, NULL);
    EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, &task, 1, 0) == STATUS_OK, "S1: not taken");
}

static void drive(void) {
    scheduler_cpu_t *on = NULL;
    EXPLORE_EXPECT(scheduler_attach(scheduler, 0, &on) == STATUS_OK, "S3: not mine");
    (void)scheduler_loop(on);
    scheduler_detach(on);
}

// --- unblocked, or ended --------------------------------------------------------------------------------------------

static task_verdict_t block_once(task_t *self, scheduler_cpu_t *on) {
    (void)self;
    (void)on;
    if (++runs == 1) {
        plain_store_u32(result, 1);
        return TASK_BLOCK;
    }
    EXPLORE_EXPECT(unblocks && plain_load_u32(before) == 1, "S1: it does not see what who unblocked it has done");
    plain_store_u32(result, 2);
    return TASK_DONE;
}

static void set_up_asked(void) {
    set_up();
    unblocks = explore_draw(2) == 0;
    hand_in(block_once);
}

static void watch_the_end(void) {
    await(unblocks ? TASK_STATE_COMPLETED : TASK_STATE_TERMINATED);
    EXPLORE_EXPECT(runs == 0 || plain_load_u32(result) == runs, "S1: what its run did");
    scheduler_stop(scheduler);
}

static void run_asked(unsigned thread) {
    if (thread == CPU) {
        drive();
    } else if (thread == WATCHER) {
        watch_the_end();
    } else if (unblocks) {
        plain_store_u32(before, 1);
        EXPLORE_EXPECT(scheduler_unblock(scheduler, task, SCHEDULER_ANY_CPU) == STATUS_OK, "S2: not unblocked");
    } else {
        EXPLORE_EXPECT(scheduler_terminate(scheduler, task) == STATUS_OK, "S2: not ended");
    }
}

// --- blocked, again and again ---------------------------------------------------------------------------------------

enum { TIMES = 2 };

static bool early; // the first unblock waits for nothing

static task_verdict_t block_often(task_t *self, scheduler_cpu_t *on) {
    (void)self;
    (void)on;
    plain_store_u32(result, ++runs);
    return runs <= TIMES ? TASK_BLOCK : TASK_DONE;
}

static void set_up_blocks(void) {
    set_up();
    early = explore_draw(2) == 0;
    hand_in(block_often);
}

static void run_blocks(unsigned thread) {
    if (thread == CPU) {
        drive();
        return;
    }
    for (uint32_t blocks = 1; blocks <= TIMES; blocks++) {
        if (blocks > 1 || !early) {
            await(TASK_STATE_BLOCKED);
            EXPLORE_EXPECT(plain_load_u32(result) == blocks, "S2: blocked still after an unblock, or what it did is not seen");
        }
        EXPLORE_EXPECT(scheduler_unblock(scheduler, task, SCHEDULER_ANY_CPU) == STATUS_OK, "S2: not unblocked");
    }
    await(TASK_STATE_COMPLETED);
    EXPLORE_EXPECT(plain_load_u32(result) == TIMES + 1, "S1: what its run did");
    scheduler_stop(scheduler);
}

// --- stopped --------------------------------------------------------------------------------------------------------

static void run_stop(unsigned thread) {
    if (thread == CPU) {
        plain_store_u32(before, 1);
        scheduler_stop(scheduler);
        return;
    }
    for (unsigned round = 0; !scheduler_stopped(scheduler); round++) {
        spin_hint(round);
    }
    EXPLORE_EXPECT(plain_load_u32(before) == 1, "S1: stopped, and not what was done before");
}

static const explore_scenario_t scenarios[] = {
    {"weak_asks", 3, set_up_asked, run_asked, finish},
    {"weak_blocks", 2, set_up_blocks, run_blocks, finish},
    {"weak_stop", 2, set_up, run_stop, finish},
};
EXPLORE_SCENARIOS("scheduler", "S1,S2,S3,S6", scenarios)
