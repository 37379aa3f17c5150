/* What op_column and op_batch_check have in common: a table of capabilities, each worker's list of ids, and how many of them must
 * pass. Included by the two. */
#ifndef ORCH_OP_MANY_H
#define ORCH_OP_MANY_H

#include <stdlib.h>

#include "arms.h"
#include "capability_simd.h"

enum { MANY_CHUNK = 4096 }; /* capabilities of one call */
#define MANY_NEED CAPABILITY_RIGHT_READ

typedef struct {
    capability_table_t *table;
    capability_thread_t *seat;
    capability_column_t *column; /* NULL: none is wanted */
    cap_id_t *ids;
    uint64_t count; /* of ids: a multiple of MANY_CHUNK, or the only chunk */
    uint64_t chunk;
    uint64_t *passing; /* per chunk: how many must pass */
} many_t;

static inline bool many_fail(run_t *run, const char *what, status_t status) {
    run_fail(run, "%s: %s", what, status_name(status));
    return false;
}

/* `capabilities` in a table, of which the share `denied` lacks the right; and a list of `count` of them: in order, or drawn. */
static inline bool many_fill(run_t *run, many_t *many, uint64_t capabilities, double denied, bool drawn) {
    rng_t rng = rng_seeded(run->options->seed);
    cap_id_t *made = calloc(capabilities, sizeof *made);
    bool *allowed = calloc(capabilities, sizeof *allowed);
    bool good = made != NULL && allowed != NULL;
    for (uint64_t i = 0; good && i < capabilities; i++) {
        allowed[i] = (double)(rng_next(&rng) >> 11) * 0x1p-53 >= denied;
        status_t status = capability_create(many->seat, i, allowed[i] ? MANY_NEED | 2 : 2, &made[i]);
        good = status == STATUS_OK || many_fail(run, "a capability", status);
    }
    for (uint64_t i = 0; good && i < many->count; i++) {
        uint64_t pick = drawn ? rng_below(&rng, (uint32_t)capabilities) : i;
        many->ids[i] = made[pick];
        many->passing[i / many->chunk] += allowed[pick];
    }
    free(made);
    free(allowed);
    return good;
}

static inline bool many_setup(run_t *run, many_t *many, uint64_t capabilities, uint64_t count) {
    many->count = count;
    many->chunk = count < MANY_CHUNK ? count : MANY_CHUNK;
    many->ids = aligned_alloc(128, (count * sizeof *many->ids + 127) / 128 * 128);
    many->passing = calloc(count / many->chunk + 1, sizeof *many->passing);
    if (many->ids == NULL || many->passing == NULL)
        return many_fail(run, "a list of ids", STATUS_NO_MEMORY);
    capability_config_t config = {.capacity = 2 * capabilities + 4096};
    status_t status = capability_table_create(&config, &many->table);
    if (status == STATUS_OK)
        status = capability_thread_join(many->table, &many->seat);
    return status == STATUS_OK || many_fail(run, "the table", status);
}

static inline void many_finish(many_t *many) {
    if (many->column != NULL)
        capability_column_destroy(many->seat, many->column);
    capability_thread_leave(many->seat);
    capability_table_destroy(many->table);
    free(many->ids);
    free(many->passing);
    *many = (many_t){0};
}

/* A sample of CALL, an expression over `ids`, `first`, `chunk` and `allowed` that says how many pass. Each arm goes through all
 * chunks in turn, over rehearsals as well: in a table larger than a cache no chunk is met again while it is still in it. */
#define MANY_SAMPLE(NAME, CALL)                                                                                \
    static uint64_t NAME##_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {       \
        static uint64_t next;                                                                                  \
        (void)shared, (void)state;                                                                             \
        uint64_t allowed[MANY_CHUNK / 64], done = 0;                                                           \
        while (done < sample->ops) {                                                                           \
            uint64_t first = next, chunk = many.chunk;                                                         \
            next = first + chunk == many.count ? 0 : first + chunk;                                            \
            const cap_id_t *ids = many.ids + first;                                                            \
            (void)ids, (void)allowed;                                                                          \
            uint64_t passing = CALL;                                                                           \
            KEEP(allowed);                                                                                     \
            if (passing != many.passing[first / chunk])                                                        \
                run_violation(worker, "C6", "%s lets %llu of %llu pass, it must be %llu", #NAME,               \
                              (unsigned long long)passing, (unsigned long long)chunk,                          \
                              (unsigned long long)many.passing[first / chunk]);                                \
            done += chunk;                                                                                     \
        }                                                                                                      \
        return done;                                                                                           \
    }

#define MANY_ARM(BENCH, NAME, KIND, PLANNED)                                                                   \
    static arm_t arm_##NAME = {.bench = BENCH, .name = #NAME, .kind = KIND, .sample = NAME##_sample,           \
                               .planned = PLANNED};                                                            \
    ARM_REGISTER(arm_##NAME)

static inline bool many_can(cpu_simd_t simd) {
    cpu_facts_t facts = cpu_facts();
    return capability_simd_ops(simd) != NULL && cpu_simd_possible(&facts, simd);
}
static inline bool many_can_avx2(const run_t *run) {
    (void)run;
    return many_can(CPU_SIMD_AVX2);
}
static inline bool many_can_avx512(const run_t *run) {
    (void)run;
    return many_can(CPU_SIMD_AVX512);
}

#endif
