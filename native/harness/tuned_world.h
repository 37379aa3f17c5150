/* The bench tuned_mix: one worker runs the same phases under several settings in turns, so that whatever slows the machine
 * slows all of them. Private to tuned_*.c and bench_tuned_mix.c.
 *
 * A contender is one way of choosing the settings: the original's fixed ones, fixed ones of the command line, or the
 * loop's (tuning.h). Each has a cache and schedulers of its own, but for the phase steal. A phase is a workload; it gives work in chunks of some
 * microseconds, the same to every contender. */
#ifndef ORCH_TUNED_WORLD_H
#define ORCH_TUNED_WORLD_H

#include "capability_cache.h"
#include "harness.h"
#include "tuning.h"

enum { CONTENDER_ORIGINAL, CONTENDER_FIXED, CONTENDER_TUNED, CONTENDERS };
enum { PHASE_HOT, PHASE_SCATTERED, PHASE_FAR, PHASE_NEAR, PHASE_SMALL, PHASE_STEAL, PHASE_SERVICE, PHASE_COMPUTE, TUNED_PHASES };

struct tuned_walk; /* tuned_runs.h */

#define TUNED_RIGHT CAPABILITY_RIGHT_READ

/* A list of ids to check, again and again, and what must come of it. */
typedef struct {
    cap_id_t *ids;
    uint64_t *allowed; /* of the first i * TUNED_STRIDE ids, how many must be; one more than there are strides */
    uint64_t length;   /* a multiple of TUNED_STRIDE */
} tuned_list_t;

#define TUNED_STRIDE 2048u

/* Made by worker 0, read by all. */
typedef struct {
    capability_table_t *table;
    uint64_t count;
    cap_id_t *ids;
    uint8_t *allowed; /* per id */
    tuned_list_t everywhere, hot, near;
    tuning_decision_t placement;
} tuned_table_t;

typedef struct {
    uint64_t ns, units, turns;
} tuned_account_t;

/* Of one worker. */
typedef struct {
    const char *name;
    tuning_t *tuning; /* NULL: fixed */
    uint64_t values[TUNING_KNOBS];
    uint64_t own_ns;  /* how long it has had its turns */
    capability_cache_t *cache;
    struct tuned_steals *steals; /* the worker's: all contenders use it by turns */
    struct tuned_runs *service, *compute;
    uint64_t at[TUNED_PHASES]; /* where it is in the phase's list */
    tuned_account_t accounts[TUNED_PHASES];
    uint32_t turn_chunks; /* of this turn, so far */
    uint64_t turn_ns;
    uint64_t turn_percent; /* of the standard length */
    worker_t *worker;
    const tuned_table_t *table;
} contender_t;

typedef struct {
    const char *name;
    tuning_class_t class;
    uint32_t part;    /* chunks in one call of the bench: some hundred microseconds */
    uint32_t chunks;  /* in one turn, which takes a few milliseconds, */
    uint64_t turn_ns; /* or fewer, where so much time is over; 0: no fewer */
    uint64_t (*chunk)(contender_t *contender, double *signature); /* units of work done; reports what is wrong */
} tuned_phase_t;

extern const tuned_phase_t tuned_phases[TUNED_PHASES];

/* tuned_place.c: where the table should lie, by who will use it, and why. */
numa_placement_t tuned_place(const run_t *run, tuning_decision_t *decision);

/* tuned_table.c: false after run_fail. */
bool tuned_table_make(run_t *run, uint64_t count, uint64_t hot, tuned_table_t *table);
void tuned_table_free(tuned_table_t *table);
/* One revoke in flight of every turn: what the contender has just seen allowed is not, once it is revoked (C1). */
void tuned_revoke_one(contender_t *contender, capability_thread_t *seat);

/* tuned_checks.c */
uint64_t tuned_chunk_hot(contender_t *contender, double *signature);
uint64_t tuned_chunk_scattered(contender_t *contender, double *signature);
uint64_t tuned_chunk_far(contender_t *contender, double *signature);
uint64_t tuned_chunk_near(contender_t *contender, double *signature);
uint64_t tuned_chunk_small(contender_t *contender, double *signature);
bool tuned_check(contender_t *contender, cap_id_t id);

/* tuned_contender.c: false after run_fail. */
bool contender_make(worker_t *worker, const tuned_table_t *table, const struct tuned_walk *walks, struct tuned_steals *steals, int which,
                    const uint64_t values[TUNING_KNOBS], contender_t *contender);
void contender_free(contender_t *contender);
/* A part of its turn in a phase, on its account if it counts. Units done. */
uint64_t contender_part(contender_t *contender, int phase, bool counts);
/* What the loop costs per chunk as long as it only watches, its look at the clock included. */
double contender_watch_ns(void);
/* Whether its turn is over; then the next part begins another. */
bool contender_is_through(contender_t *contender, int phase);

#endif
