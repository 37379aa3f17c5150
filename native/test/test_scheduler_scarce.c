// The scheduler where memory runs out: create calls say so and leave nothing behind; enqueue, spawn and steal go on without, and no task is lost.
#include "scarce_memory.h"
#include "scheduler_bed.h"

#include <string.h>

enum { TASKS = 3000 };

static void create_says_so_at_every_allocation(void) {
    scheduler_config_t config = {.cpus = 3};
    uint64_t left = 0;
    for (bool made = false; !made; left++) {
        scheduler_lockfree_t *scheduler = NULL;
        int64_t held = memory.held;
        memory_scarce(left, true);
        status_t status = scheduler_create(&config, &scheduler);
        memory_plenty();
        made = status == STATUS_OK;
        EXPECT_EQ(status, memory.refused > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        EXPECT(made == (scheduler != NULL));
        if (made) {
            scheduler_destroy(scheduler);
        }
        EXPECT_EQ(memory.held, held);
    }
    EXPECT(left > 3 * TASK_PRIORITIES); // one for each deque
}

// An id has to wait for memory, and comes when there is some.
static void a_task_with_an_id_says_so(void) {
    int64_t held = memory.held;
    scheduler_lockfree_t *scheduler = make(1, NULL);
    task_id_t id = TASK_NONE;
    task_t *task = NULL;
    for (uint64_t left = 0; left < 2; left++) { // the room for all slots, and the first of them
        memory_scarce(left, true);
        EXPECT_EQ(scheduler_task_create(scheduler, note, NULL, TASK_PRIORITY_LOW, NULL, &id, &task), STATUS_NO_MEMORY);
        EXPECT(id == TASK_NONE && task == NULL);
    }
    memory_plenty();
    EXPECT_EQ(scheduler_task_create(scheduler, note, NULL, TASK_PRIORITY_LOW, NULL, &id, &task), STATUS_OK);
    EXPECT_EQ(scheduler_task_release(scheduler, id), STATUS_OK);
    end(scheduler);
    EXPECT_EQ(memory.held, held);
}

static uint32_t runs[TASKS];
static task_verdict_t count_run(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    runs[task->user]++;
    return TASK_DONE;
}

// S1 with deques of two places that cannot grow, from the allocation after `left` on: spawned, spawned at once, handed in; run here and stolen.
static bool nothing_is_lost(uint64_t left, bool for_good) {
    int64_t held = memory.held;
    scheduler_config_t config = {.deque_first = 2};
    scheduler_lockfree_t *scheduler = make(2, &config);
    scheduler_cpu_t *on[2] = {drive(scheduler, 0), drive(scheduler, 1)};
    task_t *tasks = tasks_of(TASKS, count_run, TASK_PRIORITY_NORMAL, NULL);
    task_t **pointers = pointers_to(tasks, TASKS);
    memset(runs, 0, sizeof runs);
    memory_scarce(left, for_good);
    for (uint32_t i = 0; i < TASKS / 3; i++) {
        tasks[i].priority = (uint8_t)(i % TASK_PRIORITIES);
        scheduler_spawn(on[i % 2], &tasks[i]);
    }
    scheduler_spawn_batch(on[0], pointers + TASKS / 3, TASKS / 3);
    scheduler_enqueue_batch(scheduler, pointers + 2 * (TASKS / 3), TASKS / 3, 0);
    uint64_t ran_all = scheduler_run(on[1], TASKS / 2);
    bool reached = memory.refused > 0;
    memory_plenty();
    ran_all += scheduler_run(on[0], TASKS) + scheduler_run(on[1], TASKS);
    EXPECT_EQ(ran_all, TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        EXPECT_EQ(runs[i], 1);
        EXPECT_EQ(task_state(&tasks[i]), TASK_STATE_COMPLETED);
    }
    scheduler_detach(on[0]);
    scheduler_detach(on[1]);
    end(scheduler);
    free(pointers);
    free(tasks);
    EXPECT_EQ(memory.held, held);
    return reached;
}

int main(void) {
    create_says_so_at_every_allocation();
    a_task_with_an_id_says_so();
    uint64_t left = 0;
    for (; nothing_is_lost(left, true) && nothing_is_lost(left, false); left++) {
    }
    EXPECT(left > 20);
    printf("ok scheduler: nothing was lost without memory, from each of %llu allocations on\n", (unsigned long long)left);
    return 0;
}
