// The loop: takes the time of chunks, lets them take turns on the rungs of a survey, and asks tuning_decide what that means.
//
// One thread's own: no atomics. Watching costs an addition, a comparison and a countdown per chunk; a division
// only for the chunks that are samples, about TUNING_SAMPLES per period.
#include "tuning.h"

#include <stdlib.h>
#include <string.h>

#define RISEN 1.1          // a climb ends after two rungs in a row that cost this much more than the best
#define CHARGE_PERIODS 16u // the loop's own cost is judged over so many
#define PERIOD_MOST 1000000000u
#define CLIMB_NS 4000000u   // a turn of a climb is over after so much counted time, too, and two samples
#define SAMPLES_LEAST 3u   // a period of long chunks lasts until it has so many: one alone may have been interrupted

typedef struct meter {
    uint64_t began;  // of the chunk
    uint64_t period; // when this one began; 0: with the next chunk
    uint64_t chunks; // in this period
    uint32_t skip;   // chunks until the next sample
    uint32_t stride; // chunks between samples
    uint32_t taken;
    double samples[TUNING_SAMPLES];
    double signatures;
    // A survey or duel.
    uint32_t mask;     // slots that take part
    uint32_t turn;     // turns over
    uint32_t position; // chunks in this one
    uint32_t chunks_in_all;
    uint64_t counted_ns; // of this turn
    uint32_t counted[TUNING_SLOTS];
    double surveyed[TUNING_SLOTS][TUNING_SAMPLES];
} meter_t;

struct tuning {
    uint64_t values[TUNING_KNOBS]; // in force
    tuning_rules_t rules;
    uint32_t allowed[TUNING_KNOBS];
    tuning_search_t searches[TUNING_CLASSES];
    meter_t meters[TUNING_CLASSES];
    tuning_totals_t totals;
    uint64_t judged_seen, judged_charged, judged_periods; // when the loop's own cost was last looked at
    uint64_t logged;
    tuning_decision_t log[TUNING_LOG];
};

// --- making -------------------------------------------------------------------------------------------------------

static uint32_t all_rungs(uint32_t knob) { return (1u << tuning_ladders[knob].count) - 1; }

static bool is_good(const tuning_config_t *config, uint32_t knob) {
    uint32_t all = all_rungs(knob);
    uint32_t allowed = config->allowed[knob] ? config->allowed[knob] : all;
    uint32_t start = config->start[knob];
    return (allowed & ~all) == 0 && start <= tuning_ladders[knob].count && (start == 0 || (allowed >> (start - 1) & 1) != 0);
}

static bool is_good_rules(const tuning_rules_t *rules) {
    return rules->period_ns > 0 && rules->period_ns <= PERIOD_MOST && rules->gain >= 0 && rules->gain < 1 && rules->drift > 0 &&
           rules->drift_periods > 0 && rules->drift_periods <= 1u << 20 && rules->calm_first > 0 &&
           rules->calm_first <= rules->calm_most && rules->calm_most < 1u << 30 && rules->cost_cap > 0;
}

// The original's rung, or the nearest allowed one, the lower of two.
static uint32_t nearest_allowed(uint32_t allowed, uint32_t original) {
    for (uint32_t d = 0; d < TUNING_RUNGS; d++) {
        if (original >= d && (allowed >> (original - d) & 1) != 0) {
            return original - d;
        }
        if ((allowed >> (original + d) & 1) != 0) {
            return original + d;
        }
    }
    return original;
}

static uint64_t value_at(uint32_t knob, uint32_t rung) { return tuning_ladders[knob].values[rung]; }

status_t tuning_create(const tuning_config_t *config, tuning_t **made) {
    static const tuning_config_t standard;
    config = config ? config : &standard;
    const tuning_rules_t *rules = config->rules ? config->rules : &tuning_rules_standard;
    bool good = is_good_rules(rules);
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        good = good && is_good(config, k);
    }
    if (!good) {
        return STATUS_INVALID;
    }
    tuning_t *tuning = calloc(1, sizeof *tuning);
    if (!tuning) {
        return STATUS_NO_MEMORY;
    }
    tuning->rules = *rules;
    tuning->totals.period_ns = rules->period_ns;
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        uint32_t allowed = config->allowed[k] ? config->allowed[k] : all_rungs(k);
        uint32_t rung = config->start[k] ? config->start[k] - 1 : nearest_allowed(allowed, tuning_ladders[k].original);
        tuning->allowed[k] = allowed;
        tuning->searches[tuning_ladders[k].class].at[k] = rung;
        tuning->values[k] = value_at(k, rung);
    }
    for (uint32_t c = 0; c < TUNING_CLASSES; c++) {
        tuning->meters[c].stride = tuning->meters[c].skip = 1;
    }
    *made = tuning;
    return STATUS_OK;
}

void tuning_destroy(tuning_t *tuning) { free(tuning); }

// --- the log --------------------------------------------------------------------------------------------------------

void tuning_note(tuning_t *tuning, const tuning_decision_t *decision) {
    tuning->log[tuning->logged % TUNING_LOG] = *decision;
    tuning->logged++;
}

size_t tuning_log(const tuning_t *tuning, tuning_decision_t *decisions, size_t most) {
    uint64_t kept = tuning->logged < TUNING_LOG ? tuning->logged : TUNING_LOG;
    uint64_t count = kept < most ? kept : most;
    for (uint64_t i = 0; i < count; i++) {
        decisions[i] = tuning->log[(tuning->logged - count + i) % TUNING_LOG];
    }
    return count;
}

tuning_totals_t tuning_totals(const tuning_t *tuning) { return tuning->totals; }

uint64_t tuning_value(const tuning_t *tuning, tuning_knob_t knob) { return tuning->values[knob]; }

// --- evidence -------------------------------------------------------------------------------------------------------

// The median, the lower of two; sorts the samples. 0 of none.
static double median(double *samples, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        double one = samples[i];
        uint32_t j = i;
        for (; j > 0 && samples[j - 1] > one; j--) {
            samples[j] = samples[j - 1];
        }
        samples[j] = one;
    }
    return count == 0 ? 0 : samples[(count - 1) / 2];
}

static tuning_evidence_t evidence_of_period(meter_t *meter) {
    return (tuning_evidence_t){
        .samples = meter->taken,
        .cost = median(meter->samples, meter->taken),
        .signature = meter->taken == 0 ? 0 : meter->signatures / meter->taken,
    };
}

static tuning_evidence_t evidence_of_survey(meter_t *meter) {
    tuning_evidence_t evidence = {.samples = meter->chunks_in_all};
    for (uint32_t s = 0; s < TUNING_SLOTS; s++) {
        evidence.counted[s] = meter->counted[s];
        evidence.costs[s] = median(meter->surveyed[s], meter->counted[s]);
    }
    return evidence;
}

// --- whose turn it is in a survey -------------------------------------------------------------------------------------

static uint32_t rungs_in(uint32_t mask) { return (uint32_t)__builtin_popcount(mask); }

static uint32_t nth_rung(uint32_t mask, uint32_t n) {
    for (; n > 0; n--) {
        mask &= mask - 1;
    }
    return (uint32_t)__builtin_ctz(mask);
}

static bool climbs(const tuning_ladder_t *ladder, const tuning_search_t *search) {
    return ladder->survey == TUNING_CLIMB && search->stage == TUNING_SURVEY;
}

static uint32_t turns_in_all(const tuning_ladder_t *ladder, const tuning_search_t *search, const meter_t *meter) {
    uint32_t rounds = climbs(ladder, search) ? 1 : (ladder->samples + ladder->dwell - 1) / ladder->dwell;
    if (search->stage == TUNING_DUEL && ladder->survey == TUNING_ROTATE) {
        rounds = (TUNING_SAMPLES + ladder->dwell - 1) / ladder->dwell; // the machine may have been faster in one block than in another
    }
    return rungs_in(meter->mask) * rounds;
}

static uint32_t slot_now(const meter_t *meter) { return nth_rung(meter->mask, meter->turn % rungs_in(meter->mask)); }

// The slot's values are in force from now on.
static void put_in_force(tuning_t *tuning, const tuning_search_t *search, uint32_t slot) {
    bool present = slot == TUNING_IN_FORCE;
    tuning->values[search->knob] = value_at(search->knob, present ? search->at[search->knob] : slot);
    if (search->paired) {
        uint32_t partner = tuning_ladders[search->knob].partner - 1;
        tuning->values[partner] = value_at(partner, present ? search->at[partner] : search->partner_to);
    }
}

static uint32_t settle_now(const tuning_t *tuning, const tuning_search_t *search) {
    const tuning_ladder_t *ladder = &tuning_ladders[search->knob];
    uint64_t more = ladder->fill == 0 ? 0 : tuning->values[search->knob] / ladder->fill;
    return ladder->settle + (uint32_t)more;
}

// After a turn: whether the two rungs before have both risen far above the best.
static bool has_risen(const meter_t *meter) {
    double best = 0;
    uint32_t risen = 0;
    for (uint32_t n = 0; n < meter->turn; n++) {
        uint32_t rung = nth_rung(meter->mask, n);
        double copy[TUNING_SAMPLES];
        memcpy(copy, meter->surveyed[rung], sizeof copy);
        double cost = median(copy, meter->counted[rung]);
        best = best <= 0 || cost < best ? cost : best;
        risen = cost > best * RISEN ? risen + 1 : 0;
    }
    return risen >= 2;
}

// --- steps ------------------------------------------------------------------------------------------------------------

static void begin_survey(tuning_t *tuning, const tuning_search_t *search, meter_t *meter) {
    uint32_t present = 1u << (search->paired ? TUNING_IN_FORCE : search->at[search->knob]);
    uint32_t others = search->stage == TUNING_DUEL ? 1u << search->challenger : tuning->allowed[search->knob];
    meter->mask = present | others;
    meter->turn = meter->position = meter->chunks_in_all = 0;
    meter->counted_ns = 0;
    memset(meter->counted, 0, sizeof meter->counted);
    put_in_force(tuning, search, slot_now(meter));
}

static void begin_period(meter_t *meter) {
    uint64_t stride = meter->chunks / TUNING_SAMPLES;
    meter->stride = stride == 0 ? 1 : stride > 1u << 20 ? 1u << 20 : (uint32_t)stride;
    meter->skip = (meter->stride + 1) / 2;
    meter->chunks = 0;
    meter->taken = 0;
    meter->signatures = 0;
    meter->period = 0;
}

static void count_decision(tuning_totals_t *totals, tuning_action_t action) {
    totals->surveys += action == TUNING_SURVEY;
    totals->duels += action == TUNING_DUEL;
    totals->moves += action == TUNING_MOVE;
}

// The loop's own cost against its cap: makes the period longer, or shorter again.
static void keep_cheap(tuning_t *tuning) {
    tuning_totals_t *totals = &tuning->totals;
    if (totals->periods - tuning->judged_periods < CHARGE_PERIODS) {
        return;
    }
    double share = (double)(totals->charged_ns - tuning->judged_charged) / ((double)(totals->seen_ns - tuning->judged_seen) + 1);
    uint64_t period = totals->period_ns;
    if (share > tuning->rules.cost_cap) {
        totals->period_ns = period < PERIOD_MOST / 2 ? period * 2 : PERIOD_MOST;
    } else if (share < tuning->rules.cost_cap / 4 && period > tuning->rules.period_ns) {
        totals->period_ns = period / 2 > tuning->rules.period_ns ? period / 2 : tuning->rules.period_ns;
    }
    tuning->judged_periods = totals->periods;
    tuning->judged_seen = totals->seen_ns;
    tuning->judged_charged = totals->charged_ns;
}

static void take_over(tuning_t *tuning, const tuning_search_t *search, const tuning_decision_t *decision) {
    tuning->values[decision->knob] = value_at(decision->knob, search->at[decision->knob]);
    tuning_note(tuning, decision);
    if (decision->paired) {
        uint32_t partner = tuning_ladders[decision->knob].partner - 1;
        tuning->values[partner] = value_at(partner, search->at[partner]);
        tuning_decision_t its = *decision;
        its.knob = (tuning_knob_t)partner;
        its.from = decision->partner_from;
        its.to = decision->partner_to;
        tuning_note(tuning, &its);
    }
}

static void step(tuning_t *tuning, tuning_class_t class, const tuning_evidence_t *evidence, uint64_t now) {
    tuning_search_t *search = &tuning->searches[class];
    meter_t *meter = &tuning->meters[class];
    tuning_evidence_t shown = *evidence;
    for (bool again = true; again;) {
        tuning_decision_t decision = tuning_decide(&tuning->rules, tuning->allowed, class, search, &shown);
        decision.when_ns = now;
        count_decision(&tuning->totals, decision.action);
        if (decision.action != TUNING_WATCH) {
            take_over(tuning, search, &decision);
        }
        again = search->stage == TUNING_WATCH && search->left != 0;
        shown = (tuning_evidence_t){0};
    }
    if (search->stage != TUNING_WATCH) {
        begin_survey(tuning, search, meter);
    }
    begin_period(meter);
}

// Whether the rung's turn is over. Long chunks are means over much already: a climb takes fewer of them.
static bool turn_is_over(const tuning_ladder_t *ladder, const meter_t *meter, uint32_t settle, bool climb) {
    if (meter->position >= settle + (climb ? ladder->samples : ladder->dwell)) {
        return true;
    }
    return climb && meter->counted_ns >= CLIMB_NS && meter->position >= settle + 2;
}

// A chunk of a survey or duel has ended. Whether that was the last one.
static bool survey_chunk(tuning_t *tuning, tuning_class_t class, uint64_t took, uint64_t operations) {
    tuning_search_t *search = &tuning->searches[class];
    meter_t *meter = &tuning->meters[class];
    const tuning_ladder_t *ladder = &tuning_ladders[search->knob];
    bool climb = climbs(ladder, search);
    uint32_t slot = slot_now(meter);
    uint32_t settle = settle_now(tuning, search);
    if (meter->position >= settle && meter->counted[slot] < TUNING_SAMPLES) {
        meter->surveyed[slot][meter->counted[slot]++] = (double)took / (double)operations;
        meter->counted_ns += took;
    }
    meter->chunks_in_all++;
    meter->position++;
    if (!turn_is_over(ladder, meter, settle, climb)) {
        return false;
    }
    meter->position = 0;
    meter->counted_ns = 0;
    meter->turn++;
    if (meter->turn == turns_in_all(ladder, search, meter) || (climb && has_risen(meter))) {
        return true;
    }
    put_in_force(tuning, search, slot_now(meter));
    return false;
}

void tuning_begin(tuning_t *tuning, tuning_class_t class, uint64_t now) {
    meter_t *meter = &tuning->meters[class];
    if (meter->period != 0 && now > meter->began + 2 * tuning->totals.period_ns) {
        begin_period(meter); // it was idle, or something else had its turn
    }
    meter->began = now;
    meter->period = meter->period ? meter->period : now;
}

bool tuning_end(tuning_t *tuning, tuning_class_t class, uint64_t operations, double signature, uint64_t now) {
    meter_t *meter = &tuning->meters[class];
    uint64_t took = now - meter->began;
    meter->began = now;
    meter->chunks++;
    tuning->totals.chunks++;
    tuning->totals.seen_ns += took;
    if (operations == 0) {
        return false;
    }
    if (tuning->searches[class].stage != TUNING_WATCH) {
        tuning->totals.survey_ns += took;
        if (survey_chunk(tuning, class, took, operations)) {
            tuning_evidence_t evidence = evidence_of_survey(meter);
            step(tuning, class, &evidence, now);
        }
        return true;
    }
    if (--meter->skip == 0) {
        meter->skip = meter->stride;
        if (meter->taken < TUNING_SAMPLES) {
            meter->samples[meter->taken++] = (double)took / (double)operations;
            meter->signatures += signature;
        }
    }
    bool started = tuning->searches[class].started;
    if (started && (now - meter->period < tuning->totals.period_ns || meter->taken < SAMPLES_LEAST)) {
        return false;
    }
    tuning->totals.periods++;
    tuning_evidence_t evidence = evidence_of_period(meter);
    step(tuning, class, &evidence, now);
    keep_cheap(tuning);
    return true;
}

void tuning_charge(tuning_t *tuning, uint64_t ns) { tuning->totals.charged_ns += ns; }
