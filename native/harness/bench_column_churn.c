/* Columns under stress: every worker places capabilities in a column of its own, checks all columns by every instruction set that the
 * processor has, and ends, attenuates and grants capabilities of all. What an operation has taken before a check starts must not
 * pass, in any form; and what nobody may have taken must.
 *
 * A place's facts are one word, written by its owner when the place gets a capability, and by whoever takes something:
 *   before the call TAKING | right, after it TAKEN | right. Ending counts as all rights. A generation keeps the facts of a
 * capability that has left the place apart. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "atomics.h"
#include "capability_simd.h"
#include "harness.h"

enum { PLACES, REVOKES };
enum { WORKERS_MAX = 64, PLACES_MAX = 4096, RIGHTS = 16, TAKEN_SHIFT = 16, GENERATION_SHIFT = 35, STEPS = 16 };
#define RIGHTS_ALL ((uint64_t)0xffff)
#define ENDING ((uint64_t)1 << 32)
#define ENDED ((uint64_t)1 << 33)
#define UNSET ((uint64_t)1 << 34) /* a new capability, until its place is set: not ENDING, which others say of it meanwhile */

static const setting_t settings[] = {
    [PLACES] = SETTING_INTEGER("places", 128, 1, PLACES_MAX, "places of each worker's column"),
    [REVOKES] = SETTING_NUMBER("revokes", 0.2, 0, 1, "share of the changes that end a capability; the others take or grant rights"),
};

typedef struct {
    _Alignas(128) capability_column_t *column; /* constant */
    uint64_t places;
    struct fact {
        _Atomic uint64_t id;   /* written by the owner */
        _Atomic uint64_t word; /* see the top */
    } facts[PLACES_MAX];
} board_t;

typedef struct {
    capability_table_t *table;
    board_t *boards[WORKERS_MAX];
    const capability_simd_ops_t *by[CPU_SIMD_COUNT];
    unsigned variants;
} shared_t;

typedef struct {
    _Alignas(128) capability_thread_t *seat;
    board_t *own;
    rng_t rng;
} state_t;

static bool check(const run_t *run, char *why, size_t size) {
    if (run->options->threads <= WORKERS_MAX)
        return true;
    snprintf(why, size, "at most %d threads", WORKERS_MAX);
    return false;
}

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    run->shared = shared;
    if (!shared) {
        run_fail(run, "memory exhausted: the shared state");
        return false;
    }
    uint64_t threads = (uint64_t)run->options->threads, places = (uint64_t)run_int(run, PLACES);
    /* address space alone: slots may stay retired while a worker is off its CPU */
    capability_config_t config = {.capacity = 4 * threads * places + (1u << 23)};
    status_t status = capability_table_create(&config, &shared->table);
    for (uint64_t i = 0; i < threads && status == STATUS_OK; i++) {
        board_t *board = aligned_alloc(_Alignof(board_t), sizeof *board);
        shared->boards[i] = board;
        status = board ? STATUS_OK : STATUS_NO_MEMORY;
        if (!board)
            break;
        *board = (board_t){.places = places};
        status = capability_column_create(shared->table, places, &board->column);
    }
    cpu_facts_t facts = cpu_facts();
    for (cpu_simd_t simd = CPU_SIMD_PORTABLE; simd < CPU_SIMD_COUNT; simd++)
        if (capability_simd_ops(simd) && cpu_simd_possible(&facts, simd))
            shared->by[shared->variants++] = capability_simd_ops(simd);
    if (status != STATUS_OK)
        run_fail(run, "the table and its columns could not be made: %s", status_name(status));
    return status == STATUS_OK;
}

static bool enter(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    state_t *state = aligned_alloc(_Alignof(state_t), sizeof *state);
    worker->state = state;
    if (!state) {
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    *state = (state_t){.own = shared->boards[worker->index], .rng = rng_seeded(worker->seed)};
    status_t status = capability_thread_join(shared->table, &state->seat);
    if (status != STATUS_OK)
        run_fail(worker->run, "no seat at the table: %s", status_name(status));
    return status == STATUS_OK;
}

/* A new capability in one of the worker's own places; what was there is ended first. */
static void place(worker_t *worker, state_t *state) {
    board_t *own = state->own;
    uint64_t at = rng_below(&state->rng, (uint32_t)own->places);
    struct fact *fact = &own->facts[at];
    uint64_t word = atomic_load_explicit(&fact->word, memory_order_relaxed);
    uint64_t next = ((word >> GENERATION_SHIFT) + 1) << GENERATION_SHIFT;
    cap_id_t old = atomic_load_explicit(&fact->id, memory_order_relaxed), id = CAPABILITY_NONE;
    atomic_fetch_or_explicit(&fact->word, ENDING, memory_order_acq_rel);
    if (old != CAPABILITY_NONE)
        (void)capability_revoke(state->seat, old);
    status_t status = capability_create(state->seat, at, RIGHTS_ALL, &id);
    if (status == STATUS_FULL || status == STATUS_NO_MEMORY)
        return; /* the place stays as one that is ending: it says nothing any more */
    /* in this order: who reads a generation and then the id never takes the old id for the new generation's */
    atomic_store_explicit(&fact->id, CAPABILITY_NONE, memory_order_release);
    atomic_store_explicit(&fact->word, next | UNSET, memory_order_release);
    atomic_store_explicit(&fact->id, id, memory_order_release);
    status = capability_column_set(state->seat, own->column, at, id);
    if (status == STATUS_BUSY || status == STATUS_INVALID) /* stale: another worker has it already, and has ended it */
        run_violation(worker, "C6", "placing a new capability is %s", status_name(status));
    if (status == STATUS_OK)
        atomic_fetch_and_explicit(&fact->word, ~UNSET, memory_order_acq_rel); /* what others have said of it stays */
}

/* Takes something from somebody's capability. Facts are added to the generation that they are about alone. */
static bool say(struct fact *fact, uint64_t generation, uint64_t bits) {
    uint64_t word = atomic_load_explicit(&fact->word, memory_order_acquire);
    while (word >> GENERATION_SHIFT == generation)
        if (atomic_compare_exchange_weak_explicit(&fact->word, &word, word | bits, memory_order_acq_rel, memory_order_acquire))
            return true;
    return false;
}

static board_t *some_board(const worker_t *worker, state_t *state) {
    const shared_t *shared = worker->run->shared;
    return shared->boards[rng_below(&state->rng, (uint32_t)worker->run->options->threads)];
}

static void change(const worker_t *worker, state_t *state) {
    board_t *board = some_board(worker, state);
    struct fact *fact = &board->facts[rng_below(&state->rng, (uint32_t)board->places)];
    uint64_t generation = atomic_load_explicit(&fact->word, memory_order_acquire) >> GENERATION_SHIFT;
    cap_id_t id = atomic_load_explicit(&fact->id, memory_order_acquire);
    if (atomic_load_explicit(&fact->word, memory_order_acquire) >> GENERATION_SHIFT != generation || id == CAPABILITY_NONE)
        return;
    uint64_t right = (uint64_t)1 << rng_below(&state->rng, RIGHTS);
    bool ends = (double)(rng_next(&state->rng) >> 11) * 0x1p-53 < run_float(worker->run, REVOKES);
    if (!ends && rng_below(&state->rng, 3) == 0) {
        (void)capability_grant(state->seat, id, (uint64_t)1 << 40); /* one that no check is about */
        return;
    }
    if (!say(fact, generation, ends ? ENDING : right))
        return;
    status_t status = ends ? capability_revoke(state->seat, id) : capability_attenuate(state->seat, id, right);
    if (ends || status == STATUS_OK)
        (void)say(fact, generation, ends ? ENDED : right << TAKEN_SHIFT);
}

/* Whether a place that has had `before` before a check, and `after` after it, may have answered so. */
static bool fits(uint64_t before, uint64_t after, uint64_t need, bool passes) {
    if (before >> GENERATION_SHIFT != after >> GENERATION_SHIFT || before >> GENERATION_SHIFT == 0)
        return true; /* another capability meanwhile, or none yet */
    bool gone = (before & ENDED) != 0 || (before >> TAKEN_SHIFT & RIGHTS_ALL & need) != 0;
    uint64_t any = before | after;
    bool going = (any & (UNSET | ENDING | ENDED)) != 0 || ((any | any >> TAKEN_SHIFT) & RIGHTS_ALL & need) != 0;
    return passes ? !gone : going;
}

static uint64_t look(worker_t *worker, state_t *state, const capability_simd_ops_t *by) {
    board_t *board = some_board(worker, state);
    uint64_t before[64], allowed = 0, need = rng_below(&state->rng, 4) == 0 ? 0 : (uint64_t)1 << rng_below(&state->rng, RIGHTS);
    uint64_t first = rng_below(&state->rng, (uint32_t)board->places), count = board->places - first;
    count = count < 64 ? count : 64;
    for (uint64_t i = 0; i < count; i++)
        before[i] = atomic_load_explicit(&board->facts[first + i].word, memory_order_acquire);
    (void)capability_column_check_by(by, board->column, first, count, need, &allowed);
    atomic_fence_seq_cst(); /* the facts of after are read after the words */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t place_at = first + i;
        uint64_t after = atomic_load_explicit(&board->facts[first + i].word, memory_order_acquire);
        bool passes = (allowed >> i & 1) != 0;
        if (!fits(before[i], after, need, passes))
            run_violation(worker, passes ? (before[i] & ENDED ? "C1" : "C2") : "C6",
                          "place %llu %s for %#llx: %#llx was taken or ended before, %#llx after",
                          (unsigned long long)place_at, passes ? "passes" : "does not pass", (unsigned long long)need,
                          (unsigned long long)before[i], (unsigned long long)after);
    }
    return count;
}

static uint64_t batch(worker_t *worker) {
    const shared_t *shared = worker->run->shared;
    state_t *state = worker->state;
    uint64_t done = 0;
    for (int step = 0; step < STEPS; step++) {
        switch (rng_below(&state->rng, 4)) {
        case 0: place(worker, state); break;
        case 1: change(worker, state); break;
        default: break;
        }
        done += look(worker, state, shared->by[rng_below(&state->rng, shared->variants)]);
    }
    return done;
}

static void leave(worker_t *worker) {
    state_t *state = worker->state;
    capability_thread_leave(state->seat);
    free(state);
}

static void finish(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    capability_thread_t *seat = NULL;
    run_counter(run, "variants", shared->variants, "1");
    if (capability_thread_join(shared->table, &seat) != STATUS_OK) {
        run_fail(run, "no seat at the table to end the columns");
        return;
    }
    for (int i = 0; i < run->options->threads; i++)
        capability_column_destroy(seat, shared->boards[i]->column);
    capability_thread_leave(seat);
    capability_table_destroy(shared->table);
    for (int i = 0; i < run->options->threads; i++)
        free(shared->boards[i]);
    free(shared);
}

static bench_t bench = {
    .name = "column_churn",
    .summary = "columns that are filled, changed and checked at once, by every instruction set that there is",
    .unit_of_work = "one place checked for one right",
    .contracts = "C1,C2,C6",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = check,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
