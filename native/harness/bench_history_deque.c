/* Histories of the deque: worker 0 pushes and pops, the others steal, ask and take by force; every window starts with an empty one. */
#include <stdlib.h>
#include <string.h>

#include "deque.h"
#include "history.h"

enum { WINDOWS, CALLS, MODE };
enum { MODE_ASYMMETRIC, MODE_FENCED };
enum { STEAL_MOST = 4, PUSH_MOST = 4 };
static const char *const modes[] = {"asymmetric", "fenced", NULL};

static const setting_t settings[] = {
    [WINDOWS] = SETTING_INTEGER("windows", 500, 1, 20000, "windows that are recorded; the run goes on without"),
    [CALLS] = SETTING_INTEGER("calls", 48, 1, 256, "of the owner in a window, and successful ones of each thief"),
    [MODE] = SETTING_ONE_OF("mode", MODE_ASYMMETRIC, modes, "whether the owner's pop fences"),
};

typedef struct {
    deque_t deque;
    history_t *history;
    uint64_t pushed; /* in all; the owner's */
    rng_t rng;       /* worker 0's */
    uint32_t pushes; /* of 16 calls of the owner in this window; 0: as it comes */
    _Alignas(CPU_PAIR) _Atomic bool over; /* the owner has made its calls */
    rng_t thieves[];
} shared_t;

static bool begin_deque(shared_t *shared, bool asymmetric) {
    static const uint64_t firsts[] = {0, ((uint64_t)1 << 40) - 9, ((uint64_t)3 << 40) + 1, (uint64_t)0 - 40};
    return deque_begin(&shared->deque, 2, firsts[rng_below(&shared->rng, 4)], asymmetric) == STATUS_OK;
}

static bool setup(run_t *run) {
    bool asymmetric = run_int(run, MODE) == MODE_ASYMMETRIC;
    size_t threads = (size_t)run->options->threads, calls = (size_t)run_int(run, CALLS);
    size_t bytes = sizeof(shared_t) + threads * sizeof(rng_t);
    shared_t *shared = aligned_alloc(_Alignof(shared_t), (bytes + CPU_PAIR - 1) / CPU_PAIR * CPU_PAIR);
    if (!shared) {
        run_fail(run, "memory exhausted: a deque");
        return false;
    }
    memset(shared, 0, bytes);
    run->shared = shared;
    shared->rng = rng_seeded(run->options->seed);
    for (size_t i = 0; i < threads; i++)
        shared->thieves[i] = rng_seeded(run->options->seed + 1 + i);
    if (asymmetric && !atomics_have_asymmetric()) {
        run_fail(run, "this system has no membarrier: mode=fenced");
        return false;
    }
    /* the owner empties what it pushed; a steal answers up to STEAL_MOST */
    size_t most = calls * (1 + PUSH_MOST) + 2;
    shared->history = history_make(run, "deque", (uint32_t)run_int(run, WINDOWS), most, 2 * most + calls * STEAL_MOST);
    if (shared->history && !begin_deque(shared, asymmetric))
        run_fail(run, "memory exhausted: a deque");
    return shared->history && shared->deque.ring;
}

static bool enter(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    worker->state = &shared->history->logs[worker->index];
    return true;
}

/* ---- the owner ---- */
static void push(worker_t *worker, history_log_t *log, shared_t *shared) {
    uint64_t values[PUSH_MOST];
    void *items[PUSH_MOST];
    uint32_t count = rng_below(&shared->rng, 4) ? 1 : 1 + rng_below(&shared->rng, PUSH_MOST);
    for (uint32_t i = 0; i < count; i++)
        items[i] = (void *)(uintptr_t)(values[i] = ++shared->pushed);
    history_call_t *call = history_call(log, "push", 0);
    history_give(log, call, HISTORY_LIST, values, count);
    history_begin(call);
    bool done = count == 1 ? deque_push(&shared->deque, items[0]) : deque_push_batch(&shared->deque, items, count);
    history_end(call);
    if (!done)
        run_violation(worker, "S1", "a push of %u items fails", count);
}

static bool pop(history_log_t *log, shared_t *shared, bool oldest) {
    history_call_t *call = history_call(log, oldest ? "pop_oldest" : "pop", 0);
    history_begin(call);
    void *item = oldest ? deque_pop_oldest(&shared->deque) : deque_pop(&shared->deque);
    history_end(call);
    if (item)
        history_answer_one(log, call, (uint64_t)(uintptr_t)item);
    else if (oldest) /* somebody was faster, or it was empty: no matter */
        history_forget(log, call);
    return item != NULL;
}

static uint64_t own(worker_t *worker, history_log_t *log, shared_t *shared) {
    uint64_t calls = (uint64_t)run_int(worker->run, CALLS);
    for (uint64_t i = 0; i < calls; i++) {
        uint32_t what = rng_below(&shared->rng, 16);
        if (what < shared->pushes)
            push(worker, log, shared);
        else if (what == 15)
            deque_expose(&shared->deque);
        else
            (void)pop(log, shared, what == 14);
        for (uint32_t spin = rng_below(&shared->rng, 4) ? 0 : rng_below(&shared->rng, 32); spin > 0; spin--)
            cpu_relax();
    }
    atomic_store_explicit(&shared->over, true, memory_order_relaxed);
    return calls;
}

/* ---- thieves ---- */
static uint64_t steal(worker_t *worker, history_log_t *log, shared_t *shared) {
    rng_t *rng = &shared->thieves[worker->index];
    uint64_t calls = (uint64_t)run_int(worker->run, CALLS), done = 0;
    while (done < calls && !atomic_load_explicit(&shared->over, memory_order_relaxed)) {
        void *items[STEAL_MOST];
        uint64_t values[STEAL_MOST];
        if (rng_below(rng, 4) == 0 && deque_ask(&shared->deque) && rng_below(rng, 4) == 0)
            (void)deque_force(&shared->deque);
        history_call_t *call = history_call(log, "steal", 0);
        history_begin(call);
        uint32_t count = deque_steal(&shared->deque, items, 1 + rng_below(rng, STEAL_MOST));
        history_end(call);
        for (uint32_t i = 0; i < count; i++)
            values[i] = (uint64_t)(uintptr_t)items[i];
        if (count == 0) /* none was exposed, or somebody was faster: no matter */
            history_forget(log, call);
        else
            history_answer(log, call, HISTORY_LIST, values, count);
        done += count != 0;
    }
    return done;
}

/* ---- between two windows: nobody else is at it ---- */
static void empty(worker_t *worker, history_log_t *log, shared_t *shared) {
    uint64_t most = (uint64_t)run_int(worker->run, CALLS) * PUSH_MOST, count = 0;
    while (count <= most && pop(log, shared, false))
        count++;
    uint64_t left = deque_size(&shared->deque);
    if (count > most || left > 0) /* of which there may be no end */
        run_violation(worker, "S1", "%llu items come out of a deque at rest, and then it has %llu", (unsigned long long)count,
                      (unsigned long long)left);
    if (count > most || left > 0 || rng_below(&shared->rng, 4) == 0) {
        deque_end(&shared->deque);
        if (!begin_deque(shared, run_int(worker->run, MODE) == MODE_ASYMMETRIC))
            run_fail(worker->run, "memory exhausted: a deque");
    }
    shared->pushes = 3 + rng_below(&shared->rng, 9);
    atomic_store_explicit(&shared->over, false, memory_order_relaxed);
    history_close(log);
}

static uint64_t batch(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    history_log_t *log = worker->state;
    if (!history_enter(log))
        return 0;
    uint64_t done = worker->index == 0 ? own(worker, log, shared) : steal(worker, log, shared);
    history_settle(log);
    if (worker->index == 0)
        empty(worker, log, shared);
    return done;
}

static void leave(worker_t *worker) { history_leave(worker->state); }

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    run_counter(worker->run, "windows", (double)shared->history->windows, "1");
    run_history(worker->run, shared->history);
    deque_end(&shared->deque);
    free(shared);
}

static bench_t bench = {
    .name = "history_deque",
    .summary = "histories of one deque, of its owner and of thieves, in windows, for the analysis linearizability",
    .unit_of_work = "one call",
    .contracts = "S1",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
