// Code that was written for the system under locks, and knows of no other.
#include <stdio.h>

#include "baseline_capability.h"
#include "baseline_scheduler.h"

enum { JOBS = 100 };

static unsigned printed, turned_away;
static const baseline_table_t *permits;

static task_verdict_t print(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    bool permitted = baseline_capability_check(permits, task->user, CAPABILITY_RIGHT_EXECUTE);
    printed += permitted ? 1 : 0;
    turned_away += permitted ? 0 : 1;
    return TASK_DONE;
}

// The permits of odd jobs are revoked before the queue is run.
static status_t spool(baseline_thread_t *seat, baseline_scheduler_t *scheduler, scheduler_cpu_t *on) {
    static task_t tasks[JOBS];
    for (unsigned i = 0; i < JOBS; i++) {
        cap_id_t permit = CAPABILITY_NONE;
        status_t status = baseline_capability_create(seat, i, CAPABILITY_RIGHT_EXECUTE, &permit);
        if (status != STATUS_OK) {
            return status;
        }
        task_init(&tasks[i], print, NULL, TASK_PRIORITY_NORMAL, NULL);
        tasks[i].user = permit;
        baseline_scheduler_spawn(on, &tasks[i]);
        if (i % 2 == 1) {
            (void)baseline_capability_revoke(seat, permit);
        }
    }
    while (baseline_scheduler_run(on, 1000) > 0) {
    }
    bool all = baseline_task_state(scheduler, &tasks[JOBS - 1]) == TASK_STATE_COMPLETED;
    return all ? STATUS_OK : STATUS_BUSY;
}

int main(void) {
    baseline_table_t *table = NULL;
    baseline_thread_t *seat = NULL;
    baseline_scheduler_t *scheduler = NULL;
    scheduler_cpu_t *on = NULL;
    if (baseline_table_create(NULL, &table) != STATUS_OK || baseline_thread_join(table, &seat) != STATUS_OK ||
        baseline_scheduler_create(NULL, &scheduler) != STATUS_OK || baseline_scheduler_attach(scheduler, 0, &on) != STATUS_OK) {
        fputs("existing_code: no memory\n", stderr);
        return 1;
    }
    permits = table;
    status_t status = spool(seat, scheduler, on);
    baseline_scheduler_detach(on);
    baseline_scheduler_destroy(scheduler);
    baseline_thread_leave(seat);
    baseline_table_destroy(table);
    printf("%u printed, %u turned away\n", printed, turned_away);
    return status == STATUS_OK && printed == JOBS / 2 && turned_away == JOBS / 2 ? 0 : 1;
}
