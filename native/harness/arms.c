#include "arms.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "cpu.h"
#include "histogram.h"

enum {
    LANES_MAX = 28,
    SAMPLES_MAX = 16384, /* of a lane that count; later ones would change no median */
    SAMPLE_NS = 50000,   /* what a sample of an arm without fixed_ops is to take */
    LONG_NS = 1000000,   /* a sample that hardly ever passes without a tick of somebody else */
    OPS_FIRST = 64,      /* before it is known how long an operation takes */
    SPINS = 4000,        /* rounds of waiting before the CPU is given away */
    NAME_BYTES = 48
};
static const uint64_t PS_HIGHEST = 3600ull * 1000000000000ull; /* an hour */

static arm_t *arms;

/* In order of kind, then of name: the same in every build. */
static bool before(const arm_t *a, const arm_t *b) {
    return a->kind != b->kind ? a->kind < b->kind : strcmp(a->name, b->name) < 0;
}

void arm_register(arm_t *arm) {
    arm_t **at = &arms;
    while (*at && before(*at, arm))
        at = &(*at)->next;
    arm->next = *at;
    *at = arm;
}

/* One arm as it is measured. Written by worker 0 while the others wait at a meeting. */
typedef struct {
    const arm_t *arm;
    void *shared;
    bool alone;
    uint64_t ops;
    double *samples; /* ns per operation, of one thread */
    uint32_t clean, dropped;
    char metric[NAME_BYTES], clean_name[NAME_BYTES], dropped_name[NAME_BYTES];
} lane_t;

/* What one worker says of a sample. Written by it before a meeting, read by worker 0 after it. */
typedef struct {
    _Alignas(128) uint64_t begin, end, ops;
    bool clean;
} slot_t;

typedef struct {
    uint64_t clock_cost; /* ns that reading the clock twice takes, and that are not the sample's */
    lane_t lanes[LANES_MAX];
    int count, owned; /* the first `owned` lanes have a shared of their own */
    slot_t *slots;
    _Alignas(128) _Atomic uint64_t arrived; /* at meetings, all workers and all times */
    _Alignas(128) _Atomic bool gone;        /* somebody has left: there is no meeting any more */
} panel_t;

static panel_t the_panel; /* one run in a process; the names of its lanes are those of metrics */

typedef struct {
    _Alignas(128) void *states[LANES_MAX];
    uint64_t meetings, turn;
} state_t;

/* ---- before and after ---- */
static bool add_lane(run_t *run, const arm_t *arm, void *shared, bool alone, const char *suffix) {
    panel_t *panel = run->shared;
    if (panel->count == LANES_MAX) {
        run_fail(run, "more than %d arms", LANES_MAX);
        return false;
    }
    lane_t *lane = &panel->lanes[panel->count++];
    *lane = (lane_t){.arm = arm, .shared = shared, .alone = alone};
    lane->ops = arm->fixed_ops ? arm->fixed_ops : OPS_FIRST;
    snprintf(lane->metric, sizeof lane->metric, "%s%s_ns", arm->name, suffix);
    snprintf(lane->clean_name, sizeof lane->clean_name, "%s%s_clean", arm->name, suffix);
    snprintf(lane->dropped_name, sizeof lane->dropped_name, "%s%s_dropped", arm->name, suffix);
    lane->samples = malloc(SAMPLES_MAX * sizeof *lane->samples);
    if (!lane->samples)
        run_fail(run, "memory exhausted: the samples of %s", arm->name);
    return lane->samples != NULL;
}

static bool is_part(const run_t *run, const arm_t *arm) {
    if (arm->bench && strcmp(arm->bench, run->options->bench->name) != 0)
        return false;
    return !arm->planned || arm->planned(run);
}

static uint64_t clock_cost(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t begin = clock_ns();
        uint64_t cost = clock_ns() - begin;
        least = cost < least ? cost : least;
    }
    return least;
}

bool arms_setup(run_t *run) {
    int threads = run->options->threads;
    panel_t *panel = &the_panel;
    run->shared = panel;
    panel->clock_cost = clock_cost();
    panel->slots = aligned_alloc(_Alignof(slot_t), (size_t)threads * sizeof(slot_t));
    if (!panel->slots) {
        run_fail(run, "memory exhausted: %d workers", threads);
        return false;
    }
    for (const arm_t *arm = arms; arm; arm = arm->next) {
        void *shared = NULL;
        if (!is_part(run, arm))
            continue;
        if (arm->setup && !arm->setup(run, &shared))
            return false;
        if (!add_lane(run, arm, shared, arm->alone, ""))
            return false;
    }
    panel->owned = panel->count;
    for (int i = 0; i < panel->owned && threads > 1; i++)
        if (panel->lanes[i].arm->scales && !add_lane(run, panel->lanes[i].arm, panel->lanes[i].shared, true, "_1t"))
            return false;
    return true;
}

bool arms_enter(worker_t *worker) {
    panel_t *panel = worker->run->shared;
    state_t *state = aligned_alloc(_Alignof(state_t), sizeof *state);
    worker->state = state;
    if (!state) {
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    memset(state, 0, sizeof *state);
    for (int i = 0; i < panel->owned; i++) {
        const lane_t *lane = &panel->lanes[i];
        if (lane->arm->enter && !lane->arm->enter(worker, lane->shared, &state->states[i]))
            return false;
    }
    for (int i = panel->owned; i < panel->count; i++)
        for (int j = 0; j < panel->owned; j++)
            if (panel->lanes[j].arm == panel->lanes[i].arm)
                state->states[i] = state->states[j];
    return true;
}

void arms_leave(worker_t *worker) {
    panel_t *panel = worker->run->shared;
    state_t *state = worker->state;
    atomic_store_explicit(&panel->gone, true, memory_order_relaxed);
    for (int i = 0; i < panel->owned; i++) {
        const lane_t *lane = &panel->lanes[i];
        if (lane->arm->leave)
            lane->arm->leave(worker, lane->shared, state->states[i]);
    }
    free(state);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(run_t *run, lane_t *lane) {
    run_counter(run, lane->clean_name, lane->clean, "1");
    run_counter(run, lane->dropped_name, lane->dropped, "1");
    size_t count = lane->clean < SAMPLES_MAX ? lane->clean : SAMPLES_MAX;
    if (count == 0)
        return;
    histogram_t *histogram = histogram_create(PS_HIGHEST, HISTOGRAM_DIGITS);
    for (size_t i = 0; histogram && i < count; i++)
        histogram_record(histogram, (uint64_t)(lane->samples[i] * 1e3 + 0.5), 1);
    qsort(lane->samples, count, sizeof *lane->samples, by_size);
    run_metric(run, lane->metric, lane->samples[count / 2], "ns");
    run_histogram(run, lane->metric, "ps", histogram);
}

void arms_finish(worker_t *worker) {
    run_t *run = worker->run;
    panel_t *panel = run->shared;
    for (int i = 0; i < panel->count; i++) {
        report(run, &panel->lanes[i]);
        free(panel->lanes[i].samples);
    }
    for (int i = 0; i < panel->owned; i++)
        if (panel->lanes[i].arm->finish)
            panel->lanes[i].arm->finish(run, panel->lanes[i].shared);
    free(panel->slots);
}

/* ---- one sample ---- */
/* All workers come to the same point. What each wrote before is visible to all after it. False: somebody has left. */
static bool meet(worker_t *worker) {
    panel_t *panel = worker->run->shared;
    state_t *state = worker->state;
    uint64_t threads = (uint64_t)worker->run->options->threads;
    if (threads == 1)
        return true;
    uint64_t all = ++state->meetings * threads;
    atomic_fetch_add_explicit(&panel->arrived, 1, memory_order_acq_rel);
    for (unsigned round = 0; atomic_load_explicit(&panel->arrived, memory_order_acquire) < all; round++) {
        if (atomic_load_explicit(&panel->gone, memory_order_relaxed))
            return false;
        if (round < SPINS)
            cpu_relax();
        else
            sched_yield();
    }
    return true;
}

static long switches(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* The next sample of this lane is to take about SAMPLE_NS; once it does, its length stays. */
static void adapt(lane_t *lane, uint64_t elapsed) {
    if (lane->arm->fixed_ops || elapsed > SAMPLE_NS * 3 / 4)
        return;
    uint64_t factor = SAMPLE_NS / (elapsed ? elapsed : 1);
    lane->ops *= factor > 8 ? 8 : factor < 2 ? 2 : factor;
}

/* Worker 0, while the others wait: what all have said of the sample. */
static void judge(worker_t *worker, lane_t *lane) {
    const panel_t *panel = worker->run->shared;
    int threads = lane->alone ? 1 : worker->run->options->threads;
    uint64_t first = UINT64_MAX, last_begin = 0, end = 0, ops = 0;
    bool clean = true;
    int active = 0;
    for (int i = 0; i < threads; i++) {
        const slot_t *slot = &panel->slots[i];
        clean = clean && slot->clean;
        if (slot->ops == 0)
            continue; /* it only waited */
        first = slot->begin < first ? slot->begin : first;
        last_begin = slot->begin > last_begin ? slot->begin : last_begin;
        end = slot->end > end ? slot->end : end;
        ops += slot->ops;
        active++;
    }
    if (ops == 0)
        return;
    uint64_t elapsed = end - first;
    elapsed -= elapsed > panel->clock_cost ? panel->clock_cost : elapsed;
    uint64_t length = lane->ops;
    adapt(lane, elapsed);
    if (!run_measuring(worker->run) || lane->ops != length)
        return;
    /* who began late was not beside the others: a tenth of the sample is the most */
    if (!clean || (last_begin - first) * 10 > elapsed) {
        lane->dropped++;
        return;
    }
    if (lane->clean < SAMPLES_MAX)
        lane->samples[lane->clean] = (double)elapsed * active / (double)ops;
    lane->clean++;
}

static uint64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void take(worker_t *worker, const lane_t *lane, void *state, const sample_t *sample) {
    panel_t *panel = worker->run->shared;
    slot_t *slot = &panel->slots[worker->index];
    long switched = switches();
    uint64_t on_cpu = cpu_ns();
    slot->begin = clock_ns();
    slot->ops = lane->arm->sample(worker, lane->shared, state, sample);
    slot->end = clock_ns();
    on_cpu = cpu_ns() - on_cpu;
    uint64_t elapsed = slot->end - slot->begin;
    slot->clean = switches() == switched || (elapsed > LONG_NS && on_cpu >= elapsed / 100 * 99);
}

/* A rehearsal, which fills caches and branch predictors, and the sample itself. */
uint64_t arms_batch(worker_t *worker) {
    panel_t *panel = worker->run->shared;
    state_t *state = worker->state;
    uint64_t turn = state->turn++;
    int at = (int)(turn % (uint64_t)panel->count);
    lane_t *lane = &panel->lanes[at];
    bool waits = lane->alone && worker->index > 0;
    for (int i = 0; i < 2; i++) {
        if (!waits && lane->arm->prepare)
            lane->arm->prepare(worker, lane->shared, state->states[at]);
        if (!meet(worker))
            return 0;
        sample_t sample = {lane->ops, turn / (uint64_t)panel->count};
        if (!waits)
            take(worker, lane, state->states[at], &sample);
        if (!meet(worker))
            return 0;
    }
    if (worker->index == 0)
        judge(worker, lane);
    return waits ? 0 : panel->slots[worker->index].ops;
}

bool arms_one_thread(const run_t *run, char *why, size_t size) {
    if (run->options->threads == 1)
        return true;
    snprintf(why, size, "measures one thread, not %d", run->options->threads);
    return false;
}
