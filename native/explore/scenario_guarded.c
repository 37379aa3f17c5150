// Guarded tasks under the explorer: two threads dispatch, directly and as the scheduler does it, while a third takes rights. Whom the gate asks is a
// word per capability here: what tables promise has scenarios of its own.
#include "atomics.h"
#include "explore.h"

#include "guarded.h"
#define capability_check check_word // of guarded_gate_of: there is no table here
static bool check_word(const capability_table_t *table, cap_id_t id, cap_rights_t need);
#include "../kernel/guarded.c"
#include "../kernel/guarded_task.c"

enum { CAPS = 4, NUMBERS = 64, RIGHTS = 2, WORKERS = 2, JOBS = 3, GUARDS = 3, DISPATCHES = 6, TAKES = 4 };

typedef struct job {
    guarded_t plain;
    guarded_task_t task;
    unsigned bodies, refusals;
} job_t;

static atomic_u64_t *words[CAPS];            // rights
static cap_rights_t taking[CAPS];            // a call that takes them has begun
static explore_moment_t took[CAPS][RIGHTS];  // and has returned
static cap_id_t ids[CAPS];
static guarded_gate_t gate;
static job_t *jobs[WORKERS][JOBS];

static bool check_word(const capability_table_t *table, cap_id_t id, cap_rights_t need) {
    (void)table;
    return (atomic_load_acquire_u64(words[id / NUMBERS]) & need) == need;
}

// --- what runs ----------------------------------------------------------------------------------------------------------

static void note_body(guarded_t *plain, void *worker) {
    (void)worker;
    ((job_t *)(void *)((char *)plain - offsetof(job_t, plain)))->bodies++;
}
static void note_refusal(guarded_t *plain, void *worker) {
    (void)worker;
    ((job_t *)(void *)((char *)plain - offsetof(job_t, plain)))->refusals++;
}
static task_verdict_t run_body(guarded_task_t *task, scheduler_cpu_t *on) {
    (void)on;
    ((job_t *)(void *)((char *)task - offsetof(job_t, task)))->bodies++;
    return TASK_AGAIN;
}
static task_verdict_t run_refusal(guarded_task_t *task, scheduler_cpu_t *on) {
    (void)on;
    ((job_t *)(void *)((char *)task - offsetof(job_t, task)))->refusals++;
    return TASK_DONE;
}

// --- threads ------------------------------------------------------------------------------------------------------------

static void dispatch(job_t *job) {
    const guarded_t *guarded = &job->plain;
    bool gone = false, going = false;
    for (uint32_t i = 0; i < guarded->count; i++) {
        for (unsigned r = 0; r < RIGHTS; r++) {
            bool needed = (guarded->guards[i].need >> r & 1) != 0;
            gone |= needed && explore_happened(took[guarded->guards[i].id / NUMBERS][r]);
        }
    }
    job->bodies = job->refusals = 0;
    bool ran = false;
    switch (explore_draw(3)) {
    case 0: ran = guarded_dispatch(&job->plain, NULL); break;
    case 1: ran = guarded_hold(&job->plain); *(ran ? &job->bodies : &job->refusals) += 1; break;
    default: ran = job->task.task.run(&job->task.task, NULL) == TASK_AGAIN; break;
    }
    for (uint32_t i = 0; i < guarded->count; i++) {
        going |= (guarded->guards[i].need & taking[guarded->guards[i].id / NUMBERS]) != 0;
    }
    EXPLORE_EXPECT(!gone || !ran, "G1: it runs, and its right was taken before");
    EXPLORE_EXPECT(going || ran, "G2: it is refused, and holds all that it needs");
    EXPLORE_EXPECT(job->bodies == ran && job->refusals == !ran, "G3: not one of the two");
}

static void take_some(void) {
    for (uint64_t left = 1 + explore_draw(TAKES); left > 0; left--) {
        unsigned cap = (unsigned)explore_draw(CAPS), right = (unsigned)explore_draw(RIGHTS);
        taking[cap] |= (cap_rights_t)1 << right;
        (void)atomic_fetch_and_acq_rel_u64(words[cap], ~((uint64_t)1 << right));
        took[cap][right] = explore_now();
    }
}

static void run(unsigned thread) {
    if (thread == WORKERS) {
        take_some();
        return;
    }
    for (unsigned i = 0; i < DISPATCHES; i++) {
        dispatch(jobs[thread][explore_draw(JOBS)]);
    }
}

// --- one run ------------------------------------------------------------------------------------------------------------

static void make_job(job_t *job) {
    guard_t guards[GUARDS];
    uint32_t count = (uint32_t)explore_draw(GUARDS + 1);
    for (uint32_t i = 0; i < count; i++) {
        guards[i] = (guard_t){.id = ids[explore_draw(CAPS)], .need = 1 + (cap_rights_t)explore_draw(3)};
    }
    EXPLORE_EXPECT(guarded_init(&job->plain, &gate, note_body, note_refusal, guards, count) == STATUS_OK, "G3: no task");
    EXPLORE_EXPECT(guarded_task_init(&job->task, &gate, run_body, run_refusal, guards, count) == STATUS_OK, "G3: no task");
}

static void set_up(void) {
    gate = guarded_gate_of(NULL);
    for (unsigned i = 0; i < CAPS; i++) {
        ids[i] = i * NUMBERS + explore_draw(NUMBERS);
        taking[i] = 0;
        words[i] = shared_alloc(sizeof *words[i]);
        atomic_store_relaxed_u64(words[i], 3);
        for (unsigned r = 0; r < RIGHTS; r++) {
            took[i][r] = (explore_moment_t){0};
        }
    }
    for (unsigned i = 0; i < WORKERS * JOBS; i++) {
        jobs[i / JOBS][i % JOBS] = shared_alloc_aligned(sizeof(job_t));
        make_job(jobs[i / JOBS][i % JOBS]);
    }
}

static void finish(void) {
    for (unsigned i = 0; i < CAPS; i++) {
        shared_free(words[i]);
    }
    for (unsigned i = 0; i < WORKERS * JOBS; i++) {
        shared_free(jobs[i / JOBS][i % JOBS]);
    }
}

static const explore_scenario_t scenarios[] = {{"guarded_three", WORKERS + 1, set_up, run, finish}};
EXPLORE_SCENARIOS("guarded", "G1,G2,G3", scenarios)
