/* Arms: one operation done in several ways in one process, in turns, so that whatever slows the machine slows
 * all of them. A bench of arms is a file bench_op_NAME.c; its arms are registered there, and by the files of
 * ../bench, which are built where the packages of the peers are (variant `peers`).
 *
 * A sample is a few tens of microseconds of one arm. It counts only where no thread that took part in it left its CPU
 * meanwhile (no context switch; of a sample of more than a millisecond, where each had its CPU for 99% of the time);
 * the others are counted as dropped. Per arm the result has the metric NAME_ns, the
 * median over the clean samples of nanoseconds per operation, a histogram of them in picoseconds, and
 * the counters NAME_clean and NAME_dropped. An arm without a clean sample has no metric.
 *
 * With several threads a sample begins at the same moment on all of them and ends with the last; its time per
 * operation is that of one of the threads that did some. An arm that asks for `alone` runs on worker 0, the others wait.
 */
#ifndef ORCH_ARMS_H
#define ORCH_ARMS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "harness.h"

typedef enum { ARM_CALIBRATION, ARM_FLOOR, ARM_BASELINE, ARM_PEER, ARM_OURS } arm_kind_t;

/* How the operations of a sample are chosen. */
typedef struct {
    uint64_t ops;  /* to do; fixed where the arm says so */
    uint64_t turn; /* counts the samples of this arm; the rehearsal of a sample has the same */
} sample_t;

typedef struct arm {
    const char *bench; /* NULL: a calibration, part of every bench of arms */
    const char *name;  /* [a-z0-9_]+, part of metric names */
    arm_kind_t kind;
    bool alone;         /* on worker 0 only, however many threads there are */
    bool scales;        /* with several threads: a lane NAME_1t, the same on worker 0 alone */
    uint64_t fixed_ops; /* operations of every sample; 0: as many as take about SAMPLE_NS */
    bool (*setup)(run_t *run, void **shared);                          /* worker 0; false after run_fail */
    bool (*enter)(worker_t *worker, void *shared, void **state);       /* every worker; false after run_fail */
    void (*prepare)(worker_t *worker, void *shared, void *state);      /* every worker before each sample; not timed */
    uint64_t (*sample)(worker_t *worker, void *shared, void *state, const sample_t *sample); /* operations done */
    void (*leave)(worker_t *worker, void *shared, void *state);        /* last oracles */
    void (*finish)(run_t *run, void *shared);                          /* worker 0 */
    bool (*planned)(const run_t *run); /* NULL: always part of its bench */
    struct arm *next;
} arm_t;

void arm_register(arm_t *arm);

#define ARM_REGISTER(ARM)                                                                                    \
    __attribute__((constructor)) static void register_##ARM(void) { arm_register(&ARM); }

/* The functions of a bench of arms, for its bench_t. */
bool arms_setup(run_t *run);
bool arms_enter(worker_t *worker);
uint64_t arms_batch(worker_t *worker);
void arms_leave(worker_t *worker);
void arms_finish(worker_t *worker);

/* A bench that has nothing but arms. */
#define ARMS_BENCH(NAME, SUMMARY, UNIT, SETTINGS, COUNT, CHECK)                                              \
    {                                                                                                        \
        .name = NAME, .summary = SUMMARY, .unit_of_work = UNIT, .settings = SETTINGS, .settings_count = COUNT, \
        .check = CHECK, .setup = arms_setup, .enter = arms_enter, .batch = arms_batch, .leave = arms_leave,  \
        .finish = arms_finish,                                                                               \
    }

/* For `check` of benches whose operation is one thread's. */
bool arms_one_thread(const run_t *run, char *why, size_t size);

/* Keeps a value, and what it came from, from being optimised away. */
#define KEEP(X) __asm__ volatile("" : : "r"(X) : "memory")

#ifdef __cplusplus
}
#endif
#endif
