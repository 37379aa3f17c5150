/* What the main thread and the workers of one run share. Private to window.c and evidence.c. */
#ifndef ORCH_WINDOW_STATE_H
#define ORCH_WINDOW_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"

typedef enum { PHASE_WARMUP, PHASE_MEASURE, PHASE_STOP } phase_t;

/* One per worker. Every field is written by that worker alone; the main thread reads the atomic ones
 * while it runs and the others after it has left. 128 bytes: neighbours are prefetched in pairs. */
typedef struct {
    _Alignas(128) _Atomic uint64_t done; /* operations since it began, written once per batch */
    _Atomic uint64_t base;               /* `done` when it saw the window begin; NOT_BEGUN before */
    uint64_t began_ns, ended_ns;         /* when it saw the window begin and end */
    worker_t worker;
    pthread_t thread;
    int tid; /* the kernel's number of it */
} seat_t;

#define NOT_BEGUN UINT64_MAX

typedef struct {
    _Atomic bool ready; /* release: the fields below are written */
    char contract[8];
    char evidence[EVIDENCE_BYTES];
    double t;
    int thread;
} violation_t;

typedef struct {
    const char *name, *unit;
    double value;
} figure_t;

typedef struct {
    const char *metric, *unit;
    struct histogram *histogram;
} distribution_t;

struct window {
    /* written by the main thread, read by every worker once per batch */
    _Alignas(128) _Atomic int phase;
    /* written by workers outside the window, or on a broken contract */
    _Alignas(128) _Atomic int arrived; /* workers that have entered */
    _Atomic bool finished;             /* worker 0 is through finish */
    _Atomic bool failed;               /* failure is written */
    _Atomic uint64_t violations;       /* all of them */
    violation_t shown[VIOLATIONS_SHOWN];
    char failure[EVIDENCE_BYTES];
    pthread_mutex_t failure_lock;
    pthread_barrier_t prepared; /* workers: setup is done */
    pthread_barrier_t start;    /* workers and main */
    pthread_barrier_t left;     /* workers: all have left */
    pthread_t main;
    seat_t *seats;
    int threads;
    uint64_t printed; /* violations printed so far; main only */
    figure_t metrics[METRICS_MAX], counters[METRICS_MAX];
    distribution_t histograms[METRICS_MAX];
    int metrics_count, counters_count, histograms_count; /* written by worker 0 in finish */
    decision_line_t decisions[DECISIONS_SHOWN]; /* likewise */
    int decisions_count;
    struct history *history; /* likewise; NULL: there is none */
};

/* evidence.c: prints the violations that are ready and not yet printed. Main thread only. */
void evidence_print(struct window *window);
/* Prints the decisions. Main thread, after finish. */
void evidence_print_decisions(const struct window *window);
/* Wakes the main thread out of its wait. */
void window_wake_main(struct window *window);

#endif
