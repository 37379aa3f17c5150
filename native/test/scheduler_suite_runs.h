// S1 and the verdicts of run functions, for scheduler_suite.h.
#pragma once

#include "scheduler_yard.h"

static void every_task_of_every_batch_runs_once(yard_t *yard) {
    enum { COUNT = 3000 };
    static job_t jobs[COUNT];
    static task_t *tasks[COUNT];
    jobs_make(yard, jobs, tasks, COUNT);
    unsigned given = 0;
    for (unsigned size = 0; given < COUNT; size = (size * 2 + 1) % 509) {
        unsigned count = size < COUNT - given ? size : COUNT - given;
        EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks + given, count, size % SUITE_CPUS), STATUS_OK);
        given += count;
    }
    EXPECT_EQ(yard->ops->run(yard->on[0], 1), 1); // has taken over what was handed in there, and kept it
    EXPECT(yard->ops->queued(yard->scheduler) > 0 && yard->ops->queued(yard->scheduler) < COUNT);
    EXPECT_EQ(run_all(yard), COUNT - 1);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].runs, 1);
        EXPECT_EQ(state_of(yard, &jobs[i]), TASK_STATE_COMPLETED);
    }
    yard->ops->enqueue_batch(yard->scheduler, tasks, COUNT, 2); // the same tasks again, by the narrow form
    yard->ops->enqueue_batch(yard->scheduler, tasks, 0, 2);
    EXPECT_EQ(run_all(yard), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].runs, 2);
    }
}

static task_verdict_t run_tree(task_t *task, scheduler_cpu_t *on) {
    job_t *jobs = task->argument;
    yard_t *yard = jobs[0].yard;
    uint64_t at = task->user;
    atomic_fetch_add(&jobs[at].runs, 1);
    for (uint64_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
        if (jobs[child].yard != NULL) {
            yard->ops->spawn(on, &jobs[child].task);
        }
    }
    return TASK_DONE;
}

enum { TREE = 4095 };
static job_t tree[2 * TREE + 3]; // behind the last are those that are none

static void tree_make(yard_t *yard) {
    memset(tree, 0, sizeof tree);
    for (unsigned i = 0; i < TREE; i++) {
        task_init(&tree[i].task, run_tree, tree, TASK_PRIORITY_NORMAL, NULL);
        tree[i].task.user = i;
        tree[i].yard = yard;
    }
}

static void what_tasks_spawn_runs_once(yard_t *yard) {
    tree_make(yard);
    enqueue_one(yard, &tree[0], 1);
    EXPECT_EQ(run_all(yard), TREE);
    for (unsigned i = 0; i < TREE; i++) {
        EXPECT_EQ(tree[i].runs, 1);
    }
}

static void a_task_that_says_again_runs_again_behind_the_others(yard_t *yard) {
    job_t first, second;
    job_make(yard, &first, TASK_PRIORITY_NORMAL, NULL);
    job_make(yard, &second, TASK_PRIORITY_NORMAL, NULL);
    first.verdict = TASK_AGAIN;
    enqueue_one(yard, &first, 0);
    EXPECT_EQ(yard->ops->run(yard->on[0], 1), 1);
    EXPECT_EQ(state_of(yard, &first), TASK_STATE_READY);
    enqueue_one(yard, &second, 0);
    EXPECT_EQ(run_all(yard), 2);
    EXPECT_EQ(first.runs, 2);
    EXPECT_EQ(second.runs, 1);
}

static task_verdict_t run_and_free(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    (*(unsigned *)task->argument)++;
    free(task);
    return TASK_GONE;
}

static void a_task_that_is_gone_is_not_touched_again(yard_t *yard) {
    unsigned runs = 0;
    for (unsigned i = 0; i < 100; i++) {
        task_t *task = aligned_alloc(_Alignof(task_t), sizeof *task);
        EXPECT(task != NULL);
        task_init(task, run_and_free, &runs, TASK_PRIORITY_NORMAL, NULL);
        EXPECT_EQ(yard->ops->enqueue(yard->scheduler, &task, 1, i % SUITE_CPUS), STATUS_OK);
    }
    EXPECT_EQ(run_all(yard), 100);
    EXPECT_EQ(runs, 100);
}

static void what_is_left_at_the_end_is_handed_out(yard_t *yard) {
    enum { COUNT = 500 };
    static job_t jobs[COUNT];
    static task_t *tasks[COUNT], *left[COUNT + 1];
    jobs_make(yard, jobs, tasks, COUNT);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks, COUNT / 2, 0), STATUS_OK);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks + COUNT / 2, COUNT / 2, 3), STATUS_OK);
    run_on(yard, 1, 100); // some of it in the queues of a thief
    for (unsigned cpu = 0; cpu < SUITE_CPUS; cpu++) {
        yard->ops->detach(yard->on[cpu]);
        yard->on[cpu] = NULL;
    }
    unsigned count = 0, got = 0;
    while ((got = yard->ops->rest(yard->scheduler, left + count, count + 77 < COUNT ? 77 : COUNT + 1 - count)) > 0) {
        count += got;
    }
    EXPECT_EQ(count, COUNT - 100);
    unsigned ran = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        ran += jobs[i].runs;
        EXPECT_EQ(state_of(yard, &jobs[i]), jobs[i].runs == 1 ? TASK_STATE_COMPLETED : TASK_STATE_NEW);
    }
    EXPECT_EQ(ran, 100);
}

static void tasks_are_taken_and_completed_by_hand(yard_t *yard) {
    enum { COUNT = 100 };
    static job_t jobs[COUNT];
    static task_t *tasks[COUNT], *taken[COUNT + 1];
    jobs_make(yard, jobs, tasks, COUNT);
    EXPECT_EQ(yard->ops->enqueue(yard->scheduler, tasks, COUNT, 1), STATUS_OK);
    unsigned count = 0, got = 0;
    while ((got = yard->ops->dequeue(yard->scheduler, taken + count, COUNT + 1 - count, count % SUITE_CPUS)) > 0) {
        for (unsigned i = count; i < count + got; i++) {
            EXPECT_EQ(yard->ops->task_state(yard->scheduler, taken[i]), TASK_STATE_RUNNING);
            ((job_t *)taken[i]->argument)->runs++;
        }
        yard->ops->complete(yard->scheduler, taken + count, got - 1, count % SUITE_CPUS);
        yard->ops->give_back(yard->on[count % SUITE_CPUS], taken[count + got - 1], TASK_DONE);
        count += got;
    }
    EXPECT_EQ(count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].runs, 1);
        EXPECT_EQ(state_of(yard, &jobs[i]), TASK_STATE_COMPLETED);
    }
}
