/* Histories of the capability table: every worker makes, hands on, narrows, ends and checks capabilities that all of them know. */
#include <stdlib.h>
#include <string.h>

#include "capability.h"
#include "history.h"

enum { WINDOWS, CALLS };
enum { KNOWN = 8, RIGHTS = 3 };

static const setting_t settings[] = {
    [WINDOWS] = SETTING_INTEGER("windows", 500, 1, 20000, "windows that are recorded; the run goes on without"),
    [CALLS] = SETTING_INTEGER("calls", 40, 1, 256, "of each worker in a window"),
};

typedef struct {
    capability_table_t *table;
    history_t *history;
    struct {
        _Alignas(CPU_PAIR) _Atomic uint64_t id; /* one that somebody has made in this window; 0: none yet */
    } known[KNOWN];
} shared_t;

typedef struct {
    history_log_t *log;
    capability_thread_t *seat;
    rng_t rng;
    cap_id_t *roots; /* made in this window; their maker ends them */
    size_t count;
} state_t;

static bool setup(run_t *run) {
    shared_t *shared = aligned_alloc(_Alignof(shared_t), sizeof *shared);
    if (!shared) {
        run_fail(run, "memory exhausted: what is known");
        return false;
    }
    memset(shared, 0, sizeof *shared);
    run->shared = shared;
    size_t threads = (size_t)run->options->threads, calls = (size_t)run_int(run, CALLS);
    capability_config_t config = {.capacity = 4 * threads * calls * 64};
    status_t status = capability_table_create(&config, &shared->table);
    if (status != STATUS_OK) {
        run_fail(run, "the table could not be made: %s", status_name(status));
        return false;
    }
    shared->history = history_make(run, "capability", (uint32_t)run_int(run, WINDOWS), 2 * calls, 3 * calls);
    return shared->history != NULL;
}

static bool enter(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    state_t *state = calloc(1, sizeof *state);
    size_t calls = (size_t)run_int(worker->run, CALLS);
    cap_id_t *roots = calloc(calls, sizeof *roots);
    if (!state || !roots || capability_thread_join(shared->table, &state->seat) != STATUS_OK) {
        free(roots);
        free(state);
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    state->log = &shared->history->logs[worker->index];
    state->rng = rng_seeded(worker->seed);
    state->roots = roots;
    worker->state = state;
    return true;
}

/* ---- calls ---- */
/* As in the record: bit 8 is the right to delegate. */
static uint64_t written(cap_rights_t rights) { return (rights & 0xff) | (rights & CAPABILITY_RIGHT_DELEGATE ? 256 : 0); }

static cap_rights_t draw_rights(state_t *state) {
    cap_rights_t rights = rng_below(&state->rng, 1 << RIGHTS);
    return rng_below(&state->rng, 4) ? rights | CAPABILITY_RIGHT_DELEGATE : rights;
}

static void answer_status(history_call_t *call, status_t status) { history_answer_text(call, status_name(status)); }

static void make(shared_t *shared, state_t *state, cap_id_t parent) {
    cap_id_t id = CAPABILITY_NONE;
    cap_rights_t rights = draw_rights(state);
    if (!parent && rng_below(&state->rng, 4))
        rights |= ((1 << RIGHTS) - 1) | CAPABILITY_RIGHT_DELEGATE;
    history_call_t *call = history_call(state->log, parent ? "delegate" : "create", parent);
    history_give_one(state->log, call, written(rights));
    history_begin(call);
    status_t status = parent ? capability_delegate(state->seat, parent, rights, &id) : capability_create(state->seat, 1, rights, &id);
    history_end(call);
    if (status != STATUS_OK) {
        answer_status(call, status);
        return;
    }
    history_answer_one(state->log, call, id);
    if (!parent)
        state->roots[state->count++] = id;
    atomic_store_explicit(&shared->known[rng_below(&state->rng, KNOWN)].id, id, memory_order_release);
}

static void look(const shared_t *shared, state_t *state, cap_id_t id) {
    uint32_t what = rng_below(&state->rng, RIGHTS + 1);
    cap_rights_t need = what == RIGHTS ? 0 : (cap_rights_t)1 << what;
    history_call_t *call = history_call(state->log, "check", id);
    history_give_one(state->log, call, written(need));
    history_begin(call);
    uint64_t found = capability_check(shared->table, id, need);
    history_end(call);
    history_answer(state->log, call, HISTORY_FLAG, &found, 1);
}

static void narrow(state_t *state, cap_id_t id) {
    cap_rights_t drop = (cap_rights_t)1 << rng_below(&state->rng, RIGHTS);
    history_call_t *call = history_call(state->log, "attenuate", id);
    history_give_one(state->log, call, written(drop));
    history_begin(call);
    status_t status = capability_attenuate(state->seat, id, drop);
    history_end(call);
    answer_status(call, status);
}

static void end(state_t *state, cap_id_t id, bool alone) {
    history_call_t *call = history_call(state->log, alone ? "delete" : "revoke", id);
    history_begin(call);
    status_t status = alone ? capability_delete(state->seat, id) : capability_revoke(state->seat, id);
    history_end(call);
    answer_status(call, status);
}

static void do_one(shared_t *shared, state_t *state) {
    cap_id_t id = atomic_load_explicit(&shared->known[rng_below(&state->rng, KNOWN)].id, memory_order_acquire);
    uint32_t what = rng_below(&state->rng, 32);
    if (!id || what < 3)
        make(shared, state, CAPABILITY_NONE);
    else if (what < 8)
        make(shared, state, id);
    else if (what < 26)
        look(shared, state, id);
    else if (what < 29)
        narrow(state, id);
    else
        end(state, id, what == 31);
}

static uint64_t batch(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    state_t *state = worker->state;
    if (!history_enter(state->log))
        return 0;
    int64_t calls = run_int(worker->run, CALLS);
    for (int64_t i = 0; i < calls; i++)
        do_one(shared, state);
    uint64_t done = (uint64_t)calls + state->count;
    while (state->count > 0)
        end(state, state->roots[--state->count], false);
    history_settle(state->log);
    if (worker->index == 0) {
        for (int i = 0; i < KNOWN; i++)
            atomic_store_explicit(&shared->known[i].id, CAPABILITY_NONE, memory_order_relaxed);
        history_close(state->log);
    }
    return done;
}

static void leave(worker_t *worker) {
    state_t *state = worker->state;
    history_leave(state->log);
    capability_thread_leave(state->seat);
    free(state->roots);
    free(state);
}

static void finish(worker_t *worker) {
    shared_t *shared = worker->run->shared;
    capability_stats_t stats = capability_stats(shared->table);
    if (stats.created != stats.deleted)
        run_violation(worker, "C5", "%llu made, %llu ended, when all are gone", (unsigned long long)stats.created,
                      (unsigned long long)stats.deleted);
    run_counter(worker->run, "windows", (double)shared->history->windows, "1");
    run_history(worker->run, shared->history);
    capability_table_destroy(shared->table);
    free(shared);
}

static bench_t bench = {
    .name = "history_capability",
    .summary = "histories of the capability table, of threads that know the same capabilities, in windows, for the analysis linearizability",
    .unit_of_work = "one call",
    .contracts = "C1,C2,C5",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
