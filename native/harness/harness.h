/* What a bench sees of the harness, and what the parts of the harness see of each other.
 *
 * A bench is one file bench_NAME.c with one bench_t, registered by BENCH_REGISTER. Its life:
 *
 *   check    main thread        refuses a combination of settings (exit status 2)
 *   setup    worker 0           makes run->shared; no other worker runs yet
 *   enter    every worker       makes worker->state; on its own CPU, so first touch is local
 *   batch    every worker       about BATCH_OPS operations, again and again through warm-up and window;
 *                               must not allocate, print or take longer than a few milliseconds
 *   leave    every worker       gives worker->state back
 *   finish   worker 0           all others have left: last oracles, counters, metrics, frees run->shared
 *
 * The main thread never works: it keeps the time, prints, and answers SIGTERM whatever the workers do.
 */
#ifndef ORCH_HARNESS_H
#define ORCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HARNESS_PROTOCOL 1
#define THREADS_MAX 4096
#define BATCH_OPS 256
#define SETTINGS_MAX 24
#define VIOLATIONS_SHOWN 16
#define EVIDENCE_BYTES 240
#define DECISIONS_SHOWN 64
#define METRICS_MAX 96

/* Exit statuses (docs/reference/harness-protocol.md). */
#define EXIT_GOOD 0
#define EXIT_BAD 1
#define EXIT_USAGE 2

/* ---- settings: declared once, parsed and listed from here ---- */
typedef enum { SETTING_INT, SETTING_FLOAT, SETTING_BOOL, SETTING_CHOICE } setting_type_t;

typedef union {
    int64_t i; /* SETTING_INT; 0 or 1 of SETTING_BOOL; index of SETTING_CHOICE */
    double f;  /* SETTING_FLOAT */
} setting_value_t;

typedef struct {
    const char *name;
    const char *help;
    setting_type_t type;
    setting_value_t standard, min, max; /* min and max both included */
    const char *const *choices;         /* ends with NULL; SETTING_CHOICE only */
} setting_t;

#define SETTING_INTEGER(NAME, STANDARD, MIN, MAX, HELP)                                                      \
    {.name = NAME, .help = HELP, .type = SETTING_INT, .standard.i = STANDARD, .min.i = MIN, .max.i = MAX}
#define SETTING_NUMBER(NAME, STANDARD, MIN, MAX, HELP)                                                       \
    {.name = NAME, .help = HELP, .type = SETTING_FLOAT, .standard.f = STANDARD, .min.f = MIN, .max.f = MAX}
#define SETTING_FLAG(NAME, STANDARD, HELP)                                                                   \
    {.name = NAME, .help = HELP, .type = SETTING_BOOL, .standard.i = STANDARD, .min.i = 0, .max.i = 1}
#define SETTING_ONE_OF(NAME, STANDARD, CHOICES, HELP)                                                        \
    {.name = NAME, .help = HELP, .type = SETTING_CHOICE, .standard.i = STANDARD, .choices = CHOICES}

/* ---- benches ---- */
typedef struct run run_t;
typedef struct worker worker_t;

typedef struct options options_t;

/* How long a worker is frozen to see that the others go on (stall.h), and the mean time between two such
 * stalls; freeze_ms 0: never. */
typedef struct {
    double freeze_ms, every_ms;
} stall_plan_t;

typedef struct bench {
    const char *name; /* the file is bench_NAME.c */
    const char *subject; /* what is under test, where benches of several are in one list; NULL: not said */
    const char *summary;
    const char *unit_of_work; /* what one operation is */
    const char *contracts;    /* whose violations it would report, comma separated; NULL: it checks none.
                              C4 only counts in runs that freeze workers */
    const setting_t *settings;
    size_t settings_count;
    bool (*check)(const run_t *run, char *why, size_t size); /* NULL: every combination is good */
    bool (*setup)(run_t *run);                               /* false after run_fail */
    bool (*enter)(worker_t *worker);                         /* false after run_fail */
    uint64_t (*batch)(worker_t *worker);                     /* operations done */
    void (*leave)(worker_t *worker);
    void (*finish)(worker_t *worker);
    stall_plan_t (*stall)(const options_t *options); /* NULL: no worker is ever frozen */
    struct bench *next;
} bench_t;

void bench_register(bench_t *bench);
const bench_t *bench_find(const char *name);
const bench_t *bench_first(void); /* in order of names */

#define BENCH_REGISTER(BENCH)                                                                                \
    __attribute__((constructor)) static void register_##BENCH(void) { bench_register(&BENCH); }

/* A command that one variant has beside `list` and `run`: `usage` is its line of help, `command` gets what follows the name and
 * returns the exit status. */
void command_register(const char *name, const char *usage, int (*command)(int argc, char **argv));

/* ---- one run ---- */
typedef enum { MEM_LOCAL, MEM_INTERLEAVE, MEM_NODE } mem_policy_t;

struct options {
    const bench_t *bench;
    setting_value_t settings[SETTINGS_MAX]; /* in the order of bench->settings */
    int threads;
    int cpus[THREADS_MAX]; /* in thread order */
    int cpus_count;        /* 0: not pinned, else == threads */
    mem_policy_t mem;
    int mem_node;
    double seconds, warmup_s, interval_s; /* interval_s 0: no interval records */
    double stutter_ms;                    /* the longest that a worker stands still at random (stutter.h); 0: none does */
    uint64_t seed;
};

struct worker {
    run_t *run;
    int index; /* 0 .. threads-1 */
    void *state;
    uint64_t seed; /* differs per worker, same for the same --seed */
};

struct run {
    const options_t *options;
    void *shared;
    struct window *window; /* the harness's own */
};

int64_t run_int(const run_t *run, size_t setting);
double run_float(const run_t *run, size_t setting);

/* The run cannot do its work (memory exhausted, a broken precondition): first caller wins. */
__attribute__((format(printf, 2, 3))) void run_fail(run_t *run, const char *format, ...);
/* A contract was broken. Any thread, inside the window too: nothing is allocated or printed here. */
__attribute__((format(printf, 3, 4))) void run_violation(worker_t *worker, const char *contract,
                                                         const char *format, ...);
/* From finish: extra metrics of the result, and counter records. Names and units are literals. */
void run_metric(run_t *run, const char *name, double value, const char *unit);
void run_counter(run_t *run, const char *name, double value, const char *unit);
/* From finish: a histogram record, of values in `unit` over the measured window. The harness frees it; NULL: there was
 * no memory for it, and the run fails. */
struct histogram;
void run_histogram(run_t *run, const char *metric, const char *unit, struct histogram *histogram);
/* Whether this moment is in the measured window. */
bool run_measuring(const run_t *run);

/* From finish: a `decision` record: what a loop has decided, and on what evidence. Texts are literals. */
typedef struct {
    double own_t; /* seconds, by the loop's own clock */
    const char *knob, *action, *reason;
    double from, to;           /* values of the knob */
    double cost_from, cost_to; /* ns per operation, as measured; 0: not measured */
    uint64_t samples;
    int thread;
} decision_line_t;
void run_decision(run_t *run, const decision_line_t *decision);

/* Seconds since the process started, and the same clock in nanoseconds. */
uint64_t clock_ns(void);
double clock_since_start(void);

/* Ends the process without a word from anybody else: a sanitizer's own report about threads that still run
 * would follow our last line, and change the exit status. */
__attribute__((noreturn)) void end_at_once(int status);

/* ---- random numbers: one small generator per worker, good enough to pick ids ---- */
typedef struct {
    uint64_t state;
} rng_t;

static inline uint64_t rng_mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline rng_t rng_seeded(uint64_t seed) { return (rng_t){rng_mix(seed + 0x9e3779b97f4a7c15u)}; }

/* Splitmix64: one addition is the whole dependency from one number to the next. */
static inline uint64_t rng_next(rng_t *rng) { return rng_mix(rng->state += 0x9e3779b97f4a7c15u); }

/* 0 .. bound-1, without a division; the bias is below 2^-32 for bounds up to 2^32. */
static inline uint32_t rng_below(rng_t *rng, uint32_t bound) {
    return (uint32_t)(((rng_next(rng) >> 32) * bound) >> 32);
}

#endif
