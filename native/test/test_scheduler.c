// The contract of scheduler.h, case by case, mostly in one thread: it drives several CPUs by turns.
#include "scheduler_bed.h"

#include <string.h>

static void test_batch(void) {
    scheduler_lockfree_t *scheduler = make(2, NULL);
    scheduler_cpu_t *on = drive(scheduler, 0);
    task_t *tasks = tasks_of(1000, note, TASK_PRIORITY_NORMAL, NULL);
    task_t **pointers = pointers_to(tasks, 1000);
    ran = 0;
    EXPECT_EQ(task_state(&tasks[0]), TASK_STATE_NEW);
    scheduler_enqueue_batch(scheduler, pointers, 0, 0);
    scheduler_enqueue_batch(scheduler, pointers, 40, 0);
    EXPECT(task_state(&tasks[39]) <= TASK_STATE_READY); // NEW until somebody has taken it over
    scheduler_enqueue_batch(scheduler, pointers + 40, 960, 1); // nobody drives it: stolen
    EXPECT_EQ(scheduler_run(on, 10), 10);
    EXPECT_EQ(scheduler_run(on, 100000), 990);
    EXPECT_EQ(scheduler_run(on, 5), 0);
    EXPECT_EQ(ran, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        EXPECT_EQ(task_state(&tasks[i]), TASK_STATE_COMPLETED);
    }
    EXPECT_EQ(scheduler_enqueue_wide(scheduler, pointers, 1, 2), STATUS_INVALID);
    EXPECT_EQ(scheduler_enqueue_wide(scheduler, pointers, 3, SCHEDULER_ANY_CPU), STATUS_OK); // again, for ever
    EXPECT_EQ(scheduler_run(on, 100), 3);
    scheduler_detach(on);
    end(scheduler);
    free(pointers);
    free(tasks);
}

static void test_order_of_a_batch(void) {
    scheduler_lockfree_t *scheduler = make(1, NULL);
    scheduler_cpu_t *on = drive(scheduler, 0);
    task_t *tasks = tasks_of(32, note, TASK_PRIORITY_NORMAL, NULL);
    task_t **pointers = pointers_to(tasks, 32);
    ran = 0;
    scheduler_enqueue_batch(scheduler, pointers, 16, 0);
    scheduler_enqueue_batch(scheduler, pointers + 16, 16, 0);
    EXPECT_EQ(scheduler_run(on, 100), 32);
    for (uint32_t i = 0; i < 32; i++) { // first come, first served: but for the one that is given to the oldest
        EXPECT_EQ(order[i], i);
    }
    scheduler_detach(on);
    end(scheduler);
    free(pointers);
    free(tasks);
}

// S4: of what is queued on one CPU, the urgent first; and none starves.
static void test_priorities(void) {
    scheduler_lockfree_t *scheduler = make(1, NULL);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_LOOK, 10), STATUS_OK);
    scheduler_cpu_t *on = drive(scheduler, 0);
    task_t *tasks = tasks_of(400, note, TASK_PRIORITY_LOW, NULL);
    task_t **pointers = pointers_to(tasks, 400);
    for (uint32_t i = 200; i < 400; i++) {
        tasks[i].priority = TASK_PRIORITY_URGENT;
    }
    ran = 0;
    scheduler_enqueue_batch(scheduler, pointers, 400, 0);
    EXPECT_EQ(scheduler_run(on, 1000), 400);
    uint32_t low = 0, urgent = 0;
    for (uint32_t i = 0; urgent < 200; i++) {
        low += order[i] < 200;
        urgent += order[i] >= 200;
    }
    EXPECT(low >= 200 / 10 && low <= 200 / 9 + 2); // one in ten
    scheduler_detach(on);
    end(scheduler);
    free(pointers);
    free(tasks);
}

// S4: a task runs on CPUs of its mask alone, also where another is idle.
static uint32_t where[64];
static task_verdict_t note_where(task_t *task, scheduler_cpu_t *on) {
    where[task->user] = scheduler_cpu_index(on);
    return TASK_DONE;
}

static void test_affinity(void) {
    scheduler_lockfree_t *scheduler = make(3, NULL);
    scheduler_cpu_t *on[3] = {drive(scheduler, 0), drive(scheduler, 1), drive(scheduler, 2)};
    scheduler_mask_t two = {{0}}, outside = {{0}};
    scheduler_mask_add(&two, 1);
    scheduler_mask_add(&two, 2);
    scheduler_mask_add(&outside, 7);
    task_t *tasks = tasks_of(64, note_where, TASK_PRIORITY_HIGH, &two);
    task_t **pointers = pointers_to(tasks, 64);
    EXPECT_EQ(scheduler_enqueue_wide(scheduler, pointers, 64, 0), STATUS_OK);
    EXPECT_EQ(scheduler_run(on[0], 100), 0);
    EXPECT_EQ(scheduler_run(on[2], 100), 64); // meant for 1 maybe, which has not looked
    for (uint32_t i = 0; i < 64; i++) {
        EXPECT_EQ(where[i], 2);
    }
    tasks[5].mask = &outside;
    EXPECT_EQ(scheduler_enqueue_wide(scheduler, pointers, 64, 0), STATUS_INVALID);
    tasks[5].mask = &two;
    tasks[5].priority = TASK_PRIORITIES;
    EXPECT_EQ(scheduler_enqueue_wide(scheduler, pointers, 64, 0), STATUS_INVALID);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(scheduler_run(on[i], 100), 0);
        scheduler_detach(on[i]);
    }
    end(scheduler);
    free(pointers);
    free(tasks);
}

static void test_by_hand_and_rest(void) {
    scheduler_lockfree_t *scheduler = make(2, NULL);
    scheduler_cpu_t *on = drive(scheduler, 1);
    task_t *tasks = tasks_of(100, note, TASK_PRIORITY_NORMAL, NULL);
    task_t **pointers = pointers_to(tasks, 100);
    task_t *taken[100];
    scheduler_enqueue_batch(scheduler, pointers, 100, 1);
    EXPECT_EQ(scheduler_dequeue_batch(scheduler, taken, 30, 1), 30);
    for (int i = 0; i < 30; i++) {
        EXPECT_EQ(task_state(taken[i]), TASK_STATE_RUNNING);
    }
    scheduler_complete_batch(scheduler, taken, 28, 1);
    scheduler_give_back(on, taken[28], TASK_AGAIN);
    scheduler_give_back(on, taken[29], TASK_BLOCK);
    EXPECT_EQ(task_state(taken[27]), TASK_STATE_COMPLETED);
    EXPECT_EQ(task_state(taken[28]), TASK_STATE_READY);
    EXPECT_EQ(scheduler_unblock(scheduler, taken[29], 0), STATUS_OK);
    scheduler_stop(scheduler);
    scheduler_detach(on);
    uint32_t rest = 0; // at shutdown none is lost
    for (uint32_t got = 1; got > 0; rest += got) {
        got = scheduler_rest(scheduler, taken, 7);
        for (uint32_t i = 0; i < got; i++) {
            EXPECT_EQ(task_state(taken[i]), TASK_STATE_NEW);
        }
    }
    EXPECT_EQ(rest, 72);
    scheduler_destroy(scheduler);
    free(pointers);
    free(tasks);
}

static void test_bad_input(void) {
    scheduler_lockfree_t *scheduler = NULL;
    scheduler_cpu_t *on = NULL, *other = NULL;
    scheduler_config_t config = {.cpus = 0};
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_INVALID);
    config.cpus = SCHEDULER_MAX_CPUS + 1;
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_INVALID);
    EXPECT_EQ(scheduler_create(NULL, &scheduler), STATUS_OK);
    EXPECT_EQ(scheduler_attach(scheduler, 1, &on), STATUS_INVALID);
    EXPECT_EQ(scheduler_attach(scheduler, 0, &on), STATUS_OK);
    EXPECT_EQ(scheduler_attach(scheduler, 0, &other), STATUS_BUSY);
    for (scheduler_knob_t knob = 0; knob < SCHEDULER_KNOBS; knob++) {
        uint64_t least = 0, most = 0, standard = 0;
        scheduler_knob_bounds(knob, &least, &most, &standard);
        EXPECT_EQ(scheduler_get(scheduler, knob), standard);
        EXPECT_EQ(scheduler_set(scheduler, knob, most + 1), STATUS_INVALID);
        EXPECT_EQ(scheduler_set(scheduler, knob, most), STATUS_OK);
        EXPECT_EQ(scheduler_get(scheduler, knob), most);
        EXPECT(strcmp(scheduler_knob_name(knob), "unknown") != 0);
    }
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_KNOBS, 1), STATUS_INVALID);
    EXPECT(!scheduler_park(on, 1000));
    EXPECT(scheduler_park(on, 0) == false);
    scheduler_kick(scheduler);
    EXPECT(scheduler_park(on, SCHEDULER_FOREVER));
    scheduler_detach(on);
    EXPECT_EQ(scheduler_attach(scheduler, 0, &on), STATUS_OK);
    scheduler_stop(scheduler);
    EXPECT(scheduler_park(on, SCHEDULER_FOREVER));
    EXPECT_EQ(scheduler_loop(on), 0);
    scheduler_detach(on);
    end(scheduler);
}

static void test_many_cpus(void) {
    static uint16_t node_of[SCHEDULER_MAX_CPUS];
    static const uint8_t distances[16] = {10, 21, 31, 41, 21, 10, 21, 31, 31, 21, 10, 21, 41, 31, 21, 10};
    for (uint32_t i = 0; i < SCHEDULER_MAX_CPUS; i++) {
        node_of[i] = (uint16_t)(i % 4);
    }
    scheduler_config_t config = {.node_of = node_of, .node_distance = distances, .nodes = 4, .deque_first = 2};
    scheduler_lockfree_t *scheduler = make(SCHEDULER_MAX_CPUS, &config);
    scheduler_cpu_t *on = drive(scheduler, SCHEDULER_MAX_CPUS - 1);
    task_t *tasks = tasks_of(SCHEDULER_MAX_CPUS, note, TASK_PRIORITY_NORMAL, NULL);
    for (uint32_t i = 0; i < SCHEDULER_MAX_CPUS; i++) {
        task_t *task = &tasks[i];
        EXPECT_EQ(scheduler_enqueue_wide(scheduler, &task, 1, i), STATUS_OK);
    }
    ran = 0;
    EXPECT_EQ(scheduler_run(on, 100000), SCHEDULER_MAX_CPUS);
    EXPECT_EQ(order[0], SCHEDULER_MAX_CPUS - 1); // its own first
    for (uint32_t i = 1; i < SCHEDULER_MAX_CPUS; i++) { // then nearest first
        static const uint32_t rank[4] = {3, 2, 1, 0};
        EXPECT(i == 1 || rank[order[i - 1] % 4] <= rank[order[i] % 4]);
    }
    scheduler_detach(on);
    end(scheduler);
    free(tasks);
    node_of[0] = 4;
    config.cpus = SCHEDULER_MAX_CPUS;
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_INVALID);
}

static task_verdict_t charge(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    uint64_t room = scheduler_room(on);
    scheduler_charge(on, 10);
    EXPECT_EQ(scheduler_room(on), room < 10 ? 0 : room - 10);
    EXPECT(!scheduler_quantum_over(on));
    return TASK_AGAIN;
}

static void test_budget(void) {
    scheduler_lockfree_t *scheduler = make(1, NULL);
    scheduler_cpu_t *on = drive(scheduler, 0);
    EXPECT_EQ(scheduler_set(scheduler, SCHEDULER_QUANTUM_NS, 10000000000u), STATUS_OK);
    task_t task;
    task_init(&task, charge, NULL, TASK_PRIORITY_NORMAL, NULL);
    scheduler_spawn(on, &task);
    EXPECT_EQ(scheduler_run(on, 25), 25); // three runs, that charge ten each
    task_t *taken[2];
    EXPECT_EQ(scheduler_dequeue_wide(scheduler, taken, 2, 0), 1);
    scheduler_complete_wide(scheduler, taken, 1, 0);
    scheduler_detach(on);
    end(scheduler);
}

// However few tasks each call may run, one in SCHEDULER_LOOK starts is given to the lowest priority, and no more.
static void test_shares_of_priorities_one_at_a_time(void) {
    enum { EACH = 1280 };
    scheduler_lockfree_t *scheduler = make(1, NULL);
    scheduler_cpu_t *on = drive(scheduler, 0);
    task_t *high = tasks_of(EACH, note, TASK_PRIORITY_HIGH, NULL);
    task_t *low = tasks_of(EACH, note, TASK_PRIORITY_LOW, NULL);
    for (uint32_t i = 0; i < EACH; i++) {
        scheduler_spawn(on, &low[i]);
        scheduler_spawn(on, &high[i]);
    }
    for (uint32_t started = 0; started < EACH; started += 2) {
        EXPECT_EQ(scheduler_run(on, 1), 1);
        EXPECT_EQ(scheduler_run(on, 1), 1);
    }
    uint64_t lows = 0;
    for (uint32_t i = 0; i < EACH; i++) {
        lows += task_state(&low[i]) == TASK_STATE_COMPLETED;
    }
    uint64_t look = scheduler_get(scheduler, SCHEDULER_LOOK);
    EXPECT(lows >= EACH / look - 1 && lows <= EACH / look + 1);
    while (scheduler_run(on, 3) != 0) {
    }
    scheduler_detach(on);
    end(scheduler);
    free(high);
    free(low);
}

static void test_collected(void) {
    scheduler_lockfree_t *scheduler = make(1, NULL);
    scheduler_cpu_t *on = drive(scheduler, 0);
    task_t *tasks = tasks_of(100, note, TASK_PRIORITY_NORMAL, NULL);
    scheduler_batch_t batch = scheduler_batch_for(scheduler, SCHEDULER_ANY_CPU);
    EXPECT_EQ(scheduler_batch_flush(&batch), STATUS_OK);
    for (uint32_t i = 0; i < 100; i++) {
        scheduler_prefetch(&tasks[i]);
        EXPECT_EQ(scheduler_batch_add(&batch, &tasks[i]), STATUS_OK);
    }
    EXPECT_EQ(scheduler_run(on, 1000), 96);
    EXPECT_EQ(scheduler_batch_flush(&batch), STATUS_OK);
    EXPECT_EQ(scheduler_run(on, 1000), 4);
    batch.cpu = 7;
    for (uint32_t i = 0; i < SCHEDULER_BATCH; i++) {
        EXPECT_EQ(scheduler_batch_add(&batch, &tasks[i]), STATUS_OK);
    }
    EXPECT_EQ(scheduler_batch_add(&batch, &tasks[99]), STATUS_INVALID);
    EXPECT_EQ(batch.count, SCHEDULER_BATCH);
    scheduler_detach(on);
    end(scheduler);
    free(tasks);
}

int main(void) {
    test_batch();
    test_order_of_a_batch();
    test_priorities();
    test_affinity();
    test_by_hand_and_rest();
    test_bad_input();
    test_many_cpus();
    test_budget();
    test_collected();
    test_shares_of_priorities_one_at_a_time();
    printf("ok scheduler\n");
    return 0;
}
