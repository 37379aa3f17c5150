// Everything beside everything, on every pair of table and scheduler: each thread makes families of capabilities, gives each member to a
// guarded task, drives a CPU, and blocks, unblocks, ends and revokes what is in flight; others revoke it too. Every run and every
// refusal is held against facts that only grow.
//
//     test_stress [steps per thread [seed [pair 0..3]]]
#include "system_yard.h"

#include <stdarg.h>
#include <unistd.h>

enum { FAMILIES = 6, MEMBERS = 12, SLICES = 3 };

struct family;

typedef struct job {
    guarded_task_t task;
    struct family *family;
    task_run_t *guarded_run;      // what guarded_task_init made it
    cap_id_t cap;
    _Atomic(bool) ending;         // a call that ends this capability alone has begun
    _Atomic(unsigned) dispatches; // begun
    _Atomic(unsigned) finals;     // bodies and refusals after which it is over
    bool ended_before;            // known when the dispatch began; by who runs it
    unsigned slices;              // that are left
    bool blocks;
} job_t;

typedef struct family {
    _Atomic(bool) active; // may be revoked by others
    _Atomic(unsigned) visitors;
    _Atomic(cap_id_t) root;
    _Atomic(bool) ending; // a revoke of the root has begun
    _Atomic(bool) ended;  // one has returned
    bool used;            // owner only
    job_t jobs[MEMBERS];
} family_t;

typedef struct driver {
    uint32_t cpu;
    uint64_t random;
    scheduler_cpu_t *on;
    void *seat;
    uint64_t families; // made
} driver_t;

static family_t families[YARD_CPUS][FAMILIES];
static driver_t drivers[YARD_CPUS];
static _Atomic(unsigned) working;
static _Atomic(uint64_t) bodies, refusals;
static unsigned steps;
static uint64_t seed;
static const char *pair = "";

static void violation(const char *contract, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
static void violation(const char *contract, const char *format, ...) {
    char text[256];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    fprintf(stderr, "violation %s: %s (%s, seed %llu)\n", contract, text, pair, (unsigned long long)seed);
    fflush(NULL);
    _exit(1);
}

static uint32_t draw(driver_t *driver, uint32_t below) {
    driver->random ^= driver->random << 13;
    driver->random ^= driver->random >> 7;
    driver->random ^= driver->random << 17;
    return (uint32_t)((driver->random >> 16) % below);
}

// --- what runs ------------------------------------------------------------------------------------------------------

static task_verdict_t run_job(task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)task;
    job->ended_before = atomic_load(&job->family->ended); // before the dispatch begins
    atomic_fetch_add(&job->dispatches, 1);
    return job->guarded_run(task, on);
}

static task_verdict_t body(guarded_task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)task;
    (void)on;
    if (job->ended_before) {
        violation("G1", "a body ran although a revoke of %#llx had returned", (unsigned long long)job->cap);
    }
    atomic_fetch_add_explicit(&bodies, 1, memory_order_relaxed);
    if (job->slices > 0) {
        job->slices--;
        return job->blocks ? TASK_BLOCK : TASK_AGAIN;
    }
    atomic_fetch_add(&job->finals, 1);
    return TASK_DONE;
}

static task_verdict_t refusal(guarded_task_t *task, scheduler_cpu_t *on) {
    job_t *job = (job_t *)task;
    (void)on;
    if (!atomic_load(&job->family->ending) && !atomic_load(&job->ending)) {
        violation("G2", "a task was refused although nobody had begun to end %#llx", (unsigned long long)job->cap);
    }
    atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
    atomic_fetch_add(&job->finals, 1);
    return TASK_DONE;
}

// --- families ---------------------------------------------------------------------------------------------------------

static task_state_t state_of(const job_t *job) { return yard->work->task_state(yard->scheduler, &job->task.task); }

static bool is_over(const job_t *job) {
    task_state_t state = state_of(job);
    return state == TASK_STATE_COMPLETED || state == TASK_STATE_TERMINATED;
}

static void revoke_family(family_t *family, void *seat) {
    atomic_store(&family->ending, true);
    status_t status = yard->caps->revoke(seat, atomic_load(&family->root));
    if (status != STATUS_OK && status != STATUS_STALE) {
        violation("C1", "revoke answered %s", status_name(status));
    }
    atomic_store(&family->ended, true);
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (yard->caps->check(yard->table, family->jobs[i].cap, 0)) {
            violation("C1", "%#llx lives after the revoke of its root", (unsigned long long)family->jobs[i].cap);
        }
    }
}

static void make_job(driver_t *driver, family_t *family, job_t *job) {
    guard_t guards[2] = {{new_child(driver->seat, atomic_load(&family->root), READ | WRITE), READ | WRITE},
                         {atomic_load(&family->root), DELEGATE}};
    EXPECT_EQ(guarded_task_init(&job->task, &yard->gate, body, refusal, guards, 1 + draw(driver, 2)), STATUS_OK);
    job->guarded_run = job->task.task.run;
    job->task.task.run = run_job;
    job->task.task.priority = (uint8_t)draw(driver, TASK_PRIORITIES);
    job->family = family;
    job->cap = guards[0].id;
    atomic_store(&job->ending, false);
    atomic_store(&job->dispatches, 0);
    atomic_store(&job->finals, 0);
    job->slices = draw(driver, SLICES);
    job->blocks = draw(driver, 2) == 0;
}

static void start_family(driver_t *driver, family_t *family) {
    task_t *tasks[MEMBERS];
    atomic_store(&family->ending, false);
    atomic_store(&family->ended, false);
    atomic_store(&family->root, new_root(driver->seat, READ | WRITE | DELEGATE));
    for (unsigned i = 0; i < MEMBERS; i++) {
        make_job(driver, family, &family->jobs[i]);
        tasks[i] = &family->jobs[i].task.task;
    }
    family->used = true;
    driver->families++;
    atomic_store(&family->active, true);
    unsigned first = draw(driver, MEMBERS + 1); // some to one CPU, the rest to another
    EXPECT_EQ(yard->work->enqueue(yard->scheduler, tasks, first, draw(driver, YARD_CPUS)), STATUS_OK);
    if (draw(driver, 2) == 0) {
        EXPECT_EQ(yard->work->enqueue(yard->scheduler, tasks + first, MEMBERS - first, SCHEDULER_ANY_CPU), STATUS_OK);
    } else {
        for (; first < MEMBERS; first++) {
            yard->work->spawn(driver->on, tasks[first]);
        }
    }
}

// All tasks of the family are over: each was ended once, in one way. Whether it may be used again.
static bool close_family(driver_t *driver, family_t *family) {
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (!is_over(&family->jobs[i])) {
            return false;
        }
    }
    atomic_store(&family->active, false);
    if (atomic_load(&family->visitors) > 0) {
        return false; // who comes now finds it closed
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        const job_t *job = &family->jobs[i];
        unsigned finals = atomic_load(&job->finals);
        if (finals != (state_of(job) == TASK_STATE_COMPLETED ? 1 : 0)) {
            violation("G3", "a task that is %s ended %u times", task_state_name(state_of(job)), finals);
        }
    }
    revoke_family(family, driver->seat);
    family->used = false;
    return true;
}

// --- what is done to them -----------------------------------------------------------------------------------------

static void unblock_one(job_t *job) {
    if (state_of(job) == TASK_STATE_BLOCKED) {
        unsigned before = atomic_load(&job->dispatches);
        spin_hint(0);
        if (atomic_load(&job->dispatches) != before) {
            violation("S2", "a blocked task ran");
        }
    }
    (void)yard->work->unblock(yard->scheduler, &job->task.task, SCHEDULER_ANY_CPU);
}

static void end_one(driver_t *driver, job_t *job) {
    atomic_store(&job->ending, true);
    cap_rights_t drop = draw(driver, 2) == 0 ? READ : WRITE;
    status_t status = draw(driver, 2) == 0 ? yard->caps->delete_one(driver->seat, job->cap)
                                           : yard->caps->attenuate(driver->seat, job->cap, drop);
    if (status != STATUS_OK && status != STATUS_STALE) {
        violation("C5", "the end of a leaf answered %s", status_name(status));
    }
}

static void visit(driver_t *driver) {
    family_t *family = &families[draw(driver, YARD_CPUS)][draw(driver, FAMILIES)];
    atomic_fetch_add(&family->visitors, 1);
    if (atomic_load(&family->active)) {
        revoke_family(family, driver->seat);
    }
    atomic_fetch_sub(&family->visitors, 1);
}

static void step(driver_t *driver) {
    family_t *family = &families[driver->cpu][draw(driver, FAMILIES)];
    if (!family->used) {
        start_family(driver, family);
        return;
    }
    job_t *job = &family->jobs[draw(driver, MEMBERS)];
    switch (draw(driver, 16)) {
    case 0: revoke_family(family, driver->seat); break;
    case 1: end_one(driver, job); break;
    case 2: (void)yard->work->block(yard->scheduler, &job->task.task); break;
    case 3: (void)yard->work->terminate(yard->scheduler, &job->task.task); break;
    case 4: visit(driver); break;
    case 5: unblock_one(job); break; // whatever its state
    case 6:
    case 7:
        for (unsigned i = 0; i < MEMBERS; i++) {
            if (state_of(&family->jobs[i]) == TASK_STATE_BLOCKED) {
                unblock_one(&family->jobs[i]);
            }
        }
        break;
    default: (void)yard->work->run(driver->on, 1 + draw(driver, 8)); break;
    }
    (void)close_family(driver, family);
}

static void finish_families(driver_t *driver) {
    for (unsigned open = 1, round = 0; open > 0; round++) {
        open = 0;
        for (unsigned f = 0; f < FAMILIES; f++) {
            family_t *family = &families[driver->cpu][f];
            if (family->used && !close_family(driver, family)) {
                open++;
                for (unsigned i = 0; i < MEMBERS; i++) {
                    unblock_one(&family->jobs[i]);
                }
            }
        }
        if (yard->work->run(driver->on, 64) == 0) {
            spin_hint(round);
        }
    }
}

static void *drive(void *argument) {
    driver_t *driver = argument;
    EXPECT_EQ(yard->work->attach(yard->scheduler, driver->cpu, &driver->on), STATUS_OK);
    for (unsigned i = 0; i < steps; i++) {
        step(driver);
    }
    finish_families(driver);
    if (atomic_fetch_sub(&working, 1) == 1) {
        yard->work->stop(yard->scheduler);
    }
    (void)yard->work->loop(driver->on); // others may have left something here
    yard->work->detach(driver->on);
    return NULL;
}

static void stress(const system_ops_t *system) {
    static yard_t made;
    pthread_t threads[YARD_CPUS];
    pair = system->name;
    memset(families, 0, sizeof families);
    atomic_store(&working, YARD_CPUS);
    atomic_store(&bodies, 0);
    atomic_store(&refusals, 0);
    yard_make(&made, system, (uint64_t)1 << 20);
    uint64_t count = 0;
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        drivers[cpu] = (driver_t){.cpu = cpu, .seat = yard->seats[cpu], .random = (seed + cpu + 1) * 0x9e3779b97f4a7c15u | 1};
        EXPECT_EQ(pthread_create(&threads[cpu], NULL, drive, &drivers[cpu]), 0);
    }
    for (uint32_t cpu = 0; cpu < YARD_CPUS; cpu++) {
        EXPECT_EQ(pthread_join(threads[cpu], NULL), 0);
        count += drivers[cpu].families;
    }
    yard->caps->settle(yard->self);
    EXPECT_EQ(yard->caps->audit(yard->table).live, 0);
    yard_end();
    printf("ok %s: %llu families, %llu bodies, %llu refusals, seed %llu\n", pair, (unsigned long long)count,
           (unsigned long long)atomic_load(&bodies), (unsigned long long)atomic_load(&refusals), (unsigned long long)seed);
}

int main(int count, char **arguments) {
    steps = count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 8000;
    seed = count > 2 ? (uint64_t)strtoull(arguments[2], NULL, 10) : (uint64_t)getpid();
    size_t only = count > 3 ? strtoull(arguments[3], NULL, 10) : SYSTEM_OPS_COUNT;
    if (count > 4 || steps < 1 || only > SYSTEM_OPS_COUNT) {
        fprintf(stderr, "usage: %s [steps per thread >= 1 [seed [pair 0..%u]]]\n", arguments[0], SYSTEM_OPS_COUNT - 1);
        return 2;
    }
    for (size_t s = 0; s < SYSTEM_OPS_COUNT; s++) {
        if (only == SYSTEM_OPS_COUNT || only == s) {
            stress(&system_ops[s]);
        }
    }
    return 0;
}
