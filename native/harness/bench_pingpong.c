/* One cache line between two threads, there and back: what it costs two CPUs (--cpus A,B) to talk to each other. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "cpu.h"
#include "harness.h"

enum { SPINS = 4096, IDLE_ROUNDS = 256, SAMPLES = 1 << 16 };

typedef struct {
    _Alignas(CPU_PAIR) _Atomic uint64_t ball; /* odd: worker 1's turn. Written by the two in turn */
    _Alignas(CPU_PAIR) _Atomic bool gone;     /* one of them has left */
    /* worker 0 alone */
    _Alignas(CPU_PAIR) double *samples;
    size_t clean, dropped;
} shared_t;

static bool check(const run_t *run, char *why, size_t size) {
    if (run->options->threads == 2)
        return true;
    snprintf(why, size, "is between two threads, not %d", run->options->threads);
    return false;
}

static bool setup(run_t *run) {
    shared_t *shared = aligned_alloc(_Alignof(shared_t), sizeof *shared);
    double *samples = calloc(SAMPLES, sizeof *samples);
    if (!shared || !samples) {
        run_fail(run, "memory exhausted: the samples");
        free(samples);
        free(shared);
        return false;
    }
    *shared = (shared_t){.samples = samples};
    run->shared = shared;
    return true;
}

static bool enter(worker_t *worker) {
    worker->state = worker->run->shared;
    return true;
}

static long switches(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* Until it is `turn`'s turn; false when the other one has left, or does not come. */
static bool await(const shared_t *shared, uint64_t turn, uint64_t *ball) {
    for (unsigned round = 0; round < IDLE_ROUNDS; round++) {
        for (unsigned spin = 0; spin < SPINS; spin++) {
            *ball = atomic_load_explicit(&shared->ball, memory_order_acquire);
            if (*ball % 2 == turn)
                return true;
            cpu_relax();
        }
        if (atomic_load_explicit(&shared->gone, memory_order_relaxed))
            return false;
        sched_yield();
    }
    return false; /* the harness may want us to end; the next batch goes on waiting */
}

static uint64_t batch(worker_t *worker) {
    shared_t *shared = worker->state;
    uint64_t done = 0, ball = 0;
    long switched = switches();
    uint64_t begin = clock_ns();
    while (done < BATCH_OPS && await(shared, (uint64_t)worker->index, &ball)) {
        atomic_store_explicit(&shared->ball, ball + 1, memory_order_release);
        done++;
    }
    uint64_t elapsed = clock_ns() - begin;
    if (worker->index == 1 || done < BATCH_OPS || !run_measuring(worker->run))
        return worker->index == 1 ? 0 : done; /* a trip there and back is one operation */
    if (switches() != switched)
        shared->dropped++;
    else if (shared->clean < SAMPLES)
        shared->samples[shared->clean++] = (double)elapsed / BATCH_OPS;
    return done;
}

static void leave(worker_t *worker) {
    shared_t *shared = worker->state;
    atomic_store_explicit(&shared->gone, true, memory_order_relaxed);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    qsort(shared->samples, shared->clean, sizeof *shared->samples, by_size);
    if (shared->clean > 0) {
        run_metric(worker->run, "round_trip_ns", shared->samples[shared->clean / 2], "ns");
        run_metric(worker->run, "round_trip_least_ns", shared->samples[0], "ns");
    }
    run_counter(worker->run, "clean", (double)shared->clean, "1");
    run_counter(worker->run, "dropped", (double)shared->dropped, "1");
    free(shared->samples);
    free(shared);
}

static bench_t bench = {
    .name = "pingpong",
    .summary = "one cache line between two threads, there and back; --cpus says between which CPUs",
    .unit_of_work = "one round trip of the line",
    .check = check,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
