// S3, case by case, in one thread that drives two CPUs: what an idle one does about work that another keeps to itself.
#include "scheduler_bed.h"

// A busy CPU keeps its only task. Another, which runs and parks by turns, finds after many looks that it is stuck, and asks for it. From then
// on it does not sleep between two looks, or the patience that it has in looks would be so many times SCHEDULER_RELOOK_NS.
static void test_who_has_asked_does_not_sleep(scheduler_deque_mode_t mode) {
    enum { ROUNDS = 1000 };
    scheduler_config_t config = {.mode = mode};
    scheduler_lockfree_t *scheduler = make(2, &config);
    scheduler_cpu_t *busy = drive(scheduler, 0), *idle = drive(scheduler, 1);
    task_t *task = tasks_of(1, note, TASK_PRIORITY_NORMAL, NULL);
    scheduler_spawn(busy, task);
    uint64_t ran_there = 0;
    int rounds = 0;
    for (int i = 0; i < 66; i++) { // longer than it takes to be taken for stuck, shorter than patience lasts after that
        ran_there += scheduler_run(idle, 1);
    }
    EXPECT_EQ(ran_there, 0);
    for (; ran_there == 0 && rounds < ROUNDS; rounds++) {
        ran_there += scheduler_run(idle, 1);
        EXPECT(ran_there != 0 || scheduler_park(idle, SCHEDULER_FOREVER));
    }
    EXPECT_EQ(ran_there, 1);
    EXPECT_EQ(scheduler_stats(scheduler).parks, 0);
    EXPECT_EQ(scheduler_stats(scheduler).forced, 1);
    // with nothing asked for it sleeps again, to the end of the time
    EXPECT(!scheduler_park(idle, 1));
    scheduler_detach(busy);
    scheduler_detach(idle);
    end(scheduler);
    free(task);
}

int main(void) {
    test_who_has_asked_does_not_sleep(SCHEDULER_DEQUE_AUTO);
    test_who_has_asked_does_not_sleep(SCHEDULER_DEQUE_FENCED);
    printf("ok scheduler idle\n");
    return 0;
}
