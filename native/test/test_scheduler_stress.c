// Several CPUs, several producers, every kind of task at once, and an exact account of what ran.
//
//     test_scheduler_stress [rounds [seed]]      default: 6 rounds, from seed 1
//
// A hang is a lost wakeup or a lost task (S1, S3): the test's time limit tells.
#include "scheduler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

enum { CPUS = 4, PRODUCERS = 2, ROOTS = 400, CHILDREN = 3, TASKS = ROOTS * (1 + CHILDREN + CHILDREN * CHILDREN), KINDS = 6 };
enum { PLAIN, REPEATS, BLOCKS, MASKED, GOES, ASKED_FOR };

typedef struct job {
    task_t task; // first
    uint32_t index;
    uint32_t kind;
    uint32_t runs;     // written by who runs it: the scheduler orders the runs, and ThreadSanitizer looks
    uint32_t expected; // by the time it is over
    atomic_u32_t over;
} job_t;

static job_t jobs[TASKS];
static scheduler_lockfree_t *scheduler;
static atomic_u64_t over;
static atomic_u32_t finished;
static scheduler_mask_t mask;
static uint64_t seed;

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static task_verdict_t end_job(job_t *job, task_verdict_t verdict) {
    EXPECT_EQ(job->runs, job->expected);
    EXPECT_EQ(atomic_exchange_acquire_u32(&job->over, 1), 0); // S1: once
    (void)atomic_fetch_add_acq_rel_u64(&over, 1);
    return verdict;
}

static void spawn_children(job_t *job, scheduler_cpu_t *on) {
    if (job->index >= ROOTS * (1 + CHILDREN)) {
        return;
    }
    task_t *children[CHILDREN];
    for (uint32_t i = 0; i < CHILDREN; i++) {
        children[i] = &jobs[ROOTS + job->index * CHILDREN + i].task;
    }
    uint64_t way = mix(seed ^ job->index) % 3;
    if (way == 0) {
        scheduler_enqueue_batch(scheduler, children, CHILDREN, (uint8_t)(mix(job->index) % CPUS));
    } else if (way == 1) {
        scheduler_spawn_batch(on, children, CHILDREN);
    } else {
        for (uint32_t i = 0; i < CHILDREN; i++) {
            scheduler_spawn(on, children[i]);
        }
    }
}

static task_verdict_t run_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)task;
    job->runs++;
    EXPECT_EQ(task_state(task), TASK_STATE_RUNNING);
    if (job->kind == MASKED) { // S4
        EXPECT(scheduler_mask_has(&mask, scheduler_cpu_index(on)));
    }
    if (job->runs == 1) {
        spawn_children(job, on);
    }
    switch (job->kind) {
    case REPEATS: return job->runs < job->expected ? TASK_AGAIN : end_job(job, TASK_DONE);
    case BLOCKS:
        if (job->runs == job->expected) {
            return end_job(job, TASK_DONE);
        }
        // Half of them are unblocked before they block, the others by a producer afterwards.
        if ((job->index & 8) != 0) {
            EXPECT_EQ(scheduler_unblock(scheduler, task, SCHEDULER_ANY_CPU), STATUS_OK);
        }
        return TASK_BLOCK;
    case GOES: return end_job(job, TASK_GONE);
    default: return end_job(job, TASK_DONE);
    }
}

static void *worker(void *argument) {
    uint32_t cpu = (uint32_t)(uintptr_t)argument;
    scheduler_cpu_t *on = NULL;
    for (uint64_t turn = 0; !scheduler_stopped(scheduler); turn++) {
        EXPECT_EQ(scheduler_attach(scheduler, cpu, &on), STATUS_OK);
        for (int i = 0; i < 20 && !scheduler_stopped(scheduler); i++) {
            if (scheduler_run(on, 1 + mix(turn) % 50) == 0) {
                (void)scheduler_park(on, mix(seed + turn) % 2 == 0 ? SCHEDULER_FOREVER : 100000);
            }
        }
        scheduler_detach(on);
    }
    EXPECT_EQ(scheduler_attach(scheduler, cpu, &on), STATUS_OK);
    (void)scheduler_loop(on);
    scheduler_detach(on);
    return NULL;
}

static void *producer(void *argument) {
    uint32_t number = (uint32_t)(uintptr_t)argument;
    task_t *batch[32];
    for (uint32_t i = number * (ROOTS / PRODUCERS); i < (number + 1) * (ROOTS / PRODUCERS);) {
        uint32_t count = 0, most = 1 + (uint32_t)(mix(seed + i) % 32);
        for (; count < most && i < (number + 1) * (ROOTS / PRODUCERS); count++) {
            batch[count] = &jobs[i++].task;
        }
        uint32_t cpu = mix(i) % 4 == 0 ? SCHEDULER_ANY_CPU : (uint32_t)(mix(i) % CPUS);
        if (mix(seed ^ i) % 2 == 0) {
            scheduler_enqueue_batch(scheduler, batch, count, (uint8_t)cpu);
        } else {
            EXPECT_EQ(scheduler_enqueue_wide(scheduler, batch, count, cpu), STATUS_OK);
        }
    }
    for (unsigned round = 0; atomic_load_acquire_u32(&finished) == 0; round++) {
        for (uint32_t i = number; i < TASKS; i += PRODUCERS) {
            job_t *job = &jobs[i];
            task_state_t state = task_state(&job->task);
            if (job->kind == BLOCKS && state == TASK_STATE_BLOCKED) {
                EXPECT_EQ(scheduler_unblock(scheduler, &job->task, (uint32_t)(mix(i) % CPUS)), STATUS_OK);
            } else if (job->kind == ASKED_FOR && state == TASK_STATE_READY && round % 2 == 0) {
                (void)scheduler_block(scheduler, &job->task);
            } else if (job->kind == ASKED_FOR && state == TASK_STATE_BLOCKED) {
                (void)scheduler_unblock(scheduler, &job->task, SCHEDULER_ANY_CPU);
            }
        }
        spin_hint(63);
    }
    return NULL;
}

// S5, all the time.
static void *observer(void *argument) {
    (void)argument;
    while (atomic_load_acquire_u32(&finished) == 0) {
        scheduler_stats_t stats = scheduler_stats(scheduler);
        EXPECT(stats.accepted >= stats.started && stats.started >= stats.finished && stats.finished >= stats.blocked);
        spin_hint(63);
    }
    return NULL;
}

static void prepare(scheduler_deque_mode_t mode) {
    scheduler_config_t config = {.cpus = CPUS, .deque_first = 2, .mode = mode, .first_index = UINT64_MAX - 40};
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_OK);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_VICTIMS, seed % SCHEDULER_VICTIMS_COUNT), STATUS_OK);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_STEAL_MAX, 1 + mix(seed) % 64), STATUS_OK);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_PATIENCE, mix(seed) % 4), STATUS_OK);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_LOOK, 1 + mix(seed) % 64), STATUS_OK);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_SPIN, mix(seed) % 4), STATUS_OK);
    memset(&mask, 0, sizeof mask);
    scheduler_mask_add(&mask, 1);
    scheduler_mask_add(&mask, 2);
    for (uint32_t i = 0; i < TASKS; i++) {
        job_t *job = &jobs[i];
        *job = (job_t){.index = i, .kind = (uint32_t)(mix(seed * TASKS + i) % KINDS)};
        job->expected = job->kind == REPEATS ? 1 + i % 4 : job->kind == BLOCKS ? 2 + i % 2 : 1;
        task_init(&job->task, run_job, NULL, (uint8_t)(i % TASK_PRIORITIES), job->kind == MASKED ? &mask : NULL);
    }
    atomic_store_relaxed_u64(&over, 0);
    atomic_store_relaxed_u32(&finished, 0);
}

static void round_of(scheduler_deque_mode_t mode) {
    prepare(mode);
    pthread_t workers[CPUS], producers[PRODUCERS], watching;
    for (uintptr_t i = 0; i < CPUS; i++) {
        EXPECT_EQ(pthread_create(&workers[i], NULL, worker, (void *)i), 0);
    }
    for (uintptr_t i = 0; i < PRODUCERS; i++) {
        EXPECT_EQ(pthread_create(&producers[i], NULL, producer, (void *)i), 0);
    }
    EXPECT_EQ(pthread_create(&watching, NULL, observer, NULL), 0);
    while (atomic_load_acquire_u64(&over) < TASKS) {
        spin_hint(63);
    }
    atomic_store_release_u32(&finished, 1);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        EXPECT_EQ(pthread_join(producers[i], NULL), 0);
    }
    EXPECT_EQ(pthread_join(watching, NULL), 0);
    scheduler_stop(scheduler);
    for (uint32_t i = 0; i < CPUS; i++) {
        EXPECT_EQ(pthread_join(workers[i], NULL), 0);
    }
    task_t *rest = NULL;
    EXPECT_EQ(scheduler_rest(scheduler, &rest, 1), 0);
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPECT_EQ(stats.accepted, stats.started);
    EXPECT_EQ(stats.started, stats.finished);
    for (uint32_t i = 0; i < TASKS; i++) {
        EXPECT_EQ(jobs[i].runs, jobs[i].expected);
    }
    scheduler_destroy(scheduler);
}

// S3: a task that waits for the one it has spawned. Only another CPU can run that, though the first is busy.
static atomic_u32_t ran;
static task_verdict_t set_ran(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    (void)on;
    atomic_store_release_u32(&ran, 1);
    return TASK_DONE;
}
static task_verdict_t wait_ran(task_t *task, scheduler_cpu_t *on) {
    scheduler_spawn(on, task->argument);
    for (unsigned round = 0; atomic_load_acquire_u32(&ran) == 0; round++) {
        spin_hint(round);
    }
    scheduler_stop(scheduler_of(on));
    return TASK_DONE;
}

static void test_busy(scheduler_deque_mode_t mode) {
    scheduler_config_t config = {.cpus = 2, .mode = mode};
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_OK);
    task_t first, second;
    task_init(&second, set_ran, NULL, TASK_PRIORITY_LOW, NULL);
    task_init(&first, wait_ran, &second, TASK_PRIORITY_LOW, NULL);
    task_t *one = &first;
    atomic_store_relaxed_u32(&ran, 0);
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, worker, (void *)i), 0);
    }
    scheduler_enqueue_batch(scheduler, &one, 1, 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    EXPECT_EQ(task_state(&first), TASK_STATE_COMPLETED);
    EXPECT_EQ(task_state(&second), TASK_STATE_COMPLETED);
    scheduler_destroy(scheduler);
}

int main(int count, char **arguments) {
    uint64_t rounds = count > 1 ? strtoull(arguments[1], NULL, 10) : 6;
    seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    for (uint64_t round = 0; round < rounds; round++, seed++) {
        scheduler_deque_mode_t mode = round % 2 == 0 ? SCHEDULER_DEQUE_AUTO : SCHEDULER_DEQUE_FENCED;
        round_of(mode);
        test_busy(mode);
    }
    printf("ok scheduler stress\n");
    return 0;
}
