#include "window.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "asleep.h"
#include "histogram.h"
#include "history.h"
#include "placed.h"
#include "placement.h"
#include "records.h"
#include "stall.h"
#include "stutter.h"
#include "window_state.h"

enum {
    MS = 1000000,
    GLANCE_NS = 100 * MS,     /* how often the main thread looks for violations */
    FINISH_NS = 85 * MS,      /* SIGTERM: how long until the last oracles are given up */
    STACK_BYTES = 1024 * 1024
};
/* Without SIGTERM: after this a worker is stuck, if they had their chance: all of them slept at so many glances, or used as much of the
 * CPUs. Who waits for a CPU is not stuck; only after GIVE_UP_NS that is all one. */
static const uint64_t STUCK_NS = 20000ull * MS, GIVE_UP_NS = 600000ull * MS;
enum { STUCK_GLANCES = 150 };

/* ---- time ---- */
static uint64_t process_start;

uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((constructor)) static void note_process_start(void) { process_start = clock_ns(); }

static double since_start(uint64_t ns) { return (double)(int64_t)(ns - process_start) * 1e-9; }
double clock_since_start(void) { return since_start(clock_ns()); }

void end_at_once(int status) {
    for (;;)
        (void)syscall(SYS_exit_group, status);
}

int64_t run_int(const run_t *run, size_t setting) { return run->options->settings[setting].i; }
double run_float(const run_t *run, size_t setting) { return run->options->settings[setting].f; }

bool run_measuring(const run_t *run) {
    return atomic_load_explicit(&run->window->phase, memory_order_relaxed) == PHASE_MEASURE;
}

/* ---- signals: blocked everywhere, taken by the main thread where it waits ---- */
static void signals_of_main(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
}

void window_block_signals(void) {
    sigset_t set;
    signals_of_main(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of writing, not a death */
}

static uint64_t asked_to_stop_ns; /* 0: not asked; main thread only */

/* Waits until `until_ns`, a wake from a worker, or a request to stop, whichever is first. */
static void wait_until(uint64_t until_ns) {
    sigset_t set;
    signals_of_main(&set);
    uint64_t now = clock_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    int got = sigtimedwait(&set, NULL, &timeout);
    if (got > 0 && got != SIGUSR1 && !asked_to_stop_ns)
        asked_to_stop_ns = clock_ns();
}

/* ---- workers ---- */
static void work(const bench_t *bench, struct window *window, seat_t *seat) {
    uint64_t done = 0;
    for (;;) {
        int phase = atomic_load_explicit(&window->phase, memory_order_relaxed);
        if (phase == PHASE_STOP)
            break;
        if (phase == PHASE_MEASURE && atomic_load_explicit(&seat->base, memory_order_relaxed) == NOT_BEGUN) {
            seat->began_ns = clock_ns();
            atomic_store_explicit(&seat->base, done, memory_order_relaxed);
        }
        done += bench->batch(&seat->worker);
        atomic_store_explicit(&seat->done, done, memory_order_relaxed);
    }
    seat->ended_ns = clock_ns();
}

static bool prepare(const bench_t *bench, seat_t *seat) {
    struct window *window = seat->worker.run->window;
    if (seat->worker.index == 0 && !bench->setup(seat->worker.run))
        return false;
    pthread_barrier_wait(&window->prepared);
    return !bench->enter || bench->enter(&seat->worker);
}

static void *worker_main(void *argument) {
    seat_t *seat = argument;
    run_t *run = seat->worker.run;
    struct window *window = run->window;
    const bench_t *bench = run->options->bench;
    stall_enroll(run, seat->worker.index);
    if (!prepare(bench, seat)) {
        run_fail(run, "worker %d could not be prepared", seat->worker.index); /* keeps an earlier reason */
        return NULL;
    }
    if (atomic_fetch_add_explicit(&window->arrived, 1, memory_order_acq_rel) + 1 == window->threads)
        window_wake_main(window);
    pthread_barrier_wait(&window->start);
    work(bench, window, seat);
    if (bench->leave)
        bench->leave(&seat->worker);
    pthread_barrier_wait(&window->left);
    if (seat->worker.index == 0) {
        placed_count(run);
        bench->finish(&seat->worker);
        atomic_store_explicit(&window->finished, true, memory_order_release);
        window_wake_main(window);
    }
    return NULL;
}

static bool start_workers(const options_t *options, run_t *run) {
    struct window *window = run->window;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (int i = 0; i < options->threads; i++) {
        seat_t *seat = &window->seats[i];
        seat->base = NOT_BEGUN;
        seat->worker = (worker_t){.run = run, .index = i, .seed = rng_mix(options->seed) + (uint64_t)i};
        if (!placement_pin(&attributes, options, i)) {
            run_fail(run, "worker %d cannot be pinned to CPU %d", i, options->cpus[i]);
            return false;
        }
        int rc = pthread_create(&seat->thread, &attributes, worker_main, seat);
        if (rc != 0) {
            run_fail(run, "thread %d of %d could not be started: %s", i + 1, options->threads, strerror(rc));
            return false;
        }
    }
    pthread_attr_destroy(&attributes);
    return true;
}

/* ---- what the main thread keeps of the time ---- */
typedef struct {
    uint64_t begin_ns, end_ns; /* of the measured window */
    uint64_t last_ns;          /* end of the last interval record */
    uint64_t last_ops;         /* total at that moment */
} timing_t;

static bool stop_asked(const struct window *window) {
    return asked_to_stop_ns || atomic_load_explicit(&window->failed, memory_order_acquire);
}

static uint64_t total_done(const struct window *window, phase_t phase) {
    uint64_t total = 0;
    for (int i = 0; i < window->threads; i++) {
        const seat_t *seat = &window->seats[i];
        uint64_t base = atomic_load_explicit(&seat->base, memory_order_relaxed);
        uint64_t done = atomic_load_explicit(&seat->done, memory_order_relaxed);
        if (phase == PHASE_WARMUP)
            total += done;
        else if (base != NOT_BEGUN && done > base)
            total += done - base;
    }
    return total;
}

static void print_interval(struct window *window, timing_t *timing, phase_t phase, uint64_t now) {
    uint64_t total = total_done(window, phase);
    record_open("interval");
    record_text("phase", phase == PHASE_WARMUP ? "warmup" : "measure");
    record_number("t", since_start(now));
    record_number("dt", (double)(now - timing->last_ns) * 1e-9);
    record_unsigned("ops", total - timing->last_ops);
    record_close();
    timing->last_ns = now;
    timing->last_ops = total;
}

/* One phase: from `begin` for `seconds`, an interval record each `interval_s` but the last, which the
 * caller prints when the phase has really ended. */
static void pass_phase(run_t *run, timing_t *timing, phase_t phase, uint64_t begin, double seconds) {
    const options_t *options = run->options;
    struct window *window = run->window;
    uint64_t end = begin + (uint64_t)(seconds * 1e9);
    uint64_t step = (uint64_t)(options->interval_s * 1e9);
    uint64_t tick = step ? begin + step : UINT64_MAX;
    timing->last_ns = begin;
    timing->last_ops = 0;
    for (uint64_t now = begin; now < end && !stop_asked(window); now = clock_ns()) {
        if (now >= tick && tick < end - step / 100) {
            print_interval(window, timing, phase, now);
            tick += step * (1 + (now - tick) / step);
        }
        evidence_print(window);
        uint64_t until = now + GLANCE_NS;
        until = until < tick ? until : tick;
        uint64_t stall = phase == PHASE_MEASURE ? stall_step(run, now) : UINT64_MAX;
        until = until < stall ? until : stall;
        uint64_t stutter = phase == PHASE_MEASURE ? stutter_step(run, now) : UINT64_MAX;
        until = until < stutter ? until : stutter;
        wait_until(until < end ? until : end);
    }
}

/* The moment of a change of phase: not before it was stored, and no worker saw it earlier. */
static uint64_t change_phase(struct window *window, phase_t phase) {
    atomic_store_explicit(&window->phase, phase, memory_order_relaxed);
    return clock_ns();
}

/* The main thread may lose its CPU between storing a phase and reading the clock; a worker that saw the
 * change earlier than that gives the better time. */
static void correct_times(const struct window *window, timing_t *timing) {
    for (int i = 0; i < window->threads; i++) {
        const seat_t *seat = &window->seats[i];
        if (seat->base == NOT_BEGUN)
            continue;
        timing->begin_ns = seat->began_ns < timing->begin_ns ? seat->began_ns : timing->begin_ns;
        timing->end_ns = seat->ended_ns < timing->end_ns ? seat->ended_ns : timing->end_ns;
    }
}

/* ---- the end ---- */
static void print_figures(const char *type, const figure_t *figures, int count) {
    for (int i = 0; i < count; i++) {
        record_open(type);
        record_text("name", figures[i].name);
        record_number("value", figures[i].value);
        record_text("unit", figures[i].unit);
        record_close();
    }
}

static void print_histograms(struct window *window) {
    static char text[HISTOGRAM_TEXT_MAX];
    for (int i = 0; i < window->histograms_count; i++) {
        distribution_t *one = &window->histograms[i];
        if (histogram_encode(one->histogram, text) == 0) {
            record_open("histogram");
            record_text("metric", one->metric);
            record_text("unit", one->unit);
            record_text("phase", "measure");
            record_text("encoding", "hdr-v2-base64");
            record_text("data", text);
            record_close();
        }
        histogram_free(one->histogram);
    }
    window->histograms_count = 0;
}

static void put_metric(const char *name, double value, const char *unit) {
    record_object(NULL);
    record_text("metric", name);
    record_number("value", value);
    record_text("unit", unit);
    record_object_end();
}

static void put_metrics(const struct window *window, double seconds, uint64_t ops, bool complete) {
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < window->threads; i++) {
        const seat_t *seat = &window->seats[i];
        uint64_t base = atomic_load_explicit(&seat->base, memory_order_relaxed);
        uint64_t mine = base == NOT_BEGUN ? 0 : atomic_load_explicit(&seat->done, memory_order_relaxed) - base;
        least = mine < least ? mine : least;
        most = mine > most ? mine : most;
    }
    record_list("metrics");
    put_metric("ops_per_second", seconds > 0 ? (double)ops / seconds : 0, "1/s");
    if (ops > 0) /* without operations there is no time per operation, and 0 would be a record */
        put_metric("ns_per_op", seconds * 1e9 * window->threads / (double)ops, "ns");
    put_metric("thread_ops_min", (double)least, "1");
    put_metric("thread_ops_max", (double)most, "1");
    for (int i = 0; complete && i < window->metrics_count; i++)
        put_metric(window->metrics[i].name, window->metrics[i].value, window->metrics[i].unit);
    record_list_end();
}

/* The last lines. `complete`: every worker has left and finish is through. */
static int print_result(struct window *window, const timing_t *timing, bool complete) {
    evidence_print(window);
    if (complete) {
        print_figures("counter", window->counters, window->counters_count);
        print_histograms(window);
        evidence_print_decisions(window);
        history_print_all(window, asked_to_stop_ns == 0);
    }
    uint64_t violations = atomic_load_explicit(&window->violations, memory_order_relaxed);
    bool failed = atomic_load_explicit(&window->failed, memory_order_acquire);
    const char *status = violations ? "violated" : failed ? "error" : asked_to_stop_ns ? "stopped" : "ok";
    bool measured = timing->begin_ns != 0;
    double seconds = measured ? (double)(timing->end_ns - timing->begin_ns) * 1e-9 : 0;
    uint64_t ops = measured ? total_done(window, PHASE_MEASURE) : 0;
    if (failed)
        fprintf(stderr, "orch-harness: %s\n", window->failure);
    record_open("result");
    record_text("status", status);
    record_number("seconds", seconds);
    record_unsigned("ops", ops);
    record_unsigned("violations", violations);
    put_metrics(window, seconds, ops, complete);
    if (failed)
        record_text("message", window->failure);
    record_close();
    return violations || failed ? EXIT_BAD : EXIT_GOOD;
}

/* Until every worker has entered; false where one failed or we were asked to stop. */
static bool wait_for_start(struct window *window) {
    while (atomic_load_explicit(&window->arrived, memory_order_acquire) < window->threads) {
        if (stop_asked(window))
            return false;
        wait_until(clock_ns() + GLANCE_NS);
    }
    return !stop_asked(window);
}

/* ---- the end ---- */
static uint64_t processor_ns(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Or gone. */
static bool all_asleep(const struct window *window) {
    for (int i = 0; i < window->threads; i++)
        if (!thread_is_asleep(window->seats[i].tid) && syscall(SYS_tgkill, getpid(), window->seats[i].tid, 0) == 0)
            return false;
    return true;
}

/* `waited` since the end of the window, when the process had used `used` of the CPUs; `asleep`: glances at which all workers slept. */
static bool is_stuck(const struct window *window, uint64_t waited, uint64_t used, int *asleep) {
    *asleep += all_asleep(window);
    bool had_their_chance = *asleep >= STUCK_GLANCES || processor_ns() - used >= STUCK_NS;
    return waited >= GIVE_UP_NS || (waited >= STUCK_NS && had_their_chance);
}

/* Until worker 0 is through finish; false where that takes too long. */
static bool wait_for_finish(run_t *run) {
    struct window *window = run->window;
    uint64_t begin = clock_ns(), used = processor_ns();
    int asleep = 0;
    while (!atomic_load_explicit(&window->finished, memory_order_acquire)) {
        uint64_t now = clock_ns();
        if (asked_to_stop_ns && now >= asked_to_stop_ns + FINISH_NS)
            return false;
        if (is_stuck(window, now - begin, used, &asleep)) {
            run_fail(run, "a worker did not come to its end within %.0f s of the end of the window: stuck", (double)(now - begin) * 1e-9);
            return false;
        }
        uint64_t until = now + GLANCE_NS;
        if (asked_to_stop_ns && asked_to_stop_ns + FINISH_NS < until)
            until = asked_to_stop_ns + FINISH_NS;
        wait_until(until);
    }
    return true;
}

static bool measure(const options_t *options, run_t *run, timing_t *timing) {
    struct window *window = run->window;
    if (!wait_for_start(window))
        return false;
    bool warm = options->warmup_s > 0;
    atomic_store_explicit(&window->phase, warm ? PHASE_WARMUP : PHASE_MEASURE, memory_order_relaxed);
    pthread_barrier_wait(&window->start);
    uint64_t now = clock_ns();
    if (warm) {
        pass_phase(run, timing, PHASE_WARMUP, now, options->warmup_s);
        if (options->interval_s > 0)
            print_interval(window, timing, PHASE_WARMUP, clock_ns());
        now = stop_asked(window) ? 0 : change_phase(window, PHASE_MEASURE);
    }
    if (now) {
        timing->begin_ns = now;
        stall_begin(run);
        stutter_begin(run);
        pass_phase(run, timing, PHASE_MEASURE, now, options->seconds);
        stall_end(run);
    }
    timing->end_ns = change_phase(window, PHASE_STOP);
    return true;
}

int window_run(const options_t *options) {
    static struct window window;
    static run_t run;
    timing_t timing = {0};
    window.threads = options->threads;
    window.main = pthread_self();
    pthread_mutex_init(&window.failure_lock, NULL);
    pthread_barrier_init(&window.prepared, NULL, (unsigned)options->threads);
    pthread_barrier_init(&window.left, NULL, (unsigned)options->threads);
    pthread_barrier_init(&window.start, NULL, (unsigned)options->threads + 1);
    run = (run_t){.options = options, .window = &window};
    size_t bytes = (size_t)options->threads * sizeof(seat_t);
    window.seats = aligned_alloc(_Alignof(seat_t), bytes);
    if (!window.seats) {
        window.threads = 0;
        run_fail(&run, "memory exhausted: %zu bytes for %d workers", bytes, options->threads);
        return print_result(&window, &timing, false);
    }
    memset(window.seats, 0, bytes);
    char why[EVIDENCE_BYTES];
    if (!placement_set_memory(options, why, sizeof why))
        run_fail(&run, "%s", why);
    placement_step_aside(options);
    bool began = !stop_asked(&window) && start_workers(options, &run) && measure(options, &run, &timing);
    bool complete = began && wait_for_finish(&run);
    if (complete) {
        correct_times(&window, &timing);
        stall_count(&run);
        stutter_count(&run);
    }
    if (timing.begin_ns && options->interval_s > 0)
        print_interval(&window, &timing, PHASE_MEASURE, timing.end_ns);
    int status = print_result(&window, &timing, complete);
    if (!complete)
        end_at_once(status); /* workers are still at it: not a moment to give memory back */
    for (int i = 0; i < window.threads; i++)
        pthread_join(window.seats[i].thread, NULL);
    free(window.seats);
    return status;
}
