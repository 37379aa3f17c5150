// States of tasks, and tasks with ids, case by case, in one thread.
#include "scheduler_bed.h"

// States: again, block and unblock in every order, terminate.
static uint32_t times;
static task_verdict_t verdict_next;
static task_verdict_t as_told(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    (void)on;
    times++;
    return verdict_next;
}

static void test_states(void) {
    scheduler_lockfree_t *scheduler = make(1, NULL);
    scheduler_cpu_t *on = drive(scheduler, 0);
    task_t task;
    task_init(&task, as_told, NULL, TASK_PRIORITY_NORMAL, NULL);
    task_t *one = &task;
    times = 0;
    verdict_next = TASK_AGAIN;
    scheduler_spawn(on, &task);
    EXPECT_EQ(scheduler_run(on, 5), 5);
    EXPECT_EQ(task_state(&task), TASK_STATE_READY);
    verdict_next = TASK_BLOCK;
    EXPECT_EQ(scheduler_run(on, 5), 1);
    EXPECT_EQ(task_state(&task), TASK_STATE_BLOCKED);
    EXPECT_EQ(scheduler_run(on, 5), 0); // S2
    EXPECT_EQ(scheduler_block(scheduler, &task), STATUS_OK);
    EXPECT_EQ(scheduler_unblock(scheduler, &task, SCHEDULER_ANY_CPU), STATUS_OK);
    EXPECT_EQ(task_state(&task), TASK_STATE_READY);
    EXPECT_EQ(scheduler_unblock(scheduler, &task, 0), STATUS_OK); // remembered, once
    EXPECT_EQ(scheduler_unblock(scheduler, &task, 0), STATUS_OK);
    EXPECT_EQ(scheduler_run(on, 5), 2);
    EXPECT_EQ(task_state(&task), TASK_STATE_BLOCKED);
    EXPECT_EQ(times, 8);
    // a request finds it before it starts
    EXPECT_EQ(scheduler_unblock(scheduler, &task, 0), STATUS_OK);
    EXPECT_EQ(scheduler_block(scheduler, &task), STATUS_OK);
    EXPECT_EQ(scheduler_run(on, 5), 0);
    EXPECT_EQ(task_state(&task), TASK_STATE_BLOCKED);
    // and is taken back
    EXPECT_EQ(scheduler_unblock(scheduler, &task, 0), STATUS_OK);
    EXPECT_EQ(scheduler_block(scheduler, &task), STATUS_OK);
    EXPECT_EQ(scheduler_unblock(scheduler, &task, 0), STATUS_OK);
    verdict_next = TASK_DONE;
    EXPECT_EQ(scheduler_run(on, 5), 1);
    EXPECT_EQ(task_state(&task), TASK_STATE_COMPLETED);
    EXPECT_EQ(scheduler_block(scheduler, &task), STATUS_STALE);
    EXPECT_EQ(scheduler_unblock(scheduler, &task, 0), STATUS_STALE);
    EXPECT_EQ(scheduler_terminate(scheduler, &task), STATUS_STALE);
    // terminated: queued, and blocked
    scheduler_enqueue_batch(scheduler, &one, 1, 0);
    EXPECT_EQ(scheduler_terminate(scheduler, &task), STATUS_OK);
    EXPECT_EQ(scheduler_run(on, 5), 0);
    EXPECT_EQ(task_state(&task), TASK_STATE_TERMINATED);
    task_init(&task, as_told, NULL, TASK_PRIORITY_NORMAL, NULL);
    verdict_next = TASK_BLOCK;
    scheduler_spawn(on, &task);
    EXPECT_EQ(scheduler_run(on, 5), 1);
    EXPECT_EQ(scheduler_terminate(scheduler, &task), STATUS_OK);
    EXPECT_EQ(task_state(&task), TASK_STATE_TERMINATED);
    EXPECT_EQ(times, 10);
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPECT_EQ(stats.blocked, 4);
    scheduler_detach(on);
    end(scheduler);
}

static void test_ids(void) {
    scheduler_lockfree_t *scheduler = make(1, NULL);
    scheduler_cpu_t *on = drive(scheduler, 0);
    task_id_t id = TASK_NONE, first = TASK_NONE;
    task_t *task = NULL;
    task_state_t state = TASK_STATE_NEW;
    EXPECT_EQ(scheduler_state_of(scheduler, 12345, &state), STATUS_STALE);
    verdict_next = TASK_DONE;
    for (uint32_t i = 0; i < 10000; i++) { // a slot is used again, an id is not
        EXPECT_EQ(scheduler_task_create(scheduler, as_told, NULL, TASK_PRIORITY_HIGH, NULL, &id, &task), STATUS_OK);
        EXPECT_EQ(scheduler_id_of(task), id);
        EXPECT(id != first && id != TASK_NONE);
        first = i == 0 ? id : first;
        EXPECT_EQ(scheduler_state_of(scheduler, id, &state), STATUS_OK);
        EXPECT_EQ(state, TASK_STATE_NEW);
        scheduler_spawn(on, task);
        EXPECT_EQ(scheduler_task_release(scheduler, id), STATUS_BUSY);
        EXPECT_EQ(scheduler_run(on, 10), 1);
        EXPECT_EQ(scheduler_state_of(scheduler, id, &state), STATUS_OK);
        EXPECT_EQ(state, TASK_STATE_COMPLETED);
        EXPECT_EQ(scheduler_task_release(scheduler, id), STATUS_OK);
        EXPECT_EQ(scheduler_task_release(scheduler, id), STATUS_STALE);
        EXPECT_EQ(scheduler_unblock_id(scheduler, id, 0), STATUS_STALE);
        EXPECT_EQ(scheduler_block_id(scheduler, first), STATUS_STALE);
        EXPECT_EQ(scheduler_terminate_id(scheduler, first), STATUS_STALE);
        EXPECT_EQ(scheduler_state_of(scheduler, first, &state), STATUS_STALE);
    }
    EXPECT_EQ(first & 0x3fffff, id & 0x3fffff);
    verdict_next = TASK_BLOCK;
    EXPECT_EQ(scheduler_task_create(scheduler, as_told, NULL, TASK_PRIORITY_HIGH, NULL, &id, &task), STATUS_OK);
    scheduler_spawn(on, task);
    EXPECT_EQ(scheduler_run(on, 10), 1);
    EXPECT_EQ(scheduler_state_of(scheduler, id, &state), STATUS_OK);
    EXPECT_EQ(state, TASK_STATE_BLOCKED);
    EXPECT_EQ(scheduler_unblock_id(scheduler, id, 0), STATUS_OK);
    EXPECT_EQ(scheduler_block_id(scheduler, id), STATUS_OK);
    EXPECT_EQ(scheduler_terminate_id(scheduler, id), STATUS_OK);
    EXPECT_EQ(scheduler_run(on, 10), 0);
    EXPECT_EQ(scheduler_task_release(scheduler, id), STATUS_OK);
    EXPECT_EQ(scheduler_task_create(scheduler, NULL, NULL, 0, NULL, &id, &task), STATUS_INVALID);
    EXPECT_EQ(scheduler_task_create(scheduler, as_told, NULL, TASK_PRIORITIES, NULL, &id, &task), STATUS_INVALID);
    scheduler_detach(on);
    end(scheduler);
}

// A slot whose generations are used up is left alone, and its last id stays stale.
static void test_last_generation(void) {
    scheduler_config_t config = {.first_generation = ((uint64_t)1 << 42) - 2};
    scheduler_lockfree_t *scheduler = make(1, &config);
    task_id_t ids[4];
    task_t *task = NULL;
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(scheduler_task_create(scheduler, as_told, NULL, 0, NULL, &ids[i], &task), STATUS_OK);
        EXPECT_EQ(scheduler_task_release(scheduler, ids[i]), STATUS_OK);
        for (int j = 0; j <= i; j++) {
            EXPECT_EQ(scheduler_block_id(scheduler, ids[j]), STATUS_STALE);
            EXPECT(j == i || ids[j] != ids[i]);
        }
    }
    EXPECT((ids[1] & 0x3fffff) == (ids[0] & 0x3fffff) && (ids[2] & 0x3fffff) != (ids[0] & 0x3fffff));
    scheduler_destroy(scheduler);
}

int main(void) {
    test_states();
    test_ids();
    test_last_generation();
    printf("ok scheduler states\n");
    return 0;
}
