// What the tests of the whole system stand on: a table, a scheduler of four CPUs, a seat at the table for each CPU and one for
// the test's own thread.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "expect.h"
#include "guarded_task.h"
#include "system_ops.h"

#define READ CAPABILITY_RIGHT_READ
#define WRITE CAPABILITY_RIGHT_WRITE
#define EXECUTE CAPABILITY_RIGHT_EXECUTE
#define DELEGATE CAPABILITY_RIGHT_DELEGATE

enum { YARD_CPUS = 4 };

typedef struct yard {
    const capability_ops_t *caps;
    const scheduler_ops_t *work;
    void *table;
    void *scheduler;
    void *self;             // the test's own seat
    void *seats[YARD_CPUS]; // used by the thread that drives that CPU
    scheduler_cpu_t *on[YARD_CPUS];
    guarded_gate_t gate;
} yard_t;

static yard_t *yard; // of the test that runs

static void yard_make(yard_t *made, const system_ops_t *system, uint64_t capacity) {
    *made = (yard_t){.caps = system->capability, .work = system->scheduler};
    capability_config_t table = {.capacity = capacity};
    scheduler_config_t cpus = {.cpus = YARD_CPUS};
    EXPECT_EQ(made->caps->table_create(&table, &made->table), STATUS_OK);
    EXPECT_EQ(made->work->create(&cpus, &made->scheduler), STATUS_OK);
    EXPECT_EQ(made->caps->thread_join(made->table, &made->self), STATUS_OK);
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        EXPECT_EQ(made->caps->thread_join(made->table, &made->seats[cpu]), STATUS_OK);
    }
    made->gate = (guarded_gate_t){.check = made->caps->check, .table = made->table};
    yard = made;
}

// The test's own thread drives all CPUs.
static inline void yard_attach(void) {
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        EXPECT_EQ(yard->work->attach(yard->scheduler, cpu, &yard->on[cpu]), STATUS_OK);
    }
}

// C5, S1, S5 and S6 hold at the end of everything: counts balance, and nothing is left in either part.
static void yard_end(void) {
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        if (yard->on[cpu] != NULL) {
            yard->work->detach(yard->on[cpu]);
        }
        yard->caps->thread_leave(yard->seats[cpu]);
    }
    task_t *rest = NULL;
    EXPECT_EQ(yard->work->rest(yard->scheduler, &rest, 1), 0);
    scheduler_stats_t runs = yard->work->stats(yard->scheduler);
    EXPECT_EQ(runs.accepted, runs.started);
    EXPECT_EQ(runs.started, runs.finished);
    yard->caps->settle(yard->self);
    capability_audit_t audit = yard->caps->audit(yard->table);
    capability_stats_t stats = yard->caps->stats(yard->table);
    EXPECT_EQ(stats.created, audit.live + stats.deleted);
    EXPECT_EQ(audit.slots, audit.live + audit.free + audit.retired + audit.linked + audit.worn);
    EXPECT_EQ(audit.orphans + audit.excesses, 0);
    yard->caps->thread_leave(yard->self);
    yard->work->destroy(yard->scheduler);
    yard->caps->table_destroy(yard->table);
    yard = NULL;
}

// Every CPU in turn, until none finds anything.
static inline uint64_t yard_run(void) {
    uint64_t ran = 0, now = 0;
    do {
        now = 0;
        for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
            now += yard->work->run(yard->on[cpu], 1000);
        }
        ran += now;
    } while (now > 0);
    return ran;
}

// Exactly `count` on one CPU. A thief may have to look several times before it takes what lies with a CPU that nobody drives.
static inline void yard_run_on(uint32_t cpu, uint64_t count) {
    uint64_t ran = 0;
    for (unsigned looks = 0; ran < count && looks < 100000; looks++) {
        ran += yard->work->run(yard->on[cpu], count - ran);
    }
    EXPECT_EQ(ran, count);
}

static inline void *seat_on(scheduler_cpu_t *on) { return yard->seats[yard->work->cpu_index(on)]; }

static inline void enqueue_task(guarded_task_t *task, uint32_t cpu) {
    task_t *plain = &task->task;
    EXPECT_EQ(yard->work->enqueue(yard->scheduler, &plain, 1, cpu), STATUS_OK);
}

static inline cap_id_t new_root(void *seat, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(yard->caps->create(seat, 7, rights, &id), STATUS_OK);
    return id;
}

static inline cap_id_t new_child(void *seat, cap_id_t parent, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(yard->caps->delegate(seat, parent, rights, &id), STATUS_OK);
    return id;
}
