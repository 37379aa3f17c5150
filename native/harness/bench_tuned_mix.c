/* Settings chosen by the loop against fixed ones, over phases in which different settings are right. */
#include <stdlib.h>

#include "tuned_runs.h"
#include "tuned_steals.h"

enum { PHASE, IDS, HOT_IDS, PHASE_MS, TURN_PERCENT, CACHE, GROUP, SIMD, PREFETCH, VICTIM, BUNDLE, QUANTUM_US };

static const char *const phase_names[] = {"mix", "hot", "scattered", "far", "near", "small", "steal", "service", "compute", NULL};
static const char *const victim_names[] = {"nearest", "random", "last", NULL};

static const setting_t settings[] = {
    [PHASE] = SETTING_ONE_OF("phase", 0, phase_names, "the workload: one alone, or all of them in turns"),
    [IDS] = SETTING_INTEGER("ids", 1 << 16, 1 << 12, 1 << 24, "capabilities in the table"),
    [HOT_IDS] = SETTING_INTEGER("hot", 3000, 1, 1 << 20, "capabilities that the phases hot and small ask for"),
    [PHASE_MS] = SETTING_INTEGER("phase_ms", 300, 1, 60000, "length of a phase of the mix, in time of the tuned settings"),
    [TURN_PERCENT] = SETTING_INTEGER("turn_percent", 100, 1, 1000, "length of the turns in which settings are compared, of about 4 ms"),
    [CACHE] = SETTING_INTEGER("cache", 64, 0, CAPABILITY_CACHE_MAX, "fixed: entries of the cache; 0: past it"),
    [GROUP] = SETTING_INTEGER("group", 8, 1, 256, "fixed: checks handed over in one batch"),
    [SIMD] = SETTING_INTEGER("simd", 8, 1, TUNING_NEVER, "fixed: shortest batch for vector instructions"),
    [PREFETCH] = SETTING_INTEGER("prefetch", 4, 0, 256, "fixed: how many ids ahead memory is fetched"),
    [VICTIM] = SETTING_ONE_OF("victim", TUNING_VICTIM_RANDOM, victim_names, "fixed: whom to steal from"),
    [BUNDLE] = SETTING_INTEGER("bundle", 8, 1, 256, "fixed: tasks handed over in one batch"),
    [QUANTUM_US] = SETTING_INTEGER("quantum_us", 10000, 1, 10000000, "fixed: how long a task runs before another's turn"),
};

static const int setting_of[TUNING_KNOBS] = {
    [TUNING_CACHE] = CACHE,   [TUNING_GROUP] = GROUP,   [TUNING_SIMD] = SIMD,          [TUNING_PREFETCH] = PREFETCH,
    [TUNING_VICTIM] = VICTIM, [TUNING_BUNDLE] = BUNDLE, [TUNING_QUANTUM] = QUANTUM_US, [TUNING_NODE] = -1,
};

typedef struct {
    _Alignas(128) contender_t contenders[CONTENDERS];
    capability_thread_t *seat;
    tuned_steals_t *steals;
    int phase, next;      /* now; how many have had this turn */
    uint64_t turns;       /* that all have had */
    uint64_t phase_began; /* by the loop's own clock */
} state_t;

typedef struct {
    tuned_account_t accounts[CONTENDERS][TUNED_PHASES];
    tuning_totals_t totals;
    uint64_t values[TUNING_KNOBS]; /* at the end, worker 0 */
    size_t logged;
    tuning_decision_t log[DECISIONS_SHOWN];
} report_t;

typedef struct {
    tuned_table_t table;
    tuned_walk_t walks[TUNED_WALKS];
    report_t *reports; /* per worker, written as it leaves */
} shared_t;

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    run->shared = shared;
    if (shared)
        shared->reports = calloc((size_t)run->options->threads, sizeof *shared->reports);
    if (!shared || !shared->reports) {
        run_fail(run, "memory exhausted");
        return false;
    }
    return tuned_walks_make(run, shared->walks) &&
           tuned_table_make(run, (uint64_t)run_int(run, IDS), (uint64_t)run_int(run, HOT_IDS), &shared->table);
}

static uint64_t value_of(const run_t *run, int which, int knob) {
    const tuning_ladder_t *ladder = &tuning_ladders[knob];
    if (which != CONTENDER_FIXED || setting_of[knob] < 0)
        return ladder->values[ladder->original];
    uint64_t value = (uint64_t)run_int(run, (size_t)setting_of[knob]);
    return knob == TUNING_QUANTUM ? value * 1000 : value;
}

static bool enter(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    state_t *state = aligned_alloc(_Alignof(state_t), sizeof *state);
    if (!state) {
        run_fail(run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    *state = (state_t){.phase = run_int(run, PHASE) == 0 ? 0 : (int)run_int(run, PHASE) - 1};
    worker->state = state;
    status_t status = capability_thread_join(shared->table.table, &state->seat);
    if (status != STATUS_OK) {
        run_fail(run, "worker %d has no seat: %s", worker->index, status_name(status));
        return false;
    }
    if (!tuned_steals_make(&state->steals)) {
        run_fail(run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    for (int c = 0; c < CONTENDERS; c++) {
        uint64_t values[TUNING_KNOBS];
        for (int k = 0; k < TUNING_KNOBS; k++)
            values[k] = value_of(run, c, k);
        if (!contender_make(worker, &shared->table, shared->walks, state->steals, c, values, &state->contenders[c]))
            return false;
        state->contenders[c].turn_percent = (uint64_t)run_int(run, TURN_PERCENT);
    }
    return true;
}

/* Whose turn it is. Who begins changes, and so does who comes after whom. */
static contender_t *who_now(state_t *state) {
    uint64_t step = state->turns % 2 ? CONTENDERS - 1 : 1;
    return &state->contenders[((uint64_t)state->next * step + state->turns) % CONTENDERS];
}

static uint64_t batch(worker_t *worker) {
    state_t *state = worker->state;
    contender_t *tuned = &state->contenders[CONTENDER_TUNED];
    contender_t *contender = who_now(state);
    if (contender->turn_chunks == 0)
        tuned_revoke_one(contender, state->seat);
    uint64_t units = contender_part(contender, state->phase, run_measuring(worker->run));
    if (!contender_is_through(contender, state->phase) || ++state->next < CONTENDERS)
        return units;
    state->next = 0;
    state->turns++;
    uint64_t phase_ns = (uint64_t)run_int(worker->run, PHASE_MS) * 1000000u;
    if (run_int(worker->run, PHASE) == 0 && tuned->own_ns - state->phase_began >= phase_ns) {
        state->phase = (state->phase + 1) % TUNED_PHASES;
        state->phase_began = tuned->own_ns;
    }
    return units;
}

static void leave(worker_t *worker) {
    state_t *state = worker->state;
    shared_t *shared = worker->run->shared;
    report_t *report = &shared->reports[worker->index];
    for (int c = 0; c < CONTENDERS; c++) {
        for (int p = 0; p < TUNED_PHASES; p++)
            report->accounts[c][p] = state->contenders[c].accounts[p];
    }
    report->totals = tuning_totals(state->contenders[CONTENDER_TUNED].tuning);
    for (int k = 0; k < TUNING_KNOBS; k++)
        report->values[k] = state->contenders[CONTENDER_TUNED].values[k];
    report->logged = tuning_log(state->contenders[CONTENDER_TUNED].tuning, report->log, DECISIONS_SHOWN);
    for (int c = 0; c < CONTENDERS; c++)
        contender_free(&state->contenders[c]);
    tuned_steals_free(state->steals);
    capability_thread_leave(state->seat);
    free(state);
}

#define NAMES(PHASE_NAME) {"original_" PHASE_NAME "_ns", "fixed_" PHASE_NAME "_ns", "tuned_" PHASE_NAME "_ns"}
static const char *const cost_names[TUNED_PHASES][CONTENDERS] = {
    [PHASE_HOT] = NAMES("hot"),
    [PHASE_SCATTERED] = NAMES("scattered"),
    [PHASE_FAR] = NAMES("far"),
    [PHASE_NEAR] = NAMES("near"),
    [PHASE_SMALL] = NAMES("small"),
    [PHASE_STEAL] = NAMES("steal"),
    [PHASE_SERVICE] = NAMES("service"),
    [PHASE_COMPUTE] = NAMES("compute"),
};

static tuned_account_t account_of(const shared_t *shared, int threads, int contender, int phase) {
    tuned_account_t sum = {0};
    for (int w = 0; w < threads; w++) {
        sum.ns += shared->reports[w].accounts[contender][phase].ns;
        sum.units += shared->reports[w].accounts[contender][phase].units;
    }
    return sum;
}

/* Each phase counts for as much as it takes under the original's settings. */
static void report_costs(run_t *run, const shared_t *shared) {
    double shares[CONTENDERS] = {0};
    int phases = 0;
    for (int p = 0; p < TUNED_PHASES; p++) {
        double costs[CONTENDERS];
        bool known = true;
        for (int c = 0; c < CONTENDERS; c++) {
            tuned_account_t account = account_of(shared, run->options->threads, c, p);
            known = known && account.units != 0 && account.ns != 0;
            costs[c] = account.units == 0 ? 0 : (double)account.ns / (double)account.units;
            if (account.units != 0)
                run_metric(run, cost_names[p][c], costs[c], "ns");
        }
        phases += known;
        for (int c = 0; c < CONTENDERS && known; c++)
            shares[c] += costs[c] / costs[CONTENDER_ORIGINAL];
    }
    if (phases == 0)
        return;
    run_metric(run, "fixed_over_original", shares[CONTENDER_FIXED] / phases, "1");
    run_metric(run, "tuned_over_original", shares[CONTENDER_TUNED] / phases, "1");
    run_metric(run, "tuned_over_fixed", shares[CONTENDER_TUNED] / shares[CONTENDER_FIXED], "1");
}

/* Of worker 0: the others' loops see much the same. */
static void report_decisions(run_t *run, const report_t *report) {
    for (size_t i = 0; i < report->logged; i++) {
        const tuning_decision_t *d = &report->log[i];
        const uint64_t *values = tuning_ladders[d->knob].values;
        decision_line_t line = {.own_t = (double)d->when_ns * 1e-9,
                                .knob = tuning_ladders[d->knob].name,
                                .action = tuning_action_name(d->action),
                                .reason = tuning_reason_name(d->reason),
                                .from = (double)values[d->from],
                                .to = (double)values[d->to],
                                .cost_from = d->cost_from,
                                .cost_to = d->cost_to,
                                .samples = d->samples};
        run_decision(run, &line);
    }
}

static void finish(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    tuning_totals_t sum = {0};
    double watch_ns = contender_watch_ns();
    for (int w = 0; w < run->options->threads; w++) {
        const tuning_totals_t *totals = &shared->reports[w].totals;
        sum.surveys += totals->surveys;
        sum.duels += totals->duels;
        sum.moves += totals->moves;
        sum.seen_ns += totals->seen_ns;
        sum.charged_ns += totals->charged_ns + (uint64_t)((double)totals->chunks * watch_ns);
        sum.survey_ns += totals->survey_ns;
    }
    report_costs(run, shared);
    run_metric(run, "loop_share", sum.seen_ns == 0 ? 0 : (double)sum.charged_ns / (double)sum.seen_ns, "1");
    run_metric(run, "survey_share", sum.seen_ns == 0 ? 0 : (double)sum.survey_ns / (double)sum.seen_ns, "1");
    run_counter(run, "surveys", (double)sum.surveys, "1");
    run_counter(run, "duels", (double)sum.duels, "1");
    run_counter(run, "moves", (double)sum.moves, "1");
    for (int k = 0; k < TUNING_KNOBS; k++)
        run_counter(run, tuning_ladders[k].name, (double)shared->reports[0].values[k], tuning_ladders[k].unit);
    report_decisions(run, &shared->reports[0]);
    tuned_table_free(&shared->table);
    tuned_walks_free(shared->walks);
    free(shared->reports);
    free(shared);
}

static bench_t bench = {
    .name = "tuned_mix",
    .summary = "settings chosen by the loop, the original's fixed ones and others, in turns over phases that want different ones",
    .unit_of_work = "one check, task or fragment of a task, whatever the phase does",
    .contracts = "C1,C3,C6,S1,S2,S3",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
