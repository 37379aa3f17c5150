// A scheduler on nodes where memory runs out: create says so at every allocation and leaves nothing behind, and no task is lost where a
// queue cannot grow.
#include "scarce_memory.h"
#include "scheduler_numa.h"

#include <stdlib.h>

enum { TASKS = 3000 };

static scheduler_lockfree_t *try_create(scheduler_queues_t queues, status_t *status) {
    scheduler_config_t config = {.cpus = 3, .deque_first = 2};
    scheduler_numa_t numa = {.queues = queues};
    scheduler_lockfree_t *scheduler = NULL;
    *status = scheduler_create_numa(&config, &numa, &scheduler);
    EXPECT((*status == STATUS_OK) == (scheduler != NULL));
    return scheduler;
}

static uint64_t create_says_so_at_every_allocation(scheduler_queues_t queues) {
    status_t status = STATUS_NO_MEMORY;
    uint64_t left = 0;
    for (; status != STATUS_OK; left++) {
        int64_t held = memory.held;
        memory_scarce(left, true);
        scheduler_lockfree_t *scheduler = try_create(queues, &status);
        memory_plenty();
        EXPECT_EQ(status, memory.refused > 0 ? STATUS_NO_MEMORY : STATUS_OK);
        if (scheduler != NULL) {
            scheduler_destroy(scheduler);
        }
        EXPECT_EQ(memory.held, held);
    }
    return left;
}

static uint64_t ran;
static task_verdict_t count(task_t *task, scheduler_cpu_t *on) {
    (void)task, (void)on;
    ran++;
    return TASK_DONE;
}

static void no_task_is_lost_where_queues_cannot_grow(scheduler_queues_t queues) {
    status_t status = STATUS_OK;
    int64_t held = memory.held;
    scheduler_lockfree_t *scheduler = try_create(queues, &status);
    task_t *tasks = aligned_alloc(_Alignof(task_t), TASKS * sizeof *tasks);
    scheduler_cpu_t *on = NULL;
    EXPECT(tasks != NULL);
    EXPECT_EQ(scheduler_attach(scheduler, 1, &on), STATUS_OK);
    memory_scarce(0, true);
    for (uint32_t i = 0; i < TASKS; i++) {
        task_init(&tasks[i], count, NULL, TASK_PRIORITY_NORMAL, NULL);
        scheduler_spawn(on, &tasks[i]);
    }
    ran = 0;
    EXPECT_EQ(scheduler_run(on, 2 * TASKS), TASKS);
    EXPECT_EQ(ran, TASKS);
    memory_plenty();
    scheduler_detach(on);
    scheduler_destroy(scheduler);
    free(tasks);
    EXPECT_EQ(memory.held, held);
}

int main(void) {
    uint64_t asked = 0;
    for (int queues = 0; queues < SCHEDULER_QUEUES_COUNT; queues++) {
        asked += create_says_so_at_every_allocation((scheduler_queues_t)queues);
        no_task_is_lost_where_queues_cannot_grow((scheduler_queues_t)queues);
    }
    EXPECT(asked > 3 * 6); // two arrays, the scheduler, its victims; of the placed ones more
    printf("ok scheduler on nodes: nothing was lost without memory, from each of %llu allocations on\n", (unsigned long long)asked);
    return 0;
}
