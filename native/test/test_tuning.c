// The loop over made-up costs: time is computed, not measured, so every run is the same.
#include <math.h>
#include <stdbool.h>

#include "expect.h"
#include "tuning.h"

typedef double cost_fn(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]);

#define MS ((uint64_t)1000000)

// A machine whose speed can be trusted: a fifth is a change.
static const tuning_rules_t quiet = {
    .period_ns = 2 * MS, .gain = 0.02, .drift = 0.2, .drift_periods = 2, .calm_first = 64, .calm_most = 2048, .cost_cap = 0.005};

typedef struct world {
    tuning_t *tuning;
    uint64_t now;
    uint64_t random;
    double noise;     // each chunk costs up to this share more
    double burst;     // one chunk in sixteen costs so much more: somebody else had the CPU
    double signature;
    uint64_t wrong;   // values outside the bounds
} world_t;

static uint64_t draw(world_t *world) {
    uint64_t x = world->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static double share(world_t *world) { return (double)(draw(world) >> 11) * 0x1p-53; }

// --- costs, ns per operation ----------------------------------------------------------------------------------------

static double away(uint64_t value, uint64_t best) { return fabs(log2((double)value + 1) - log2((double)best + 1)); }

static double hot(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    uint64_t entries = values[TUNING_CACHE];
    double hits = entries >= 4096 ? 1 : (double)entries / 4096;
    return entries == 0 ? 4 : 2 + 0.02 * (entries > 4096) + 8 * (1 - hits);
}

static double scattered(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    return values[TUNING_CACHE] == 0 ? 5 : 9 + (double)values[TUNING_CACHE] / 8192;
}

// Three knobs that depend on each other: far ahead is of use in large groups alone.
static double far_away(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    uint64_t ahead = values[TUNING_PREFETCH] < values[TUNING_GROUP] ? values[TUNING_PREFETCH] : values[TUNING_GROUP];
    return 10 + 2 * away(ahead, 32) + 20.0 / (double)values[TUNING_GROUP] + (values[TUNING_SIMD] > 32 ? 1 : 0);
}

// Neither of two knobs gains anything alone: with vectors it does not matter how far ahead, and without them a short way is worse.
static double crossed(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    double groups = 20.0 / (double)values[TUNING_GROUP];
    return groups + (values[TUNING_SIMD] != TUNING_NEVER ? 14.5 : 12.5 + 3 * away(values[TUNING_PREFETCH], 32));
}

static double near_by(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    return 1 + 0.02 * (double)values[TUNING_PREFETCH] + 0.2 * away(values[TUNING_SIMD] > 64 ? 64 : values[TUNING_SIMD], 16);
}

static double waiting(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    double quantum = (double)values[TUNING_QUANTUM];
    return 100 + 100 * (quantum > 150000 ? 1 - 150000 / quantum : 0) + 200000 / quantum;
}

static double computing(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    return 100 + 3000000 / (double)values[TUNING_QUANTUM];
}

static double all_the_same(tuning_knob_t knob, const uint64_t values[TUNING_KNOBS]) {
    (void)knob;
    (void)values;
    return 10;
}

// --- running --------------------------------------------------------------------------------------------------------

static void read_values(world_t *world, uint64_t values[TUNING_KNOBS]) {
    for (int k = 0; k < TUNING_KNOBS; k++) {
        values[k] = tuning_value(world->tuning, (tuning_knob_t)k);
        bool known = false;
        for (uint32_t r = 0; r < tuning_ladders[k].count; r++) {
            known = known || values[k] == tuning_ladders[k].values[r];
        }
        world->wrong += !known;
    }
}

// Chunks of 4000 operations of one class until `ns` have passed. Mean cost per operation.
static double live(world_t *world, tuning_class_t class, cost_fn *cost, uint64_t ns) {
    uint64_t end = world->now + ns;
    uint64_t begun = world->now;
    uint64_t operations = 0;
    tuning_begin(world->tuning, class, world->now);
    while (world->now < end) {
        uint64_t values[TUNING_KNOBS];
        read_values(world, values);
        double each = cost(0, values) * (1 + world->noise * share(world));
        if (world->burst > 0 && draw(world) % 16 == 0) {
            each *= 1 + world->burst;
        }
        world->now += (uint64_t)(each * 4000);
        operations += 4000;
        if (tuning_end(world->tuning, class, 4000, world->signature, world->now)) {
            world->now += 300;
            tuning_charge(world->tuning, 300);
            tuning_begin(world->tuning, class, world->now);
        }
    }
    return (double)(world->now - begun) / (double)operations;
}

static world_t world_of(const tuning_config_t *config, uint64_t seed) {
    static const tuning_config_t standard = {.rules = &quiet};
    world_t world = {.random = seed, .now = 1, .noise = 0.1, .burst = 3};
    EXPECT_EQ(tuning_create(config ? config : &standard, &world.tuning), STATUS_OK);
    return world;
}

// What the values in force cost, once a survey under way is over.
static double cost_now(world_t *world, tuning_class_t class, cost_fn *cost) {
    tuning_decision_t last;
    for (bool under_way = true; under_way;) {
        EXPECT_EQ(tuning_log(world->tuning, &last, 1), 1);
        under_way = last.action == TUNING_SURVEY || last.action == TUNING_DUEL;
        if (under_way) {
            live(world, class, cost, MS);
        }
    }
    uint64_t values[TUNING_KNOBS];
    read_values(world, values);
    return cost(0, values);
}

static uint64_t moves(const world_t *world) { return tuning_totals(world->tuning).moves; }

// Over all settings of the class's knobs.
static double best_cost(tuning_class_t class, cost_fn *cost) {
    uint64_t values[TUNING_KNOBS] = {0};
    int knobs[TUNING_KNOBS];
    int count = 0;
    uint64_t all = 1;
    for (int k = 0; k < TUNING_KNOBS; k++) {
        if (tuning_ladders[k].class == class) {
            knobs[count++] = k;
            all *= tuning_ladders[k].count;
        }
    }
    double best = INFINITY;
    for (uint64_t i = 0; i < all; i++) {
        uint64_t rest = i;
        for (int k = 0; k < count; k++) {
            values[knobs[k]] = tuning_ladders[knobs[k]].values[rest % tuning_ladders[knobs[k]].count];
            rest /= tuning_ladders[knobs[k]].count;
        }
        best = fmin(best, cost(0, values));
    }
    return best;
}

enum { SEEDS = 3 };

// --- the rules ------------------------------------------------------------------------------------------------------

typedef struct phase {
    tuning_class_t class;
    cost_fn *cost;
    double near; // how near to the best: few chunks per rung, and noise, allow no more than 1.06
} phase_t;

static const phase_t phases[] = {
    {TUNING_CHECKS, hot, 1.03},    {TUNING_CHECKS, scattered, 1.03}, {TUNING_BATCHES, far_away, 1.03}, {TUNING_BATCHES, near_by, 1.03},
    {TUNING_BATCHES, crossed, 1.03},
    {TUNING_RUNS, waiting, 1.06},  {TUNING_RUNS, computing, 1.06},   {TUNING_CHECKS, hot, 1.03},
};
enum { PHASES = sizeof phases / sizeof phases[0] };

static void each_phase_leads_to_its_best_and_stays_there(void) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (int p = 0; p < PHASES; p++) {
            world_t world = world_of(NULL, seed);
            live(&world, phases[p].class, phases[p].cost, 2000 * MS);
            EXPECT(cost_now(&world, phases[p].class, phases[p].cost) <= best_cost(phases[p].class, phases[p].cost) * phases[p].near);
            uint64_t before = moves(&world);
            double mean = live(&world, phases[p].class, phases[p].cost, 5000 * MS);
            EXPECT(moves(&world) <= before + 1);
            double noise = (1 + 0.05) * (1 + 3.0 / 16);
            EXPECT(mean <= best_cost(phases[p].class, phases[p].cost) * noise * phases[p].near * 1.01);
            EXPECT_EQ(world.wrong, 0);
            tuning_destroy(world.tuning);
        }
    }
}

static void a_change_of_phase_is_followed_and_its_return_too(void) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world_t world = world_of(NULL, seed);
        for (int turn = 0; turn < 3; turn++) {
            for (int p = 0; p < PHASES; p++) {
                live(&world, phases[p].class, phases[p].cost, 400 * MS);
                EXPECT(cost_now(&world, phases[p].class, phases[p].cost) <= best_cost(phases[p].class, phases[p].cost) * 1.06);
            }
        }
        tuning_destroy(world.tuning);
    }
}

static void where_nothing_matters_nothing_moves_and_surveys_become_rare(void) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world_t world = world_of(NULL, seed);
        world.noise = 0.02;
        live(&world, TUNING_CHECKS, all_the_same, 2000 * MS);
        tuning_totals_t before = tuning_totals(world.tuning);
        live(&world, TUNING_CHECKS, all_the_same, 5000 * MS);
        tuning_totals_t after = tuning_totals(world.tuning);
        EXPECT_EQ(after.moves, 0);
        EXPECT(after.surveys - before.surveys <= 8);
        EXPECT((double)(after.survey_ns - before.survey_ns) < 0.01 * (double)(after.seen_ns - before.seen_ns));
        tuning_destroy(world.tuning);
    }
}

static void two_knobs_that_gain_nothing_alone_move_together(void) {
    world_t world = world_of(NULL, 4);
    live(&world, TUNING_BATCHES, crossed, 500 * MS);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_SIMD), TUNING_NEVER);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_PREFETCH), 32);
    tuning_decision_t log[TUNING_LOG];
    size_t count = tuning_log(world.tuning, log, TUNING_LOG);
    size_t pairs = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        bool together = log[i].paired && log[i].action == TUNING_MOVE && log[i].knob == TUNING_PREFETCH;
        if (together) {
            pairs++;
            EXPECT_EQ(log[i + 1].knob, TUNING_SIMD);
            EXPECT_EQ(log[i + 1].action, TUNING_MOVE);
            EXPECT_EQ(tuning_ladders[TUNING_SIMD].values[log[i + 1].to], TUNING_NEVER);
            EXPECT(log[i + 1].from != log[i + 1].to && log[i].cost_to < log[i].cost_from);
        }
    }
    EXPECT_EQ(pairs, 1);
    tuning_destroy(world.tuning);
}

static void a_move_of_a_pair_sets_both_at_once(void) {
    uint32_t allowed[TUNING_KNOBS] = {[TUNING_SIMD] = 0x1f, [TUNING_PREFETCH] = 0x3f};
    tuning_search_t search = {.stage = TUNING_SURVEY, .knob = TUNING_PREFETCH, .paired = true, .partner_to = 4, .started = true,
                              .at = {[TUNING_SIMD] = 1, [TUNING_PREFETCH] = 2}};
    tuning_evidence_t evidence = {.samples = 63};
    for (int s = 0; s < TUNING_SLOTS; s++) {
        evidence.counted[s] = 9;
        evidence.costs[s] = s == 3 ? 5 : 10;
    }
    tuning_decision_t decision = tuning_decide(&quiet, allowed, TUNING_BATCHES, &search, &evidence);
    EXPECT_EQ(decision.action, TUNING_MOVE);
    EXPECT_EQ(decision.from, 2);
    EXPECT_EQ(decision.to, 3);
    EXPECT_EQ(decision.partner_from, 1);
    EXPECT_EQ(decision.partner_to, 4);
    EXPECT_EQ(search.at[TUNING_PREFETCH], 3);
    EXPECT_EQ(search.at[TUNING_SIMD], 4);
}

static void a_pair_of_which_one_is_bound_is_not_tried(void) {
    tuning_config_t config = {.allowed = {[TUNING_SIMD] = 0x2}};
    world_t world = world_of(&config, 4);
    live(&world, TUNING_BATCHES, crossed, 500 * MS);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_SIMD), 8);
    tuning_decision_t log[TUNING_LOG];
    size_t count = tuning_log(world.tuning, log, TUNING_LOG);
    for (size_t i = 0; i < count; i++) {
        EXPECT(!log[i].paired);
    }
    tuning_destroy(world.tuning);
}

static void a_new_signature_alone_starts_a_survey(void) {
    world_t world = world_of(NULL, 1);
    world.noise = 0;
    world.burst = 0;
    world.signature = 100;
    live(&world, TUNING_CHECKS, all_the_same, 100 * MS);
    uint64_t before = tuning_totals(world.tuning).surveys;
    world.signature = 10;
    live(&world, TUNING_CHECKS, all_the_same, 20 * MS);
    EXPECT_EQ(tuning_totals(world.tuning).surveys, before + 1);
    tuning_decision_t last[2];
    EXPECT_EQ(tuning_log(world.tuning, last, 2), 2);
    EXPECT_EQ(last[0].action, TUNING_SURVEY);
    EXPECT_EQ(last[0].reason, TUNING_SIGNATURE);
    EXPECT_EQ(last[1].action, TUNING_STAY);
    tuning_destroy(world.tuning);
}

static void values_stay_within_the_bounds_given(void) {
    tuning_config_t config = {.allowed = {[TUNING_CACHE] = 0x6, [TUNING_SIMD] = 0x10, [TUNING_PREFETCH] = 0x0c}};
    world_t world = world_of(&config, 7);
    world.noise = 0.01;
    EXPECT_EQ(tuning_value(world.tuning, TUNING_CACHE), 64);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_SIMD), TUNING_NEVER);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_PREFETCH), 8);
    for (int i = 0; i < 2000; i++) {
        live(&world, TUNING_CHECKS, hot, MS / 10);
        live(&world, TUNING_BATCHES, far_away, MS / 10);
        uint64_t entries = tuning_value(world.tuning, TUNING_CACHE);
        uint64_t ahead = tuning_value(world.tuning, TUNING_PREFETCH);
        EXPECT(entries == 64 || entries == 256);
        EXPECT(ahead == 8 || ahead == 16);
        EXPECT_EQ(tuning_value(world.tuning, TUNING_SIMD), TUNING_NEVER);
    }
    EXPECT_EQ(tuning_value(world.tuning, TUNING_CACHE), 256);
    tuning_destroy(world.tuning);
}

static void a_loop_that_costs_too_much_looks_less_often(void) {
    world_t world = world_of(NULL, 3);
    live(&world, TUNING_CHECKS, all_the_same, 100 * MS);
    for (int i = 0; i < 4000; i++) {
        live(&world, TUNING_CHECKS, all_the_same, MS);
        tuning_charge(world.tuning, 50000); // 5 %, whatever it does
    }
    EXPECT(tuning_totals(world.tuning).period_ns > 8 * quiet.period_ns);
    live(&world, TUNING_CHECKS, all_the_same, 20000 * MS);
    EXPECT_EQ(tuning_totals(world.tuning).period_ns, quiet.period_ns);
    tuning_destroy(world.tuning);
}

static void the_same_times_give_the_same_decisions(void) {
    tuning_decision_t logs[2][TUNING_LOG];
    size_t counts[2];
    for (int i = 0; i < 2; i++) {
        world_t world = world_of(NULL, 42);
        live(&world, TUNING_CHECKS, hot, 500 * MS);
        live(&world, TUNING_CHECKS, scattered, 500 * MS);
        counts[i] = tuning_log(world.tuning, logs[i], TUNING_LOG);
        tuning_destroy(world.tuning);
    }
    EXPECT_EQ(counts[0], counts[1]);
    for (size_t i = 0; i < counts[0]; i++) {
        EXPECT_EQ(logs[0][i].when_ns, logs[1][i].when_ns);
        EXPECT_EQ(logs[0][i].action, logs[1][i].action);
        EXPECT_EQ(logs[0][i].to, logs[1][i].to);
    }
}

static void the_log_keeps_the_latest_with_their_evidence(void) {
    world_t world = world_of(NULL, 5);
    live(&world, TUNING_CHECKS, hot, 500 * MS);
    tuning_decision_t log[TUNING_LOG];
    size_t count = tuning_log(world.tuning, log, TUNING_LOG);
    EXPECT(count >= 2);
    bool moved = false;
    for (size_t i = 0; i < count; i++) {
        if (log[i].action == TUNING_MOVE) {
            moved = true;
            EXPECT(log[i].cost_to < log[i].cost_from && log[i].cost_to > 0 && log[i].samples > 0);
        }
        EXPECT(i == 0 || log[i].when_ns >= log[i - 1].when_ns);
    }
    EXPECT(moved);
    for (uint32_t i = 0; i < 2 * TUNING_LOG; i++) {
        tuning_decision_t note = {.when_ns = i};
        tuning_note(world.tuning, &note);
    }
    EXPECT_EQ(tuning_log(world.tuning, log, TUNING_LOG), TUNING_LOG);
    EXPECT_EQ(log[0].when_ns, TUNING_LOG);
    EXPECT_EQ(tuning_log(world.tuning, log, 1), 1);
    EXPECT_EQ(log[0].when_ns, 2 * TUNING_LOG - 1);
    tuning_destroy(world.tuning);
}

static void bad_configurations_are_refused(void) {
    tuning_t *tuning = NULL;
    tuning_config_t config = {.allowed = {[TUNING_CACHE] = 0x40}};
    EXPECT_EQ(tuning_create(&config, &tuning), STATUS_INVALID);
    config = (tuning_config_t){.start = {[TUNING_VICTIM] = 4}};
    EXPECT_EQ(tuning_create(&config, &tuning), STATUS_INVALID);
    config = (tuning_config_t){.start = {[TUNING_CACHE] = 1}, .allowed = {[TUNING_CACHE] = 2}};
    EXPECT_EQ(tuning_create(&config, &tuning), STATUS_INVALID);
    tuning_rules_t rules = tuning_rules_standard;
    rules.gain = 1;
    config = (tuning_config_t){.rules = &rules};
    EXPECT_EQ(tuning_create(&config, &tuning), STATUS_INVALID);
    rules = tuning_rules_standard;
    rules.period_ns = 0;
    EXPECT_EQ(tuning_create(&config, &tuning), STATUS_INVALID);
    EXPECT(tuning == NULL);
}

static void the_original_settings_are_where_it_starts(void) {
    world_t world = world_of(NULL, 1);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_CACHE), 64);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_SIMD), 8);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_PREFETCH), 4);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_GROUP), 8);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_BUNDLE), 8);
    EXPECT_EQ(tuning_value(world.tuning, TUNING_QUANTUM), 10000000);
    tuning_destroy(world.tuning);
}

// --- placement --------------------------------------------------------------------------------------------------------

static const uint64_t four[16] = {80, 130, 150, 150, 130, 80, 150, 150, 150, 150, 80, 130, 150, 150, 130, 80};

static numa_placement_t place(const uint64_t *uses, unsigned toucher, numa_placement_t present) {
    tuning_decision_t decision;
    numa_placement_t chosen = tuning_place(four, 4, uses, toucher, present, 0.02, &decision);
    bool same = chosen.policy == present.policy && chosen.node == present.node;
    EXPECT_EQ(decision.action, same ? TUNING_STAY : TUNING_MOVE);
    EXPECT_EQ(decision.to, chosen.policy);
    EXPECT(chosen.node < 4);
    return chosen;
}

static void memory_goes_to_who_uses_it(void) {
    numa_placement_t touched = {.policy = NUMA_FIRST_TOUCH};
    EXPECT_EQ(place((uint64_t[]){100, 0, 0, 0}, 0, touched).policy, NUMA_FIRST_TOUCH);
    numa_placement_t bound = place((uint64_t[]){0, 0, 100, 3}, 0, touched);
    EXPECT_EQ(bound.policy, NUMA_BIND);
    EXPECT_EQ(bound.node, 2);
    EXPECT_EQ(place((uint64_t[]){0, 0, 100, 3}, 2, bound).policy, NUMA_BIND); // as good where it is
    EXPECT_EQ(place((uint64_t[]){50, 50, 50, 50}, 1, touched).policy, NUMA_INTERLEAVE);
    EXPECT_EQ(place((uint64_t[]){50, 50, 50, 50}, 1, bound).policy, NUMA_INTERLEAVE);
    numa_placement_t spread = {.policy = NUMA_INTERLEAVE};
    EXPECT_EQ(place((uint64_t[]){9, 100, 0, 0}, 1, spread).policy, NUMA_FIRST_TOUCH);
    EXPECT_EQ(place((uint64_t[]){0, 0, 0, 0}, 1, touched).policy, NUMA_FIRST_TOUCH);
}

static void placement_does_not_swing(void) {
    numa_placement_t present = {.policy = NUMA_FIRST_TOUCH};
    int changes = 0;
    world_t world = {.random = 11};
    for (int i = 0; i < 1000; i++) {
        uint64_t uses[4];
        for (int n = 0; n < 4; n++) {
            uses[n] = 1000 + draw(&world) % 20;
        }
        numa_placement_t next = place(uses, 0, present);
        changes += next.policy != present.policy || next.node != present.node;
        present = next;
    }
    EXPECT_EQ(changes, 1);
}

static void one_node_and_nonsense_stay_with_first_touch(void) {
    uint64_t one = 80;
    uint64_t uses[TUNING_NODES + 1] = {5};
    numa_placement_t bound = {.policy = NUMA_BIND, .node = 9};
    EXPECT_EQ(tuning_place(&one, 1, uses, 0, bound, 0.02, NULL).policy, NUMA_FIRST_TOUCH);
    EXPECT_EQ(tuning_place(four, 4, uses, 9, bound, 0.02, NULL).policy, NUMA_FIRST_TOUCH);
    EXPECT_EQ(tuning_place(four, TUNING_NODES + 1, uses, 0, bound, 0.02, NULL).policy, NUMA_FIRST_TOUCH);
}

int main(void) {
    each_phase_leads_to_its_best_and_stays_there();
    a_change_of_phase_is_followed_and_its_return_too();
    where_nothing_matters_nothing_moves_and_surveys_become_rare();
    two_knobs_that_gain_nothing_alone_move_together();
    a_move_of_a_pair_sets_both_at_once();
    a_pair_of_which_one_is_bound_is_not_tried();
    a_new_signature_alone_starts_a_survey();
    values_stay_within_the_bounds_given();
    a_loop_that_costs_too_much_looks_less_often();
    the_same_times_give_the_same_decisions();
    the_log_keeps_the_latest_with_their_evidence();
    bad_configurations_are_refused();
    the_original_settings_are_where_it_starts();
    memory_goes_to_who_uses_it();
    placement_does_not_swing();
    one_node_and_nonsense_stay_with_first_touch();
    return 0;
}
