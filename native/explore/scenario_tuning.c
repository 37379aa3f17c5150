// Self-tuning under the explorer: one thread and an oracle, since a loop shares nothing with anybody. What a class costs is a table that the
// seed draws, and time is computed from it, so what a survey ought to measure is known to the nanosecond: what the log says is held
// against the table at every decision, and what is in force against the log.
#include "explore.h"

#include "../kernel/tuning.c"
#include "../kernel/tuning_ladders.c"
#include "../kernel/tuning_place.c"
#include "../kernel/tuning_search.c"

enum { OPERATIONS = 100, CHUNK_LEAST = 1000, CHUNKS_MOST = 6000, COSTS_MOST = 512, CALM_FIRST = 4, CALM_MOST = 64, PERIODS = 200, NODES_MOST = 4 };
#define GAIN 0.02
#define ROUNDING 1e-9

static const tuning_rules_t rules = {.period_ns = 20 * CHUNK_LEAST, .gain = GAIN, .drift = 0.2, .drift_periods = 2,
                                     .calm_first = CALM_FIRST, .calm_most = CALM_MOST, .cost_cap = 0.01};

static tuning_t *loop;
static tuning_class_t class;
static uint64_t now;
static double signature;
static uint64_t costs[COSTS_MOST]; // of a chunk, ns; by the rungs of the class's knobs
static uint32_t at[TUNING_KNOBS];  // rungs in force, by what the log has said
static uint64_t heard;             // decisions
static tuning_decision_t before;   // the last of them
static unsigned surveys, by_signature;

static tuning_search_t *search_now(void) { return &loop->searches[class]; }

static uint32_t rung_of(uint32_t knob, uint64_t value) {
    for (uint32_t r = 0; r < tuning_ladders[knob].count; r++) {
        if (tuning_ladders[knob].values[r] == value) {
            EXPLORE_EXPECT((loop->allowed[knob] >> r & 1) != 0, "Tuning: out of bounds");
            return r;
        }
    }
    explore_fail("Tuning: a value of no ladder");
}

static uint64_t cost_at(const uint32_t rungs[TUNING_KNOBS]) {
    uint32_t place = 0;
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        place = tuning_ladders[k].class == class ? place * tuning_ladders[k].count + rungs[k] : place;
    }
    return costs[place];
}

// --- the log ----------------------------------------------------------------------------------------------------------

static bool is_cost(double said, uint32_t knob, uint32_t rung, uint32_t partner_rung, bool paired) {
    uint32_t rungs[TUNING_KNOBS];
    memcpy(rungs, at, sizeof rungs);
    rungs[knob] = rung;
    if (paired) {
        rungs[tuning_ladders[knob].partner - 1] = partner_rung;
    }
    double wanted = (double)cost_at(rungs) / OPERATIONS;
    return said > wanted * (1 - ROUNDING) && said < wanted * (1 + ROUNDING);
}

// What was measured is what it costs; a move brings its margin, twice, or by far, or what is in force was too bad to be tried.
static void hear_measured(const tuning_decision_t *d) {
    bool unseen = d->cost_from <= 0;
    EXPLORE_EXPECT(unseen || is_cost(d->cost_from, d->knob, d->from, d->partner_from, d->paired), "Tuning: the present cost is another");
    EXPLORE_EXPECT(d->action == TUNING_STAY || is_cost(d->cost_to, d->knob, d->to, d->partner_to, d->paired),
                   "Tuning: the new cost is another");
    if (d->action != TUNING_MOVE) {
        return;
    }
    bool dueled = before.action == TUNING_DUEL && before.knob == d->knob && before.to == d->to;
    EXPLORE_EXPECT(unseen || d->cost_to < d->cost_from * (1 - GAIN), "Tuning: a move that gains nothing");
    EXPLORE_EXPECT(unseen || dueled || d->cost_to < d->cost_from * (1 - FAR), "Tuning: a move without a duel");
    at[d->knob] = d->to;
    if (d->paired) {
        at[tuning_ladders[d->knob].partner - 1] = d->partner_to;
    }
}

static void hear(const tuning_decision_t *d) {
    surveys += d->action == TUNING_SURVEY;
    by_signature += d->action == TUNING_SURVEY && d->reason == TUNING_SIGNATURE;
    if (d->action != TUNING_SURVEY) {
        hear_measured(d);
    }
    before = *d;
}

static void listen(void) {
    tuning_decision_t log[TUNING_LOG];
    size_t count = tuning_log(loop, log, (size_t)(loop->logged - heard));
    heard = loop->logged;
    for (size_t i = 0; i < count; i++) {
        hear(&log[i]);
        i += log[i].paired; // the partner's follows
    }
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        uint32_t rung = rung_of(k, tuning_value(loop, (tuning_knob_t)k));
        EXPLORE_EXPECT(search_now()->stage != TUNING_WATCH || rung == at[k], "Tuning: in force is another than the log says");
    }
}

// --- time -------------------------------------------------------------------------------------------------------------

// Whether the loop took a look.
static bool one_chunk(void) {
    uint32_t rungs[TUNING_KNOBS];
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        rungs[k] = rung_of(k, tuning_value(loop, (tuning_knob_t)k));
    }
    now += cost_at(rungs);
    if (!tuning_end(loop, class, OPERATIONS, signature, now)) {
        return false;
    }
    listen();
    tuning_begin(loop, class, now);
    return true;
}

static void live_until(uint64_t periods) {
    for (unsigned i = 0; i < CHUNKS_MOST && tuning_totals(loop).periods < periods; i++) {
        (void)one_chunk();
    }
}

// All the same, but where two knobs are at one place each: neither gains anything alone.
static void cross_costs(void) {
    uint32_t rungs = tuning_ladders[TUNING_PREFETCH].count, top = tuning_ladders[TUNING_SIMD].count - 1;
    uint32_t best = (uint32_t)explore_draw(rungs);
    for (uint32_t i = 0; i < COSTS_MOST; i++) { // of the class's knobs these are the last two
        bool crossed = i % rungs == best && i / rungs % (top + 1) == top;
        costs[i] = crossed ? CHUNK_LEAST * 4 / 5 : CHUNK_LEAST;
    }
}

static void begin(bool flat) {
    static const uint64_t steps[] = {5, 130, 700}; // less than a gain, more, and far
    tuning_config_t config = {.rules = &rules};
    class = (tuning_class_t)explore_draw(TUNING_MEMORY);
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        config.allowed[k] = explore_draw(4) == 0 ? 1 + (uint32_t)explore_draw((1u << tuning_ladders[k].count) - 1) : 0;
    }
    for (unsigned i = 0; i < COSTS_MOST; i++) {
        costs[i] = CHUNK_LEAST + (flat ? 0 : explore_draw(4) * steps[explore_draw(3)]);
    }
    if (class == TUNING_BATCHES && !flat && explore_draw(2) == 0) {
        cross_costs();
    }
    now = 1;
    heard = 0;
    surveys = by_signature = 0;
    before = (tuning_decision_t){0};
    signature = 100;
    EXPLORE_EXPECT(tuning_create(&config, &loop) == STATUS_OK, "Tuning: no loop");
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        at[k] = rung_of(k, tuning_value(loop, (tuning_knob_t)k));
    }
    tuning_begin(loop, class, now);
}

// --- what is asked of it ------------------------------------------------------------------------------------------------

// After a round without a move nothing gains: no knob alone, and none with its partner at the far end.
static void expect_settled(void) {
    tuning_search_t search = *search_now();
    uint32_t left = knobs_of(loop->allowed, class);
    for (; left != 0; left &= left - 1) {
        uint32_t which = (uint32_t)__builtin_ctz(left), knob = which % TUNING_KNOBS;
        for (uint32_t r = 0; r < tuning_ladders[knob].count; r++) {
            uint32_t rungs[TUNING_KNOBS];
            memcpy(rungs, search.at, sizeof rungs);
            rungs[knob] = r;
            if (which >= TUNING_KNOBS) {
                uint32_t partner = partner_of(knob);
                rungs[partner] = far_end(loop->allowed[partner], search.at[partner]);
            }
            bool allowed = (loop->allowed[knob] >> r & 1) != 0;
            EXPLORE_EXPECT(!allowed || (double)cost_at(rungs) >= (double)cost_at(search.at) * (1 - GAIN) - 1, "Tuning: not the best");
        }
    }
}

static void find_the_best(void) {
    begin(false);
    for (unsigned i = 0; i < CHUNKS_MOST; i++) {
        (void)one_chunk();
        const tuning_search_t *search = search_now();
        if (search->stage == TUNING_WATCH && search->calm_length > CALM_FIRST) {
            if (tuning_ladders[search->knob].survey != TUNING_CLIMB) { // a climb ends where it gets worse
                expect_settled();
            }
            return;
        }
    }
}

// Once it has found what is best it looks again, and ever more rarely.
static void grow_calm(void) {
    begin(explore_draw(2) == 0);
    unsigned of_a_round = (unsigned)__builtin_popcount(knobs_of(loop->allowed, class));
    live_until(PERIODS);
    uint64_t from = tuning_totals(loop).periods;
    surveys = 0;
    live_until(from + PERIODS);
    uint64_t passed = tuning_totals(loop).periods - from;
    EXPLORE_EXPECT(surveys <= of_a_round * (7 + passed / CALM_MOST), "Tuning: surveys do not become rarer");
    EXPLORE_EXPECT(surveys > 0 || of_a_round == 0 || passed < 2 * CALM_MOST, "Tuning: it never looks again");
}

static void notice_another_signature(void) {
    begin(true);
    if (knobs_of(loop->allowed, class) == 0) {
        return;
    }
    const tuning_search_t *search = search_now();
    for (unsigned i = 0; i < CHUNKS_MOST && (search->stage != TUNING_WATCH || search->calm < 12); i++) {
        (void)one_chunk();
    }
    signature = 10;
    live_until(tuning_totals(loop).periods + 6);
    EXPLORE_EXPECT(by_signature > 0, "Tuning: something else is asked for, and nobody looks");
}

static void stay_cheap(void) {
    begin(true);
    for (unsigned i = 0; i < CHUNKS_MOST && tuning_totals(loop).periods < 4 * CHARGE_PERIODS; i++) {
        if (one_chunk()) {
            tuning_charge(loop, 2 * CHUNK_LEAST);
        }
    }
    EXPLORE_EXPECT(tuning_totals(loop).period_ns > rules.period_ns, "Tuning: it takes too much, and does not look less often");
}

// --- placement --------------------------------------------------------------------------------------------------------

static double latency(const uint64_t *latencies, const uint64_t *uses, unsigned nodes, unsigned memory) {
    double sum = 0, total = 0;
    for (unsigned n = 0; n < nodes; n++) {
        sum += (double)uses[n] * (double)latencies[n * nodes + memory];
        total += (double)uses[n];
    }
    return sum / total;
}

static double latency_of(const uint64_t *latencies, const uint64_t *uses, unsigned nodes, numa_placement_t where, unsigned toucher) {
    double sum = 0;
    for (unsigned m = 0; m < nodes; m++) {
        sum += latency(latencies, uses, nodes, m) / nodes;
    }
    return where.policy == NUMA_INTERLEAVE ? sum : latency(latencies, uses, nodes, where.policy == NUMA_BIND ? where.node : toucher);
}

// Memory moves for a gain alone, or to spread what all use alike.
static void place_memory(void) {
    uint64_t latencies[NODES_MOST * NODES_MOST], uses[NODES_MOST];
    unsigned nodes = 2 + (unsigned)explore_draw(NODES_MOST - 1), toucher = (unsigned)explore_draw(nodes);
    for (unsigned i = 0; i < nodes * nodes; i++) {
        latencies[i] = (i % nodes == i / nodes ? 100 : 101 + explore_draw(2) * 60) + explore_draw(4);
    }
    for (unsigned n = 0; n < nodes; n++) {
        uses[n] = 1 + explore_draw(3) * 50;
    }
    numa_placement_t present = {.policy = (numa_policy_t)explore_draw(NUMA_POLICY_COUNT), .node = (unsigned)explore_draw(nodes)};
    numa_placement_t chosen = tuning_place(latencies, nodes, uses, toucher, present, 0.1, NULL);
    double had = latency_of(latencies, uses, nodes, present, toucher), has = latency_of(latencies, uses, nodes, chosen, toucher);
    bool stays = chosen.policy == present.policy && (chosen.policy != NUMA_BIND || chosen.node == present.node);
    bool spreads = chosen.policy == NUMA_INTERLEAVE && has <= had * (1.1 + ROUNDING);
    EXPLORE_EXPECT(stays || spreads || has <= had * (0.9 + ROUNDING), "Tuning: memory moves for nothing");
    for (unsigned m = 0; m < nodes; m++) {
        EXPLORE_EXPECT(latency(latencies, uses, nodes, m) > has * 0.79, "Tuning: memory stays far away");
    }
}

static void run(unsigned thread) {
    (void)thread;
    static void (*const parts[])(void) = {find_the_best, grow_calm, notice_another_signature, stay_cheap, place_memory};
    loop = NULL;
    parts[explore_draw(sizeof parts / sizeof *parts)]();
    tuning_destroy(loop);
}

static void set_up(void) {}
static void finish(void) {}

static const explore_scenario_t scenarios[] = {{"tuning_alone", 1, set_up, run, finish}};
EXPLORE_SCENARIOS("tuning", "Tuning", scenarios)
