// Batches handed in as pointers (kernel/scheduler_blocks.c): order, masks, ids, more than there is room for, and taking by hand straight from them.
#include <pthread.h>
#include <stdlib.h>

#include "expect.h"
#include "scheduler.h"

enum { TASKS = 5000 }; // more than the blocks of one CPU hold

typedef struct job {
    task_t task;
    atomic_u32_t runs;
} job_t;

static job_t jobs[TASKS];
static task_t *pointers[TASKS];
static uint32_t order[TASKS], ran;
static scheduler_mask_t only_second;

static task_verdict_t note(task_t *task, scheduler_cpu_t *on) {
    EXPECT_EQ(task_state(task), TASK_STATE_RUNNING);
    EXPECT(task->mask == NULL || scheduler_mask_has(task->mask, scheduler_cpu_index(on)));
    order[ran++ % TASKS] = (uint32_t)task->user;
    (void)atomic_fetch_add_relaxed_u32(&((job_t *)task)->runs, 1);
    return TASK_DONE;
}

static scheduler_lockfree_t *make(uint32_t cpus, scheduler_cpu_t **on) {
    scheduler_config_t config = {.cpus = cpus};
    scheduler_lockfree_t *scheduler = NULL;
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_OK);
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        EXPECT_EQ(scheduler_attach(scheduler, cpu, &on[cpu]), STATUS_OK);
    }
    ran = 0;
    for (uint32_t i = 0; i < TASKS; i++) {
        task_init(&jobs[i].task, note, NULL, TASK_PRIORITY_NORMAL, NULL);
        jobs[i].task.user = i;
        atomic_store_relaxed_u32(&jobs[i].runs, 0);
        pointers[i] = &jobs[i].task;
    }
    return scheduler;
}

static void end(scheduler_lockfree_t *scheduler, scheduler_cpu_t **on, uint64_t each) {
    task_t *rest = NULL;
    EXPECT_EQ(scheduler_queued(scheduler), 0);
    for (uint32_t cpu = 0; cpu < scheduler_cpus(scheduler); cpu++) {
        scheduler_detach(on[cpu]);
    }
    EXPECT_EQ(scheduler_rest(scheduler, &rest, 1), 0);
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPECT_EQ(stats.accepted, each);
    EXPECT_EQ(stats.started, each);
    EXPECT_EQ(stats.finished, each);
    scheduler_destroy(scheduler);
}

static void test_order(void) {
    scheduler_cpu_t *on[1];
    scheduler_lockfree_t *scheduler = make(1, on);
    uint32_t given = 0;
    for (uint32_t size = 4; given + size <= 1000; size = size * 7 % 101 + 4) {
        scheduler_enqueue_batch(scheduler, pointers + given, size, 0);
        given += size;
    }
    EXPECT_EQ(scheduler_queued(scheduler), given);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_LOOK, 65536), STATUS_OK);
    scheduler_detach(on[0]);
    EXPECT_EQ(scheduler_attach(scheduler, 0, &on[0]), STATUS_OK); // no look at what is old from here on
    EXPECT_EQ(scheduler_run(on[0], TASKS), given);
    for (uint32_t i = 0; i < given; i++) { // first come, first served
        EXPECT_EQ(order[i], i);
    }
    end(scheduler, on, given);
}

static void test_more_than_room(void) {
    scheduler_cpu_t *on[2];
    scheduler_lockfree_t *scheduler = make(2, on);
    scheduler_enqueue_batch(scheduler, pointers, TASKS, 1);
    EXPECT_EQ(scheduler_queued(scheduler), TASKS);
    for (uint64_t got = 0, looks = 0; got < TASKS && looks < 100000; looks++) {
        got += scheduler_run(on[looks % 2], 1000);
    }
    for (uint32_t i = 0; i < TASKS; i++) {
        EXPECT_EQ(atomic_load_relaxed_u32(&jobs[i].runs), 1);
        EXPECT_EQ(task_state(&jobs[i].task), TASK_STATE_COMPLETED);
    }
    scheduler_enqueue_batch(scheduler, pointers, 1000, 0); // and there is room again
    EXPECT_EQ(scheduler_run(on[0], TASKS), 1000);
    end(scheduler, on, TASKS + 1000);
}

// S4: also from an inbox of a CPU that may not run them.
static void test_masks(void) {
    scheduler_cpu_t *on[3];
    scheduler_lockfree_t *scheduler = make(3, on);
    scheduler_mask_add(&only_second, 1);
    for (uint32_t i = 0; i < 300; i += 3) {
        jobs[i].task.mask = &only_second;
    }
    scheduler_enqueue_batch(scheduler, pointers, 300, 0);
    EXPECT_EQ(scheduler_run(on[2], 1000), 200); // takes all of it over
    EXPECT_EQ(scheduler_queued(scheduler), 100);
    EXPECT_EQ(scheduler_run(on[0], 1000), 0);
    EXPECT_EQ(scheduler_run(on[1], 1000), 100);
    scheduler_enqueue_batch(scheduler, pointers, 30, 2);
    for (uint32_t cpu = 0; cpu < 3; cpu++) {
        scheduler_detach(on[cpu]);
    }
    task_t *rest[31];
    EXPECT_EQ(scheduler_rest(scheduler, rest, 31), 30); // those with a mask, too
    for (uint32_t cpu = 0; cpu < 3; cpu++) {
        EXPECT_EQ(scheduler_attach(scheduler, cpu, &on[cpu]), STATUS_OK);
    }
    end(scheduler, on, 300);
}

static task_verdict_t no_more(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    EXPECT_EQ(task->user, 1); // it never is: all are terminated
    return TASK_DONE;
}

// S6: what is queued is not released; its state says so at once.
static void test_ids(void) {
    scheduler_cpu_t *on[1];
    scheduler_lockfree_t *scheduler = make(1, on);
    task_id_t ids[8];
    task_t *tasks[8];
    for (uint32_t i = 0; i < 8; i++) {
        tasks[i] = pointers[i];
        EXPECT(i % 2 != 0 || scheduler_task_create(scheduler, no_more, NULL, 1, NULL, &ids[i], &tasks[i]) == STATUS_OK);
    }
    scheduler_enqueue_batch(scheduler, tasks, 8, 0);
    for (uint32_t i = 0; i < 8; i += 2) {
        task_state_t state = TASK_STATE_COUNT;
        EXPECT_EQ(scheduler_state_of(scheduler, ids[i], &state), STATUS_OK);
        EXPECT_EQ(state, TASK_STATE_READY);
        EXPECT_EQ(scheduler_task_release(scheduler, ids[i]), STATUS_BUSY);
        EXPECT_EQ(scheduler_terminate_id(scheduler, ids[i]), STATUS_OK);
    }
    EXPECT_EQ(scheduler_run(on[0], 100), 4);
    for (uint32_t i = 0; i < 8; i += 2) {
        EXPECT_EQ(scheduler_task_release(scheduler, ids[i]), STATUS_OK);
    }
    end(scheduler, on, 8);
}

static void complete_all(scheduler_lockfree_t *scheduler, task_t **taken, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        EXPECT_EQ(task_state(taken[i]), TASK_STATE_RUNNING);
    }
    scheduler_complete_batch(scheduler, taken, count, 0);
}

static void test_by_hand(void) {
    scheduler_cpu_t *on[1];
    scheduler_lockfree_t *scheduler = make(1, on);
    task_t *taken[64];
    for (uint32_t look = 1; look < 70; look += 17) {
        EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_LOOK, look), STATUS_OK);
        for (uint32_t max = 1; max <= 64; max += 9) { // fewer than, as many as, and more than there are
            scheduler_enqueue_batch(scheduler, pointers, 28, 0);
            for (uint32_t got = 0, more = 1; more > 0; got += more) {
                more = scheduler_dequeue_batch(scheduler, taken, max, 0);
                EXPECT(more > 0 || got == 28);
                EXPECT(got > 0 || more == 0 || max < 28 || look < 28 || taken[0] == pointers[0]);
                complete_all(scheduler, taken, more);
            }
        }
    }
    scheduler_stats_t stats = scheduler_stats(scheduler);
    // Urgent ones in a later batch come first, and a request that came before a task was taken over is heard.
    jobs[40].task.priority = TASK_PRIORITY_URGENT;
    scheduler_enqueue_batch(scheduler, pointers, 8, 0);
    scheduler_enqueue_batch(scheduler, pointers + 40, 8, 0);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_LOOK, 65536), STATUS_OK);
    uint32_t got = scheduler_dequeue_batch(scheduler, taken, 64, 0);
    EXPECT_EQ(got, 16);
    complete_all(scheduler, taken, got);
    EXPECT(taken[0] == pointers[40]);
    scheduler_enqueue_batch(scheduler, pointers + 100, 8, 0);
    EXPECT_EQ(scheduler_block(scheduler, pointers[103]), STATUS_OK);
    EXPECT_EQ(scheduler_terminate(scheduler, pointers[104]), STATUS_OK);
    got = scheduler_dequeue_batch(scheduler, taken, 64, 0);
    EXPECT_EQ(got, 6);
    complete_all(scheduler, taken, got);
    EXPECT_EQ(task_state(pointers[103]), TASK_STATE_BLOCKED);
    EXPECT_EQ(task_state(pointers[104]), TASK_STATE_TERMINATED);
    EXPECT_EQ(scheduler_unblock(scheduler, pointers[103], 0), STATUS_OK);
    EXPECT_EQ(scheduler_run(on[0], 100), 1);
    end(scheduler, on, stats.finished + 16 + 8 + 1);
}

// --- producers beside who takes -----------------------------------------------------------------------------------------

enum { PRODUCERS = 3, TAKERS = 2 };
static scheduler_lockfree_t *shared;
static atomic_u32_t finished;

static void *produce(void *argument) {
    uint32_t number = (uint32_t)(uintptr_t)argument, each = TASKS / PRODUCERS;
    uint32_t at = number * each, stop = number + 1 == PRODUCERS ? TASKS : at + each;
    for (uint32_t size = 3 + number; at < stop; size = size * 5 % 67 + 1) {
        uint32_t count = size < stop - at ? size : stop - at;
        scheduler_enqueue_batch(shared, pointers + at, count, (uint8_t)(size % TAKERS));
        at += count;
    }
    return NULL;
}

static task_verdict_t count_run(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    EXPECT_EQ(atomic_fetch_add_relaxed_u32(&((job_t *)task)->runs, 1), 0);
    return TASK_DONE;
}

// One runs them, the other takes them by hand.
static void *take(void *argument) {
    uint32_t cpu = (uint32_t)(uintptr_t)argument;
    scheduler_cpu_t *on = NULL;
    task_t *taken[40];
    EXPECT_EQ(scheduler_attach(shared, cpu, &on), STATUS_OK);
    while (atomic_load_acquire_u32(&finished) < TASKS) {
        uint32_t got = 0;
        if (cpu == 0) {
            got = (uint32_t)scheduler_run(on, 100);
        } else {
            got = scheduler_dequeue_batch(shared, taken, 40, (uint8_t)cpu);
            for (uint32_t i = 0; i < got; i++) {
                scheduler_give_back(on, taken[i], taken[i]->run(taken[i], on));
            }
        }
        (void)atomic_fetch_add_relaxed_u32(&finished, got);
        if (got == 0) {
            (void)scheduler_park(on, 1000000);
        }
    }
    scheduler_kick(shared);
    scheduler_detach(on);
    return NULL;
}

static void test_threads(void) {
    scheduler_cpu_t *on[TAKERS];
    for (int round = 0; round < 20; round++) {
        shared = make(TAKERS, on);
        for (uint32_t i = 0; i < TASKS; i++) {
            jobs[i].task.run = count_run;
        }
        for (uint32_t cpu = 0; cpu < TAKERS; cpu++) {
            scheduler_detach(on[cpu]);
        }
        pthread_t threads[PRODUCERS + TAKERS];
        atomic_store_relaxed_u32(&finished, 0);
        for (uintptr_t i = 0; i < PRODUCERS + TAKERS; i++) {
            void *(*run)(void *) = i < PRODUCERS ? produce : take;
            EXPECT_EQ(pthread_create(&threads[i], NULL, run, (void *)(i < PRODUCERS ? i : i - PRODUCERS)), 0);
        }
        for (uint32_t i = 0; i < PRODUCERS + TAKERS; i++) {
            EXPECT_EQ(pthread_join(threads[i], NULL), 0);
        }
        for (uint32_t cpu = 0; cpu < TAKERS; cpu++) {
            EXPECT_EQ(scheduler_attach(shared, cpu, &on[cpu]), STATUS_OK);
        }
        end(shared, on, TASKS);
    }
}

int main(void) {
    test_order();
    test_more_than_room();
    test_masks();
    test_ids();
    test_by_hand();
    test_threads();
    printf("ok scheduler inbox\n");
    return 0;
}
