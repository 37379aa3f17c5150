/* One way of choosing the settings, and its turns. */
#include <string.h>
#include <time.h>

#include "tuned_runs.h"
#include "tuned_steals.h"
#include "tuned_world.h"

static uint64_t chunk_steal(contender_t *contender, double *signature) {
    *signature = 0;
    return tuned_steals_chunk(contender);
}

static uint64_t chunk_service(contender_t *contender, double *signature) {
    *signature = tuned_runs_tasks(contender->service);
    return tuned_runs_chunk(contender->service);
}

static uint64_t chunk_compute(contender_t *contender, double *signature) {
    *signature = tuned_runs_tasks(contender->compute);
    return tuned_runs_chunk(contender->compute);
}

const tuned_phase_t tuned_phases[TUNED_PHASES] = {
    [PHASE_HOT] = {"hot", TUNING_CHECKS, 24, 192, 0, tuned_chunk_hot},
    [PHASE_SCATTERED] = {"scattered", TUNING_CHECKS, 24, 192, 0, tuned_chunk_scattered},
    [PHASE_FAR] = {"far", TUNING_BATCHES, 24, 192, 0, tuned_chunk_far},
    [PHASE_NEAR] = {"near", TUNING_BATCHES, 24, 192, 0, tuned_chunk_near},
    [PHASE_SMALL] = {"small", TUNING_BATCHES, 24, 192, 0, tuned_chunk_small},
    [PHASE_STEAL] = {"steal", TUNING_TASKS, 24, 96, 0, chunk_steal},
    [PHASE_SERVICE] = {"service", TUNING_RUNS, 1, 16, 4000000, chunk_service},
    [PHASE_COMPUTE] = {"compute", TUNING_RUNS, 1, 16, 4000000, chunk_compute},
};

/* The time that this thread has had on a CPU: others' turns on it do not count. */
static uint64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Takes over one value. What cannot be had stays as it was. */
static void adopt(contender_t *contender, tuning_knob_t knob, uint64_t value) {
    if (knob == TUNING_CACHE && capability_cache_resize(contender->cache, value) != STATUS_OK)
        return;
    contender->values[knob] = value;
    if (knob == TUNING_QUANTUM) {
        tuned_runs_quantum(contender->service, value);
        tuned_runs_quantum(contender->compute, value);
    } else if (knob == TUNING_VICTIM || knob == TUNING_BUNDLE) {
        tuned_steals_set(contender);
    }
}

static void adopt_all(contender_t *contender) {
    for (int k = 0; k < TUNING_KNOBS; k++) {
        uint64_t value = tuning_value(contender->tuning, (tuning_knob_t)k);
        if (value != contender->values[k])
            adopt(contender, (tuning_knob_t)k, value);
    }
}

static bool make_parts(contender_t *contender, const tuned_walk_t *walks, bool tuned) {
    uint64_t entries = contender->values[TUNING_CACHE];
    return capability_cache_create(contender->table->table, entries, &contender->cache) == STATUS_OK &&
           (!tuned || tuning_create(NULL, &contender->tuning) == STATUS_OK) && tuned_runs_make(contender, NULL, &contender->service) &&
           tuned_runs_make(contender, walks, &contender->compute);
}

bool contender_make(worker_t *worker, const tuned_table_t *table, const tuned_walk_t *walks, tuned_steals_t *steals, int which,
                    const uint64_t values[TUNING_KNOBS], contender_t *contender) {
    static const char *const names[] = {"original", "fixed", "tuned"};
    *contender = (contender_t){.name = names[which], .steals = steals, .worker = worker, .table = table, .turn_percent = 100};
    memcpy(contender->values, values, sizeof contender->values);
    if (!make_parts(contender, walks, which == CONTENDER_TUNED)) {
        run_fail(worker->run, "memory exhausted: worker %d, settings %s", worker->index, names[which]);
        return false;
    }
    for (int k = 0; k < TUNING_KNOBS; k++)
        adopt(contender, (tuning_knob_t)k, contender->tuning ? tuning_value(contender->tuning, (tuning_knob_t)k) : values[k]);
    if (contender->tuning)
        tuning_note(contender->tuning, &table->placement);
    /* None finds in a cache what another has just fetched: each is somewhere else in its list. */
    const tuned_list_t *list = &table->everywhere;
    uint64_t part = list->length / (CONTENDERS * (uint64_t)worker->run->options->threads) / TUNED_STRIDE * TUNED_STRIDE;
    for (int p = 0; p < TUNED_PHASES; p++)
        contender->at[p] = p == PHASE_SCATTERED || p == PHASE_FAR
                               ? part * (uint64_t)(which + CONTENDERS * worker->index) % list->length
                               : 0;
    return true;
}

void contender_free(contender_t *contender) {
    if (contender->cache)
        capability_cache_destroy(contender->cache);
    if (contender->tuning)
        tuning_destroy(contender->tuning);
    tuned_runs_free(contender->service);
    tuned_runs_free(contender->compute);
}

/* A step of the loop takes microseconds; one that took so long was interrupted. */
#define OTHERS_NS 1000000u
/* A part ends early where chunks take long, as under a sanitizer. */
#define PART_NS 1000000u

static uint64_t part_fixed(contender_t *contender, const tuned_phase_t *phase) {
    uint64_t end = clock_ns() + PART_NS;
    uint64_t units = 0;
    double signature = 0;
    for (uint32_t i = 0; i < phase->part && (i == 0 || clock_ns() < end); i++) {
        units += phase->chunk(contender, &signature);
        contender->turn_chunks++;
    }
    return units;
}

/* What the loop goes by. Long chunks are often interrupted: there the clock stands while others have the CPU. Short ones seldom are,
 * and asking for that time would cost too much. */
static uint64_t loop_ns(const tuned_phase_t *phase) { return phase->turn_ns != 0 ? cpu_ns() : clock_ns(); }

/* The loop's clock goes on only in its own turns. */
static uint64_t part_tuned(contender_t *contender, const tuned_phase_t *phase) {
    tuning_t *tuning = contender->tuning;
    uint64_t shift = loop_ns(phase) - contender->own_ns;
    uint64_t units = 0;
    uint64_t now = contender->own_ns;
    uint64_t end = now + PART_NS;
    tuning_begin(tuning, phase->class, now);
    for (uint32_t i = 0; i < phase->part && (i == 0 || now < end); i++) {
        contender->turn_chunks++;
        double signature = 0;
        uint64_t done = phase->chunk(contender, &signature);
        units += done;
        now = loop_ns(phase) - shift;
        if (tuning_end(tuning, phase->class, done, signature, now)) {
            adopt_all(contender);
            uint64_t after = loop_ns(phase) - shift;
            tuning_charge(tuning, after - now < OTHERS_NS ? after - now : 0);
            tuning_begin(tuning, phase->class, after);
            now = after;
        }
    }
    contender->own_ns = now;
    return units;
}

uint64_t contender_part(contender_t *contender, int phase, bool counts) {
    tuned_account_t *account = &contender->accounts[phase];
    const tuned_phase_t *what = &tuned_phases[phase];
    if (phase == PHASE_STEAL && contender->turn_chunks == 0)
        tuned_steals_set(contender);
    uint64_t began = cpu_ns();
    uint64_t units = contender->tuning ? part_tuned(contender, what) : part_fixed(contender, what);
    uint64_t took = cpu_ns() - began;
    contender->turn_ns += took;
    if (counts) {
        account->ns += took;
        account->units += units;
    }
    return units;
}

bool contender_is_through(contender_t *contender, int phase) {
    const tuned_phase_t *what = &tuned_phases[phase];
    uint64_t percent = contender->turn_percent;
    bool early = what->turn_ns != 0 && contender->turn_ns * 100 >= what->turn_ns * percent;
    if (contender->turn_chunks * 100 < what->chunks * percent && !early)
        return false;
    contender->turn_chunks = 0;
    contender->turn_ns = 0;
    contender->accounts[phase].turns++;
    return true;
}

/* The least of some stretches: what is longer was interrupted. */
double contender_watch_ns(void) {
    enum { STRETCHES = 16, CHUNKS = 256 };
    tuning_t *tuning = NULL;
    if (tuning_create(NULL, &tuning) != STATUS_OK)
        return 0;
    double least = 1e9;
    uint64_t made_up = 1; /* the loop's time stands nearly still, so that no period ends */
    tuning_begin(tuning, TUNING_MEMORY, made_up);
    (void)tuning_end(tuning, TUNING_MEMORY, 1, 0, ++made_up);
    tuning_begin(tuning, TUNING_MEMORY, made_up);
    for (int s = 0; s < STRETCHES; s++) {
        uint64_t began = clock_ns();
        for (int c = 0; c < CHUNKS; c++)
            (void)tuning_end(tuning, TUNING_MEMORY, 1, 0, made_up + (clock_ns() == 0));
        double each = (double)(clock_ns() - began) / CHUNKS;
        least = each < least ? each : least;
    }
    tuning_destroy(tuning);
    return least;
}
