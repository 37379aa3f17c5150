/* The bench of `check`, for any table with the functions of capability.h. Included by bench_*_check.c, which
 * says what is measured:
 *
 *   CHECK_BENCH    name, a string           CHECK_SUMMARY  one sentence
 *   TABLE(f)       table_create, table_destroy, thread_join, thread_leave, table_t, thread_t
 *   CAP(f)         create, delete, check
 *
 * Every worker goes through a list of its own of ids in a mixed order. Which of them must be allowed is
 * known, so that after each pass the number of answers "allowed" is held against what it must be. */
#include <stdlib.h>

#include "capability.h"
#include "harness.h"

enum { IDS, PATTERN, DENIED, STALE };
enum { PATTERN_RANDOM, PATTERN_HOT, PATTERN_SEQUENTIAL };
static const char *const patterns[] = {"random", "hot", "sequential", NULL};

static const setting_t settings[] = {
    [IDS] = SETTING_INTEGER("ids", 32768, 1, 1 << 24, "capabilities in the table"),
    [PATTERN] = SETTING_ONE_OF("pattern", PATTERN_RANDOM, patterns,
                               "order of the checks: random; hot, nine of ten on a tenth of the ids; sequential"),
    [DENIED] = SETTING_NUMBER("denied", 0, 0, 1, "share of the capabilities that lack the right asked for"),
    [STALE] = SETTING_NUMBER("stale", 0, 0, 1, "share of the capabilities that were deleted before"),
};

/* A multiple of it is the length of every list: no test for its end inside a batch. */
enum { CHECK_BATCH = 1024, LIST_MIN = 4096, LIST_MAX = 1 << 20 };

#define NEEDED CAPABILITY_RIGHT_READ

typedef struct {
    TABLE(table_t) *table;
    uint32_t count;
    cap_id_t *ids;
    bool *allowed; /* per id */
} shared_t;

typedef struct {
    /* written by its worker alone */
    _Alignas(128) const TABLE(table_t) *table;
    const cap_id_t *list;
    size_t length, at;
    uint64_t allowed, expected; /* in this pass; in every pass */
    uint64_t passes;
    cap_id_t *memory;
} state_t;

static uint64_t *passes_of_all; /* per worker, written as it leaves */

static bool make_capability(run_t *run, TABLE(thread_t) *seat, uint32_t i, rng_t *rng) {
    shared_t *shared = run->shared;
    double draw = (double)(rng_next(rng) >> 11) * 0x1p-53;
    bool stale = draw < run_float(run, STALE);
    draw = (double)(rng_next(rng) >> 11) * 0x1p-53;
    bool denied = draw < run_float(run, DENIED);
    cap_rights_t rights = denied ? CAPABILITY_RIGHT_WRITE : CAPABILITY_RIGHT_WRITE | NEEDED;
    status_t status = CAP(create)(seat, i, rights, &shared->ids[i]);
    if (status == STATUS_OK && stale)
        status = CAP(delete)(seat, shared->ids[i]);
    shared->allowed[i] = !stale && !denied;
    if (status == STATUS_OK)
        return true;
    run_fail(run, "capability %u of %u could not be made: %s", i + 1, shared->count, status_name(status));
    return false;
}

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    uint32_t count = (uint32_t)run_int(run, IDS);
    TABLE(thread_t) *seat = NULL;
    run->shared = shared;
    passes_of_all = calloc((size_t)run->options->threads, sizeof *passes_of_all);
    if (shared) {
        shared->count = count;
        shared->ids = calloc(count, sizeof *shared->ids);
        shared->allowed = calloc(count, sizeof *shared->allowed);
    }
    if (!shared || !shared->ids || !shared->allowed || !passes_of_all) {
        run_fail(run, "memory exhausted: %u ids", count);
        return false;
    }
    /* twice the ids: slots of deleted ones need not be free again yet */
    capability_config_t config = {.capacity = 2u * (uint64_t)count + 64};
    status_t status = TABLE(table_create)(&config, &shared->table);
    if (status == STATUS_OK)
        status = TABLE(thread_join)(shared->table, &seat);
    if (status != STATUS_OK) {
        run_fail(run, "the table could not be made: %s", status_name(status));
        return false;
    }
    rng_t rng = rng_seeded(run->options->seed);
    bool good = true;
    for (uint32_t i = 0; i < count && good; i++)
        good = make_capability(run, seat, i, &rng);
    TABLE(thread_leave)(seat);
    return good;
}

static uint32_t pick(const shared_t *shared, int64_t pattern, size_t i, rng_t *rng) {
    uint32_t count = shared->count;
    if (pattern == PATTERN_HOT && rng_below(rng, 10) < 9)
        return rng_below(rng, count < 10 ? 1 : count / 10);
    return pattern == PATTERN_HOT ? rng_below(rng, count) : (uint32_t)(i % count);
}

static bool enter(worker_t *worker) {
    const shared_t *shared = worker->run->shared;
    int64_t pattern = run_int(worker->run, PATTERN);
    size_t length = shared->count < LIST_MIN ? LIST_MIN : shared->count > LIST_MAX ? LIST_MAX : shared->count;
    length = (length + CHECK_BATCH - 1) / CHECK_BATCH * CHECK_BATCH;
    state_t *state = aligned_alloc(_Alignof(state_t), sizeof *state);
    uint32_t *order = malloc(length * sizeof *order);
    cap_id_t *list = aligned_alloc(128, length * sizeof *list);
    worker->state = state;
    if (!state || !order || !list) {
        run_fail(worker->run, "memory exhausted: a list of %zu ids", length);
        return false;
    }
    rng_t rng = rng_seeded(worker->seed);
    /* a table larger than the list: each worker starts its list somewhere else */
    size_t first = shared->count > length ? rng_below(&rng, shared->count) : 0;
    for (size_t i = 0; i < length; i++)
        order[i] = pick(shared, pattern, first + i, &rng);
    if (shared->count > length && pattern == PATTERN_RANDOM)
        for (size_t i = 0; i < length; i++)
            order[i] = rng_below(&rng, shared->count);
    for (size_t i = length - 1; i > 0 && pattern == PATTERN_RANDOM; i--) {
        size_t j = rng_below(&rng, (uint32_t)i + 1);
        uint32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    *state = (state_t){.table = shared->table, .list = list, .length = length, .memory = list};
    for (size_t i = 0; i < length; i++) {
        list[i] = shared->ids[order[i]];
        state->expected += shared->allowed[order[i]];
    }
    free(order);
    return true;
}

static void end_of_pass(worker_t *worker, state_t *state) {
    if (state->allowed != state->expected)
        run_violation(worker, state->allowed > state->expected ? "C2" : "C3",
                      "%llu of %zu checks were allowed in a pass, %llu had to be",
                      (unsigned long long)state->allowed, state->length, (unsigned long long)state->expected);
    state->allowed = 0;
    state->at = 0;
    state->passes++;
}

static uint64_t batch(worker_t *worker) {
    state_t *state = worker->state;
    const TABLE(table_t) *table = state->table;
    const cap_id_t *list = state->list + state->at;
    uint64_t allowed = 0;
    for (size_t i = 0; i < CHECK_BATCH; i++)
        allowed += CAP(check)(table, list[i], NEEDED);
    state->allowed += allowed;
    state->at += CHECK_BATCH;
    if (state->at == state->length)
        end_of_pass(worker, state);
    return CHECK_BATCH;
}

static void leave(worker_t *worker) {
    state_t *state = worker->state;
    passes_of_all[worker->index] = state->passes;
    free(state->memory);
    free(state);
}

static void finish(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    uint64_t passes = 0;
    for (int i = 0; i < run->options->threads; i++)
        passes += passes_of_all[i];
    run_counter(run, "passes_verified", (double)passes, "1");
    TABLE(table_destroy)(shared->table);
    free(shared->ids);
    free(shared->allowed);
    free(shared);
    free(passes_of_all);
}

static bench_t bench = {
    .name = CHECK_BENCH,
    .summary = CHECK_SUMMARY,
    .unit_of_work = "one check of one id for one right",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
