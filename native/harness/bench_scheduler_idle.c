/* S3 on real CPUs: work is made ready in every way that there is while CPUs sleep, or are about to, and none may sleep on beside it.
 *
 * Worker 0 drives CPU 0 and never looks for work there: to the scheduler that CPU is busy. It makes a round of tasks ready, waits until the others
 * have run them, and begins the next at once or a moment later, so that they are caught in every stage of lying down. In some rounds every
 * task waits until all have begun, which takes as many CPUs: each that finds something has to wake the next.
 *
 * A machine that does not run us is not to be accused. So the clock runs from when the call that made the work ready has returned, only while
 * no task begins, and while in every look every CPU that may run one and runs none is asleep in the kernel: who was woken and waits for a CPU
 * is not asleep, and begins it anew. Looks are further apart than two of the relooks that S3 grants a lone task. */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "asleep.h"
#include "harness.h"
#include "scheduler_account.h"

enum { MODE, MEET, FAR };
enum { ROUND_MAX = 64, LOOKS_LEAST = 50 };
enum { POLL_NS = 1000000, LOOK_NS = 3000000, STILL_NS = 200000000 };
_Static_assert(LOOK_NS > 2 * SCHEDULER_RELOOK_NS, "who relooks has done so from one look to the next");

static const char *const modes[] = {"auto", "fenced", "asymmetric", NULL};
static const setting_t settings[] = {
    [MODE] = SETTING_ONE_OF("mode", SCHEDULER_DEQUE_AUTO, modes, "the deques' mode"),
    [MEET] = SETTING_NUMBER("meet", 0.5, 0, 1, "share of the rounds whose tasks wait for each other, each on a CPU of its own"),
    [FAR] = SETTING_INTEGER("far", 2000, 0, 1000000, "between two rounds at most so many pauses of a spinning CPU"),
};

typedef enum { HANDED_IN, HANDED_IN_AT_ONCE, SPAWNED, SPAWNED_AT_ONCE, BOUND, BLOCKING, WAYS } way_t;
static const char *const ways[WAYS] = {"handed in", "handed in at once", "spawned", "spawned at once", "bound", "unblocked"};

typedef struct {
    _Alignas(128) _Atomic(bool) busy; /* runs a task */
    _Atomic(int) tid;
    scheduler_cpu_t *on;
} seat_t;

/* Looks at those who sleep; worker 0's own. */
typedef struct {
    uint64_t since_ns, looked_ns; /* when they were first seen asleep; 0: not yet. The last look. */
    uint32_t looks, begun;        /* in a row; tasks that had begun at the first */
} watch_t;

typedef struct {
    scheduler_lockfree_t *scheduler;
    seat_t *seats;
    int cpus;
    rng_t rng;
    /* The round; written by worker 0 before its tasks are ready. */
    task_t tasks[ROUND_MAX];
    task_t *pointers[ROUND_MAX];
    scheduler_mask_t mask;
    way_t way;
    uint32_t count, meet;
    _Atomic(uint32_t) begun;
    _Atomic(bool) over, closed; /* who waits in a task gives up; all may leave */
    bool open, unblocked;
    watch_t watch;
    uint64_t rounds[WAYS], met, looks, judged;
} shared_t;

static shared_t *yard; /* of the one run of this process */

static task_verdict_t run_task(task_t *task, scheduler_cpu_t *on) {
    shared_t *shared = yard;
    seat_t *seat = &shared->seats[scheduler_cpu_index(on)];
    atomic_store_explicit(&seat->busy, true, memory_order_relaxed);
    bool blocks = shared->way == BLOCKING && task->user++ == 0;
    atomic_fetch_add_explicit(&shared->begun, 1, memory_order_relaxed);
    for (unsigned turn = 0; atomic_load_explicit(&shared->begun, memory_order_relaxed) < shared->meet &&
                            !atomic_load_explicit(&shared->over, memory_order_relaxed);)
        spin_hint(turn++);
    atomic_store_explicit(&seat->busy, false, memory_order_relaxed);
    return blocks ? TASK_BLOCK : TASK_DONE;
}

/* ---- rounds: worker 0 ---- */
static uint32_t below(shared_t *shared, uint32_t bound) { return rng_below(&shared->rng, bound); }

static void draw_round(const run_t *run, shared_t *shared) {
    uint32_t idle = (uint32_t)shared->cpus - 1;
    uint32_t most = idle < ROUND_MAX ? idle : ROUND_MAX;
    shared->way = (way_t)below(shared, WAYS);
    bool meets = shared->way < BOUND && below(shared, 1000) < (uint32_t)(1000 * run_float(run, MEET));
    shared->count = meets ? 1 + below(shared, most) : shared->way < BOUND ? 1 + below(shared, 40) : 1;
    shared->meet = meets ? shared->count : 0;
    shared->mask = (scheduler_mask_t){{0}};
    scheduler_mask_add(&shared->mask, 1 + below(shared, idle));
    scheduler_mask_add(&shared->mask, 1 + below(shared, idle));
    uint8_t priority = (uint8_t)below(shared, TASK_PRIORITIES);
    for (uint32_t i = 0; i < shared->count; i++) {
        task_init(&shared->tasks[i], run_task, NULL, priority, shared->way == BOUND ? &shared->mask : NULL);
        shared->pointers[i] = &shared->tasks[i];
    }
    atomic_store_explicit(&shared->begun, 0, memory_order_relaxed);
    shared->rounds[shared->way]++;
    shared->met += meets;
}

static void open_round(const run_t *run, shared_t *shared) {
    scheduler_cpu_t *on = shared->seats[0].on;
    draw_round(run, shared);
    uint32_t cpu = below(shared, (uint32_t)shared->cpus);
    switch (shared->way) {
    case SPAWNED:
        for (uint32_t i = 0; i < shared->count; i++)
            scheduler_spawn(on, shared->pointers[i]);
        break;
    case SPAWNED_AT_ONCE: scheduler_spawn_batch(on, shared->pointers, shared->count); break;
    case HANDED_IN_AT_ONCE: scheduler_enqueue_batch(shared->scheduler, shared->pointers, shared->count, (uint8_t)(cpu % 256)); break;
    case HANDED_IN:
    case BOUND:
    case BLOCKING:
    case WAYS: (void)scheduler_enqueue_wide(shared->scheduler, shared->pointers, shared->count, cpu); break;
    }
    shared->unblocked = false;
    shared->open = true;
    shared->watch = (watch_t){0};
}

/* Whether all tasks are over; a blocked one is unblocked. */
static bool is_over(shared_t *shared) {
    for (uint32_t i = 0; i < shared->count; i++) {
        task_state_t state = task_state(&shared->tasks[i]);
        if (state == TASK_STATE_BLOCKED && !shared->unblocked) {
            shared->unblocked = true;
            (void)scheduler_unblock(shared->scheduler, &shared->tasks[i], below(shared, (uint32_t)shared->cpus));
            shared->watch = (watch_t){0};
        }
        if (state != TASK_STATE_COMPLETED)
            return false;
    }
    return true;
}

/* ---- the watch: worker 0 ---- */
/* Whether some CPU that may run a task of the round runs none, and all such are asleep. */
static bool all_asleep(const shared_t *shared, int *sleeper) {
    *sleeper = 0;
    for (int cpu = 1; cpu < shared->cpus; cpu++) {
        const seat_t *seat = &shared->seats[cpu];
        if (atomic_load_explicit(&seat->busy, memory_order_relaxed) ||
            (shared->way == BOUND && !scheduler_mask_has(&shared->mask, (uint32_t)cpu)))
            continue;
        if (!thread_is_asleep(atomic_load_explicit(&seat->tid, memory_order_relaxed)))
            return false;
        *sleeper = cpu;
    }
    return *sleeper != 0;
}

/* Tasks that are to begin, once more where they have blocked. */
static uint32_t due(const shared_t *shared) { return shared->count + (shared->unblocked ? 1 : 0); }

static void look(worker_t *worker, shared_t *shared, uint64_t now) {
    watch_t *watch = &shared->watch;
    if (now - watch->looked_ns < LOOK_NS)
        return;
    watch->looked_ns = now;
    shared->looks++;
    int sleeper = 0;
    uint32_t begun = atomic_load_explicit(&shared->begun, memory_order_relaxed);
    if (begun >= due(shared) || (watch->since_ns != 0 && begun != watch->begun) || !all_asleep(shared, &sleeper)) {
        watch->since_ns = 0;
        return;
    }
    if (watch->since_ns == 0)
        *watch = (watch_t){.since_ns = now, .looked_ns = now, .begun = begun};
    watch->looks++;
    /* the last word is theirs */
    if (watch->looks < LOOKS_LEAST || now - watch->since_ns < STILL_NS ||
        atomic_load_explicit(&shared->begun, memory_order_relaxed) != begun)
        return;
    shared->judged++;
    run_violation(worker, "S3", "CPU %d and all that run nothing slept in %u looks over %.0f ms, while %u of %u tasks that were %s, "
                                "and that they may run, had not begun",
                  sleeper, watch->looks, (double)(now - watch->since_ns) * 1e-6, due(shared) - begun, shared->count,
                  ways[shared->way]);
    atomic_store_explicit(&shared->over, true, memory_order_relaxed);
    scheduler_kick(shared->scheduler); /* once is enough to know */
    watch->since_ns = 0;
}

/* Until the round is over, or for as long as a batch may take. */
static uint64_t tend_round(worker_t *worker, shared_t *shared) {
    uint64_t begin = clock_ns(), now = begin;
    for (unsigned turn = 0; now - begin < POLL_NS; now = clock_ns()) {
        if (is_over(shared)) {
            shared->open = false;
            atomic_store_explicit(&shared->over, false, memory_order_relaxed);
            return shared->count;
        }
        look(worker, shared, now);
        spin_hint(turn++);
    }
    return 0;
}

/* ---- the life of the bench ---- */
static bool check(const run_t *run, char *why, size_t size) {
    bool fits = run->options->threads >= 2;
    if (!fits)
        snprintf(why, size, "it takes two threads: one makes work ready, the others sleep beside it");
    return fits && account_threads_fit(run, why, size);
}

static bool setup(run_t *run) {
    shared_t *shared = aligned_alloc(_Alignof(shared_t), sizeof *shared);
    run->shared = yard = shared;
    seat_t *seats = aligned_alloc(_Alignof(seat_t), (size_t)run->options->threads * sizeof *seats);
    if (!shared || !seats) {
        free(seats);
        run_fail(run, "memory exhausted: %d threads", run->options->threads);
        return false;
    }
    *shared = (shared_t){.seats = seats, .cpus = run->options->threads, .rng = rng_seeded(run->options->seed)};
    for (int i = 0; i < shared->cpus; i++)
        seats[i] = (seat_t){.on = NULL};
    scheduler_config_t config = {.cpus = (uint32_t)shared->cpus, .deque_first = 2, .mode = (scheduler_deque_mode_t)run_int(run, MODE)};
    status_t status = scheduler_create(&config, &shared->scheduler);
    if (status != STATUS_OK)
        run_fail(run, "the scheduler could not be made: %s", status_name(status));
    return status == STATUS_OK;
}

static bool enter(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    seat_t *seat = &shared->seats[worker->index];
    worker->state = seat;
    atomic_store_explicit(&seat->tid, (int)syscall(SYS_gettid), memory_order_relaxed);
    (void)scheduler_attach(shared->scheduler, (uint32_t)worker->index, &seat->on);
    return true;
}

static uint64_t batch(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    seat_t *seat = worker->state;
    if (worker->index != 0) {
        if (scheduler_run(seat->on, BATCH_OPS) == 0)
            (void)scheduler_park(seat->on, SCHEDULER_FOREVER); /* worker 0 ends it */
        return 0;
    }
    uint64_t begin = clock_ns(), done = 0;
    do {
        if (!shared->open) {
            for (uint32_t pauses = below(shared, 1 + (uint32_t)run_int(worker->run, FAR)); pauses > 0; pauses--)
                cpu_relax();
            open_round(worker->run, shared);
        }
        done += tend_round(worker, shared);
    } while (done < BATCH_OPS && clock_ns() - begin < POLL_NS);
    return done;
}

/* Worker 0 has its round ended, and then the others leave. */
static void leave(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    seat_t *seat = worker->state;
    if (worker->index == 0) {
        atomic_store_explicit(&shared->over, true, memory_order_relaxed);
        scheduler_stop(shared->scheduler);
        for (unsigned turn = 0; shared->open && !is_over(shared); turn++)
            spin_hint(scheduler_run(seat->on, 1) > 0 ? 0 : turn);
        atomic_store_explicit(&shared->closed, true, memory_order_release);
    }
    for (unsigned turn = 0; !atomic_load_explicit(&shared->closed, memory_order_acquire); turn++)
        spin_hint(scheduler_run(seat->on, BATCH_OPS) > 0 ? 0 : turn);
    scheduler_detach(seat->on);
}

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    run_counter(worker->run, "rounds_handed_in", (double)(shared->rounds[HANDED_IN] + shared->rounds[HANDED_IN_AT_ONCE]), "1");
    run_counter(worker->run, "rounds_spawned", (double)(shared->rounds[SPAWNED] + shared->rounds[SPAWNED_AT_ONCE]), "1");
    run_counter(worker->run, "rounds_bound", (double)shared->rounds[BOUND], "1");
    run_counter(worker->run, "rounds_unblocked", (double)shared->rounds[BLOCKING], "1");
    run_counter(worker->run, "rounds_met", (double)shared->met, "1");
    run_counter(worker->run, "looks", (double)shared->looks, "1");
    run_counter(worker->run, "parks", (double)scheduler_stats(shared->scheduler).parks, "1");
    scheduler_destroy(shared->scheduler);
    free(shared->seats);
    free(shared);
}

static bench_t bench = {
    .name = "scheduler_idle",
    .summary = "work made ready beside CPUs that sleep, or are about to: none may sleep on",
    .unit_of_work = "one task made ready and run elsewhere",
    .contracts = "S3",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = check,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
