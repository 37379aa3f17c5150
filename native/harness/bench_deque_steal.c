/* One deque, its owner and thieves on other cores: worker 0 pushes and pops, the others steal. Every item is taken exactly once. */
#include <stdlib.h>
#include <string.h>

#include "deque.h"
#include "harness.h"

enum { MODE, MAX, AHEAD, PATIENCE };
enum { MODE_ASYMMETRIC, MODE_FENCED };
static const char *const modes[] = {"asymmetric", "fenced", NULL};

static const setting_t settings[] = {
    [MODE] = SETTING_ONE_OF("mode", MODE_ASYMMETRIC, modes, "whether the owner's pop fences"),
    [MAX] = SETTING_INTEGER("max", 32, 1, 64, "items in one steal"),
    [AHEAD] = SETTING_INTEGER("ahead", 256, 1, 4096, "the owner pushes while there are fewer in the deque, and pops else"),
    [PATIENCE] = SETTING_INTEGER("patience", 64, 0, 65536, "looks of a thief that the owner leaves unanswered before it takes by force"),
};

/* What was put in, or what one worker took: equal sums of mixed numbers mean the same items, each once. */
typedef struct {
    _Alignas(128) uint64_t count, sum, mixed;
} tally_t;

typedef struct {
    deque_t deque;
    tally_t put_in;
    tally_t taken[]; /* per worker */
} shared_t;

static void add(tally_t *tally, uint64_t number) {
    tally->count++;
    tally->sum += number;
    tally->mixed += rng_mix(number);
}

static bool check(const run_t *run, char *why, size_t size) {
    if (run->options->threads >= 2)
        return true;
    (void)strncpy(why, "there is nobody to steal: --threads 2 or more", size - 1);
    return false;
}

static bool setup(run_t *run) {
    bool asymmetric = run_int(run, MODE) == MODE_ASYMMETRIC;
    size_t bytes = sizeof(shared_t) + (size_t)run->options->threads * sizeof(tally_t);
    shared_t *shared = aligned_alloc(_Alignof(shared_t), bytes);
    run->shared = shared;
    if (shared)
        memset(shared, 0, bytes);
    if (!shared || deque_begin(&shared->deque, 2, 0, asymmetric) != STATUS_OK) {
        run_fail(run, "memory exhausted: a deque");
        return false;
    }
    if (asymmetric && !atomics_have_asymmetric()) {
        run_fail(run, "this system has no membarrier: mode=fenced");
        return false;
    }
    return true;
}

static bool enter(worker_t *worker) {
    (void)worker;
    return true;
}

static void took(worker_t *worker, const void *item) {
    shared_t *shared = worker->run->shared;
    add(&shared->taken[worker->index], (uint64_t)(uintptr_t)item);
}

static uint64_t batch_owner(worker_t *worker, shared_t *shared) {
    uint64_t ahead = (uint64_t)run_int(worker->run, AHEAD), done = 0;
    for (int i = 0; i < BATCH_OPS; i++) {
        if (deque_size(&shared->deque) < ahead) {
            uint64_t number = shared->put_in.count + 1;
            add(&shared->put_in, number);
            if (!deque_push(&shared->deque, (void *)(uintptr_t)number))
                run_violation(worker, "S1", "a push of item %llu fails", (unsigned long long)number);
        } else {
            void *item = deque_pop(&shared->deque);
            if (item) {
                took(worker, item);
                done++;
            }
        }
    }
    return done;
}

static uint64_t batch_thief(worker_t *worker, shared_t *shared) {
    uint32_t max = (uint32_t)run_int(worker->run, MAX);
    int64_t patience = run_int(worker->run, PATIENCE), asked = 0;
    uint64_t done = 0;
    void *items[64];
    for (int i = 0; i < BATCH_OPS; i++) {
        uint32_t count = deque_steal(&shared->deque, items, max);
        for (uint32_t k = 0; k < count; k++)
            took(worker, items[k]);
        done += count;
        if (count == 0 && deque_ask(&shared->deque) && asked++ >= patience) {
            (void)deque_force(&shared->deque);
            asked = 0;
        }
    }
    return done;
}

static uint64_t batch(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    return worker->index == 0 ? batch_owner(worker, shared) : batch_thief(worker, shared);
}

static void leave(worker_t *worker) { (void)worker; }

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    for (void *item = deque_pop(&shared->deque); item; item = deque_pop(&shared->deque))
        took(worker, item);
    tally_t taken = {0};
    for (int i = 0; i < worker->run->options->threads; i++) {
        taken.count += shared->taken[i].count;
        taken.sum += shared->taken[i].sum;
        taken.mixed += shared->taken[i].mixed;
    }
    if (taken.count != shared->put_in.count || taken.sum != shared->put_in.sum || taken.mixed != shared->put_in.mixed)
        run_violation(worker, "S1", "%llu items put in, %llu taken; their sums are %llu and %llu",
                      (unsigned long long)shared->put_in.count, (unsigned long long)taken.count,
                      (unsigned long long)shared->put_in.sum, (unsigned long long)taken.sum);
    run_counter(worker->run, "grown", (double)atomic_load_relaxed_u64(&shared->deque.grown), "growths");
    deque_end(&shared->deque);
    free(shared);
}

static bench_t bench = {
    .name = "deque_steal",
    .summary = "one deque whose owner pushes and pops while the others steal batches",
    .unit_of_work = "one item taken",
    .contracts = "S1",
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
