// Workflows through the whole system, on every pair of table and scheduler: tasks with capabilities, checked when they are
// dispatched, delegated from task to task, revoked in flight.
#include "system_yard.h"

// A guarded task and what became of it.
typedef struct job {
    guarded_task_t task;
    unsigned bodies, refusals; // written by who runs it
    unsigned slices;           // bodies that end with TASK_AGAIN
    bool blocks;               // the first body ends with TASK_BLOCK
    cap_id_t cap;
} job_t;

static task_verdict_t count_body(guarded_task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)task;
    (void)on;
    EXPECT_EQ(yard->work->task_state(yard->scheduler, &task->task), TASK_STATE_RUNNING);
    job->bodies++;
    if (job->blocks && job->bodies == 1) {
        return TASK_BLOCK;
    }
    return job->bodies < job->slices ? TASK_AGAIN : TASK_DONE;
}

static task_verdict_t count_refusal(guarded_task_t *task, scheduler_cpu_t *on) {
    (void)on;
    ((job_t *)task)->refusals++;
    return TASK_DONE;
}

static void job_make(job_t *job, cap_id_t cap, cap_rights_t need) {
    memset(job, 0, sizeof *job);
    job->cap = cap;
    EXPECT_EQ(guarded_task_init(&job->task, &yard->gate, count_body, count_refusal, &(guard_t){cap, need}, 1), STATUS_OK);
}

static task_state_t state_of(const job_t *job) { return yard->work->task_state(yard->scheduler, &job->task.task); }

static void tasks_run_where_their_capabilities_permit_it(void) {
    enum { COUNT = 400 };
    static job_t jobs[COUNT];
    cap_id_t root = new_root(yard->self, READ | WRITE | DELEGATE);
    for (unsigned i = 0; i < COUNT; i++) { // every third holds READ alone, and half of all need WRITE
        job_make(&jobs[i], new_child(yard->self, root, i % 3 == 0 ? READ : READ | WRITE), i % 2 == 0 ? WRITE : READ);
        enqueue_task(&jobs[i].task, i % YARD_CPUS);
    }
    EXPECT_EQ(yard_run(), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        bool permitted = i % 2 != 0 || i % 3 != 0;
        EXPECT_EQ(jobs[i].bodies, permitted ? 1 : 0);
        EXPECT_EQ(jobs[i].refusals, permitted ? 0 : 1);
        EXPECT_EQ(state_of(&jobs[i]), TASK_STATE_COMPLETED);
    }
}

static void what_waits_when_a_revoke_returns_never_runs(void) {
    enum { COUNT = 1000, RAN = 333 };
    static job_t jobs[COUNT];
    cap_id_t root = new_root(yard->self, READ | DELEGATE);
    cap_id_t middle = new_child(yard->self, root, READ | DELEGATE);
    for (unsigned i = 0; i < COUNT; i++) {
        job_make(&jobs[i], new_child(yard->self, middle, READ), READ);
        jobs[i].task.task.priority = i % TASK_PRIORITIES;
        enqueue_task(&jobs[i].task, 0);
    }
    // Some have run, on the CPU itself and on a thief; the rest lies in its queues and the thief's.
    yard_run_on(0, RAN / 3);
    yard_run_on(2, RAN - RAN / 3);
    EXPECT_EQ(yard->caps->revoke(yard->self, root), STATUS_OK);
    EXPECT_EQ(yard_run(), COUNT - RAN);
    unsigned bodies = 0, refusals = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(jobs[i].bodies + jobs[i].refusals, 1);
        bodies += jobs[i].bodies;
        refusals += jobs[i].refusals;
    }
    EXPECT_EQ(bodies, RAN);
    EXPECT_EQ(refusals, COUNT - RAN);
}

static void a_task_that_was_blocked_when_its_capability_ended_is_refused(void) {
    job_t job;
    cap_id_t root = new_root(yard->self, READ);
    job_make(&job, root, READ);
    job.blocks = true;
    enqueue_task(&job.task, 1);
    EXPECT_EQ(yard_run(), 1);
    EXPECT_EQ(state_of(&job), TASK_STATE_BLOCKED);
    EXPECT_EQ(yard->caps->delete_one(yard->self, root), STATUS_OK);
    EXPECT_EQ(yard->work->unblock(yard->scheduler, &job.task.task, 3), STATUS_OK);
    EXPECT_EQ(yard_run(), 1);
    EXPECT_EQ(job.bodies, 1);
    EXPECT_EQ(job.refusals, 1);
    EXPECT_EQ(state_of(&job), TASK_STATE_COMPLETED);
}

static void a_task_in_slices_is_stopped_between_two(void) {
    job_t job;
    cap_id_t root = new_root(yard->self, READ | WRITE);
    job_make(&job, root, READ);
    job.slices = 10;
    enqueue_task(&job.task, 0);
    EXPECT_EQ(yard->work->run(yard->on[0], 3), 3);
    EXPECT_EQ(yard->caps->attenuate(yard->self, root, WRITE), STATUS_OK); // not needed
    EXPECT_EQ(yard->work->run(yard->on[0], 1), 1);
    EXPECT_EQ(yard->caps->attenuate(yard->self, root, READ), STATUS_OK);
    EXPECT_EQ(yard_run(), 1);
    EXPECT_EQ(job.bodies, 4);
    EXPECT_EQ(job.refusals, 1);
}

static void a_terminated_task_is_neither_run_nor_refused(void) {
    job_t job;
    cap_id_t root = new_root(yard->self, READ);
    job_make(&job, root, READ);
    enqueue_task(&job.task, 0);
    EXPECT_EQ(yard->work->terminate(yard->scheduler, &job.task.task), STATUS_OK);
    EXPECT_EQ(yard->caps->revoke(yard->self, root), STATUS_OK);
    (void)yard_run();
    EXPECT_EQ(job.bodies + job.refusals, 0);
    EXPECT_EQ(state_of(&job), TASK_STATE_TERMINATED);
}

// --- tasks that delegate to tasks ------------------------------------------------------------------------------------

enum { LEVELS = 7, KIN = (1 << LEVELS) - 1 };
static job_t kin[KIN];
static cap_id_t cut; // revoked by the body of kin[1]

// Gives each of two children less than it has itself, and spawns them. Depth is told by the index.
static task_verdict_t delegate_down(guarded_task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)task;
    size_t at = (size_t)(job - kin);
    job->bodies++;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < KIN; child++) {
        cap_id_t cap = CAPABILITY_NONE;
        EXPECT_EQ(yard->caps->delegate(seat_on(on), job->cap, READ | DELEGATE, &cap), STATUS_OK);
        job_make(&kin[child], cap, READ);
        kin[child].task.body = delegate_down;
        yard->work->spawn(on, &kin[child].task.task);
    }
    if (cut != CAPABILITY_NONE && at == 1) {
        EXPECT_EQ(yard->caps->revoke(seat_on(on), cut), STATUS_OK);
    }
    return TASK_DONE;
}

static bool is_below(size_t at, size_t above) {
    while (at > above) {
        at = (at - 1) / 2;
    }
    return at == above;
}

static void start_kin(cap_id_t cap) {
    memset(kin, 0, sizeof kin);
    job_make(&kin[0], cap, READ);
    kin[0].task.body = delegate_down;
    enqueue_task(&kin[0].task, 2);
}

static void tasks_hand_their_rights_down_to_the_tasks_they_spawn(void) {
    cut = CAPABILITY_NONE;
    cap_id_t root = new_root(yard->self, READ | DELEGATE);
    start_kin(root);
    EXPECT_EQ(yard_run(), KIN);
    for (size_t i = 0; i < KIN; i++) {
        EXPECT_EQ(kin[i].bodies, 1);
        EXPECT(yard->caps->check(yard->table, kin[i].cap, READ));
    }
    EXPECT_EQ(yard->caps->revoke(yard->self, root), STATUS_OK);
    for (size_t i = 0; i < KIN; i++) {
        EXPECT(!yard->caps->check(yard->table, kin[i].cap, 0));
    }
}

static void a_body_that_revokes_its_own_ends_all_that_it_spawned_and_not_itself(void) {
    cap_id_t root = new_root(yard->self, READ | DELEGATE);
    start_kin(root);
    EXPECT_EQ(yard->work->run(yard->on[2], 1), 1); // kin[0] alone
    cut = kin[1].cap;
    (void)yard_run();
    cut = CAPABILITY_NONE;
    for (size_t i = 0; i < KIN; i++) {
        bool below = i > 1 && is_below(i, 1);
        EXPECT_EQ(kin[i].bodies, below ? 0 : 1);
        EXPECT_EQ(kin[i].refusals, i == 3 || i == 4 ? 1 : 0); // those it had spawned itself; further down there are none
    }
}

// --- shutdown ----------------------------------------------------------------------------------------------------

static void what_was_not_run_at_shutdown_is_handed_out_and_its_capabilities_end(void) {
    enum { COUNT = 200, RAN = 50 };
    static job_t jobs[COUNT];
    cap_id_t root = new_root(yard->self, READ | DELEGATE);
    for (unsigned i = 0; i < COUNT; i++) {
        job_make(&jobs[i], new_child(yard->self, root, READ), READ);
        enqueue_task(&jobs[i].task, i % YARD_CPUS);
    }
    yard_run_on(1, RAN);
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        yard->work->detach(yard->on[cpu]);
        yard->on[cpu] = NULL;
    }
    task_t *left[COUNT];
    EXPECT_EQ(yard->work->rest(yard->scheduler, left, COUNT), COUNT - RAN);
    for (unsigned i = 0; i < COUNT - RAN; i++) {
        EXPECT_EQ(yard->caps->delete_one(yard->self, ((job_t *)left[i])->cap), STATUS_OK);
    }
    EXPECT_EQ(yard->caps->revoke(yard->self, root), STATUS_OK);
    yard->caps->settle(yard->self);
    EXPECT_EQ(yard->caps->audit(yard->table).live, 0);
}

// --- several at once ----------------------------------------------------------------------------------------------

static void *drive(void *argument) {
    scheduler_cpu_t *on = NULL;
    EXPECT_EQ(yard->work->attach(yard->scheduler, *(uint32_t *)argument, &on), STATUS_OK);
    (void)yard->work->loop(on);
    yard->work->detach(on);
    return NULL;
}

static void threads_hand_rights_down_while_others_run(void) {
    uint32_t cpus[YARD_CPUS];
    pthread_t threads[YARD_CPUS];
    cut = CAPABILITY_NONE;
    cap_id_t root = new_root(yard->self, READ | DELEGATE);
    start_kin(root);
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        cpus[cpu] = cpu;
        EXPECT_EQ(pthread_create(&threads[cpu], NULL, drive, &cpus[cpu]), 0);
    }
    yard->work->stop(yard->scheduler); // loops end when all is run, also what is spawned from now on
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        EXPECT_EQ(pthread_join(threads[cpu], NULL), 0);
    }
    for (size_t i = 0; i < KIN; i++) {
        EXPECT_EQ(kin[i].bodies, 1);
    }
    EXPECT_EQ(yard->caps->revoke(yard->self, root), STATUS_OK);
    yard->caps->settle(yard->self);
    EXPECT_EQ(yard->caps->audit(yard->table).live, 0);
}

typedef struct integration_test {
    const char *name;
    void (*run)(void);
    bool threads; // drives the CPUs by threads of its own
} integration_test_t;

int main(void) {
    static const integration_test_t tests[] = {
        {"tasks_run_where_their_capabilities_permit_it", tasks_run_where_their_capabilities_permit_it, false},
        {"what_waits_when_a_revoke_returns_never_runs", what_waits_when_a_revoke_returns_never_runs, false},
        {"a_task_that_was_blocked_when_its_capability_ended_is_refused",
         a_task_that_was_blocked_when_its_capability_ended_is_refused, false},
        {"a_task_in_slices_is_stopped_between_two", a_task_in_slices_is_stopped_between_two, false},
        {"a_terminated_task_is_neither_run_nor_refused", a_terminated_task_is_neither_run_nor_refused, false},
        {"tasks_hand_their_rights_down_to_the_tasks_they_spawn", tasks_hand_their_rights_down_to_the_tasks_they_spawn, false},
        {"a_body_that_revokes_its_own_ends_all_that_it_spawned_and_not_itself",
         a_body_that_revokes_its_own_ends_all_that_it_spawned_and_not_itself, false},
        {"what_was_not_run_at_shutdown_is_handed_out_and_its_capabilities_end",
         what_was_not_run_at_shutdown_is_handed_out_and_its_capabilities_end, false},
        {"threads_hand_rights_down_while_others_run", threads_hand_rights_down_while_others_run, true},
    };
    for (size_t s = 0; s < SYSTEM_OPS_COUNT; s++) {
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
            static yard_t made;
            yard_make(&made, &system_ops[s], 1 << 14);
            if (!tests[i].threads) {
                yard_attach();
            }
            tests[i].run();
            yard_end();
            printf("ok %s: %s\n", system_ops[s].name, tests[i].name);
        }
    }
    return 0;
}
