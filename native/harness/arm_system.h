/* One arm of op_system: a table with the functions of capability.h and a scheduler with those of scheduler.h, which TABLE(f), CAP(f) and
 * SCHEDULER(f) name; ARM_NAME, ARM_KIND and ARM_SCHEDULER, the scheduler's type, say what it is.
 *
 * Each worker drives a CPU of its own. For 32 tasks at a time it makes a capability for each, hands them in as a batch, and
 * runs what is ready: a task checks its own capability and some of those that everybody uses. Then the 32 are deleted.
 * With several workers tasks may be run by another one: a batch is over when all of its tasks have ended. */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "arms.h"
#include "capability.h"
#include "op_system.h"
#include "scheduler.h"

typedef struct system_worker system_worker_t;

typedef struct {
    TABLE(table_t) *table;
    ARM_SCHEDULER *scheduler;
    cap_id_t *ids;
    uint32_t count, checks;
} system_t;

typedef struct {
    task_t task;
    system_worker_t *owner;
    cap_id_t own;
    uint32_t at;
} job_t;

struct system_worker {
    job_t jobs[OP_SYSTEM_BATCH];
    task_t *batch[OP_SYSTEM_BATCH];
    const system_t *system;
    TABLE(thread_t) *seat;
    scheduler_cpu_t *on;
    uint32_t at;
    _Alignas(128) _Atomic uint64_t denied; /* by whoever ran them */
};

static task_verdict_t run_job(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    job_t *job = task->argument;
    system_worker_t *owner = job->owner;
    const system_t *system = owner->system;
    bool allowed = CAP(check)(system->table, job->own, CAPABILITY_RIGHT_EXECUTE);
    for (uint32_t i = 0; i < system->checks; i++)
        allowed &= CAP(check)(system->table, system->ids[(job->at + i) % system->count], CAPABILITY_RIGHT_READ);
    if (!allowed)
        atomic_fetch_add_explicit(&owner->denied, 1, memory_order_relaxed);
    return TASK_DONE;
}

static bool system_setup(run_t *run, void **shared) {
    system_t *made = calloc(1, sizeof *made);
    *shared = made;
    if (made) {
        made->count = (uint32_t)run_int(run, OP_SYSTEM_IDS);
        made->checks = (uint32_t)run_int(run, OP_SYSTEM_CHECKS);
        made->ids = calloc(made->count, sizeof *made->ids);
    }
    if (!made || !made->ids) {
        run_fail(run, "memory exhausted: %s", ARM_NAME);
        return false;
    }
    capability_config_t config = {.capacity = (uint64_t)1 << 22};
    scheduler_config_t cpus = {.cpus = (uint32_t)run->options->threads};
    TABLE(thread_t) *seat = NULL;
    status_t status = TABLE(table_create)(&config, &made->table);
    if (status == STATUS_OK)
        status = TABLE(thread_join)(made->table, &seat);
    for (uint32_t i = 0; i < made->count && status == STATUS_OK; i++)
        status = CAP(create)(seat, i, CAPABILITY_RIGHT_READ, &made->ids[i]);
    if (seat)
        TABLE(thread_leave)(seat);
    if (status == STATUS_OK)
        status = SCHEDULER(create)(&cpus, &made->scheduler);
    if (status != STATUS_OK)
        run_fail(run, "%s could not be made: %s", ARM_NAME, status_name(status));
    return status == STATUS_OK;
}

static bool system_enter(worker_t *worker, void *shared, void **state) {
    const system_t *system = shared;
    system_worker_t *made = aligned_alloc(_Alignof(system_worker_t), sizeof *made);
    *state = made;
    if (!made) {
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    *made = (system_worker_t){.system = system};
    for (unsigned i = 0; i < OP_SYSTEM_BATCH; i++) {
        task_init(&made->jobs[i].task, run_job, &made->jobs[i], TASK_PRIORITY_NORMAL, NULL);
        made->jobs[i].owner = made;
        made->batch[i] = &made->jobs[i].task;
    }
    status_t status = TABLE(thread_join)(system->table, &made->seat);
    if (status == STATUS_OK)
        status = SCHEDULER(attach)(system->scheduler, (uint32_t)worker->index, &made->on);
    if (status != STATUS_OK)
        run_fail(worker->run, "%s: no place for worker %d: %s", ARM_NAME, worker->index, status_name(status));
    return status == STATUS_OK;
}

/* A task's end is seen by its state, which is the scheduler's last word on it. */
static bool all_ended(const system_worker_t *mine) {
    for (unsigned i = 0; i < OP_SYSTEM_BATCH; i++)
        if (JOB_STATE(mine->system->scheduler, mine->batch[i]) != TASK_STATE_COMPLETED)
            return false;
    return true;
}

static void run_batch(worker_t *worker, system_worker_t *mine) {
    /* READY at return: their states are waited for */
    (void)SCHEDULER(enqueue_wide)(mine->system->scheduler, mine->batch, OP_SYSTEM_BATCH, (uint32_t)worker->index);
    uint64_t ran = SCHEDULER(run)(mine->on, OP_SYSTEM_BATCH);
    if (worker->run->options->threads == 1) {
        if (ran != OP_SYSTEM_BATCH)
            run_violation(worker, "S1", "%llu of %d tasks ran", (unsigned long long)ran, OP_SYSTEM_BATCH);
        return;
    }
    for (unsigned idle = 0; !all_ended(mine);)
        if (SCHEDULER(run)(mine->on, OP_SYSTEM_BATCH) == 0 && ++idle % 256 == 0)
            sched_yield(); /* another one has it, and may be off its CPU */
}

static uint64_t system_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)shared;
    system_worker_t *mine = state;
    uint64_t done = 0;
    for (; done < sample->ops; done += OP_SYSTEM_BATCH) {
        status_t status = STATUS_OK;
        for (unsigned i = 0; i < OP_SYSTEM_BATCH && status == STATUS_OK; i++) {
            job_t *job = &mine->jobs[i];
            status = CAP(create)(mine->seat, i, CAPABILITY_RIGHT_EXECUTE, &job->own);
            job->at = mine->at++ * 2654435761u % mine->system->count;
        }
        if (status != STATUS_OK) {
            run_fail(worker->run, "%s: a capability could not be made: %s", ARM_NAME, status_name(status));
            return done;
        }
        run_batch(worker, mine);
        for (unsigned i = 0; i < OP_SYSTEM_BATCH; i++)
            (void)CAP(delete)(mine->seat, mine->jobs[i].own);
    }
    return done;
}

static void system_leave(worker_t *worker, void *shared, void *state) {
    (void)shared;
    system_worker_t *mine = state;
    uint64_t denied = atomic_load_explicit(&mine->denied, memory_order_relaxed);
    if (denied)
        run_violation(worker, "C3", "%s: %llu tasks were denied what they held", ARM_NAME, (unsigned long long)denied);
    SCHEDULER(detach)(mine->on);
    TABLE(thread_leave)(mine->seat);
    free(mine);
}

static void system_finish(run_t *run, void *shared) {
    (void)run;
    system_t *system = shared;
    SCHEDULER(destroy)(system->scheduler);
    TABLE(table_destroy)(system->table);
    free(system->ids);
    free(system);
}

static arm_t arm = {
    .bench = "op_system",
    .name = ARM_NAME,
    .kind = ARM_KIND,
    .scales = true,
    .setup = system_setup,
    .enter = system_enter,
    .sample = system_sample,
    .leave = system_leave,
    .finish = system_finish,
};
ARM_REGISTER(arm)
