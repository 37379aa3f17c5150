// What the evidence says: the state machine of one class's search. Pure: state and evidence in, state and decision out.
//
//     watch ──start, timer, drift──▶ survey of one knob ──clearly better──▶ move
//       ▲                              │        └──a little better──▶ duel ──again better──▶ move
//       │                              └──not better──▶ stay ◀──not better──┘
//       └──no knob left── move or stay ──a knob left──▶ survey of the next; after the knobs the pairs
//
// Why it ends: a round surveys each knob once, and each pair. A second round follows only where one of several knobs moved, and a third never.
// Why it does not swing: a move needs the margin twice, or once by far, both times against the present rung measured
// in the same survey. Two rungs that differ by less than the margin are never exchanged.
#include "tuning.h"

#define ROUNDS_MOST 2u
#define ALARMS_MOST 5u
#define FAR 0.25    // better by this share, over so many chunks, and measured by turns of one chunk:
#define FAR_FROM 5u // no duel

static bool is_allowed(uint32_t mask, uint32_t rung) { return (mask >> rung & 1) != 0; }

static bool has_choice(uint32_t mask) { return (mask & (mask - 1)) != 0; }

static uint32_t partner_of(uint32_t knob) { return tuning_ladders[knob].partner - 1; }

// The class's knobs that can move, as a mask, and those that can with their partner.
static uint32_t knobs_of(const uint32_t allowed[TUNING_KNOBS], tuning_class_t class) {
    uint32_t knobs = 0;
    for (uint32_t k = 0; k < TUNING_KNOBS; k++) {
        if (tuning_ladders[k].class == class && has_choice(allowed[k])) {
            knobs |= 1u << k;
            bool pair = tuning_ladders[k].partner != 0 && has_choice(allowed[partner_of(k)]);
            knobs |= pair ? 1u << (TUNING_KNOBS + k) : 0;
        }
    }
    return knobs;
}

static tuning_decision_t decision_of(const tuning_search_t *search, tuning_action_t action, tuning_reason_t reason,
                                     const tuning_evidence_t *evidence) {
    uint32_t at = search->at[search->knob];
    uint32_t partner = search->paired ? search->at[partner_of(search->knob)] : 0;
    return (tuning_decision_t){
        .action = action,
        .reason = reason,
        .knob = (tuning_knob_t)search->knob,
        .from = at,
        .to = at,
        .paired = search->paired,
        .partner_from = partner,
        .partner_to = partner,
        .cost_from = evidence->cost,
        .signature = evidence->signature,
        .samples = evidence->samples,
    };
}

// The top of the ladder; of what is there already the bottom.
static uint32_t far_end(uint32_t mask, uint32_t from) {
    uint32_t top = 31u - (uint32_t)__builtin_clz(mask);
    return top != from ? top : (uint32_t)__builtin_ctz(mask);
}

// The next knob of the round, or the next pair.
static tuning_decision_t survey_next(const uint32_t allowed[TUNING_KNOBS], tuning_search_t *search, const tuning_evidence_t *evidence) {
    uint32_t next = (uint32_t)__builtin_ctz(search->left);
    search->left &= search->left - 1;
    search->stage = TUNING_SURVEY;
    search->paired = next >= TUNING_KNOBS;
    search->knob = search->paired ? next - TUNING_KNOBS : next;
    if (search->paired) {
        uint32_t partner = partner_of(search->knob);
        search->partner_to = far_end(allowed[partner], search->at[partner]);
    }
    tuning_decision_t decision = decision_of(search, TUNING_SURVEY, search->reason, evidence);
    decision.partner_to = search->paired ? search->partner_to : 0;
    return decision;
}

static tuning_decision_t begin_round(const uint32_t allowed[TUNING_KNOBS], tuning_class_t class, tuning_search_t *search,
                                     tuning_reason_t reason, const tuning_evidence_t *evidence) {
    search->left = knobs_of(allowed, class);
    search->moved = false;
    search->drifted = 0;
    search->reason = reason;
    search->signature = evidence->signature;
    if (search->left == 0) {
        return decision_of(search, TUNING_WATCH, reason, evidence);
    }
    return survey_next(allowed, search, evidence);
}

static double ratio(double a, double b) { return a > b ? a / b : b / a; }

static bool has_drifted(double now, double before, double by) { return now > 0 && before > 0 && ratio(now, before) > 1 + by; }

// Whether the class is in another phase; COST or SIGNATURE, or MEASURED where it is not.
static tuning_reason_t drift_of(const tuning_rules_t *rules, tuning_search_t *search, const tuning_evidence_t *evidence) {
    bool cost = has_drifted(evidence->cost, search->basis, rules->drift);
    bool signature = has_drifted(evidence->signature, search->signature, rules->drift);
    if (!cost && !signature) {
        search->drifted = 0;
        return TUNING_MEASURED;
    }
    uint32_t alarms = search->alarms < ALARMS_MOST ? search->alarms : ALARMS_MOST;
    uint32_t needed = signature ? rules->drift_periods : rules->drift_periods << alarms;
    if (++search->drifted < needed) {
        return TUNING_MEASURED;
    }
    return signature ? TUNING_SIGNATURE : TUNING_COST;
}

static tuning_decision_t watch(const tuning_rules_t *rules, const uint32_t allowed[TUNING_KNOBS], tuning_class_t class,
                               tuning_search_t *search, const tuning_evidence_t *evidence) {
    if (!search->started) {
        search->started = true;
        return begin_round(allowed, class, search, TUNING_START, evidence);
    }
    tuning_reason_t drift = drift_of(rules, search, evidence);
    if (drift != TUNING_MEASURED) {
        return begin_round(allowed, class, search, drift, evidence);
    }
    if (search->drifted == 0) { // follows a machine that slowly becomes slower or faster
        search->basis = search->basis > 0 ? search->basis + (evidence->cost - search->basis) / 16 : evidence->cost;
        search->signature = search->signature > 0 ? search->signature : evidence->signature;
    }
    if (search->calm > 0 && --search->calm == 0) {
        return begin_round(allowed, class, search, TUNING_TIMER, evidence);
    }
    return decision_of(search, TUNING_WATCH, TUNING_MEASURED, evidence);
}

// The round is over, or its next survey follows. `cost` is that of what is in force.
static void end_survey(const tuning_rules_t *rules, const uint32_t allowed[TUNING_KNOBS], tuning_class_t class,
                       tuning_search_t *search, double cost) {
    search->stage = TUNING_WATCH;
    search->paired = false;
    if (search->left != 0) {
        return;
    }
    uint32_t knobs = knobs_of(allowed, class);
    if (search->moved && has_choice(knobs) && search->rounds + 1 < ROUNDS_MOST) {
        search->rounds++;
        search->moved = false;
        search->left = knobs;
        search->reason = TUNING_NEXT;
        return;
    }
    uint32_t longer = search->calm_length < rules->calm_most / 2 ? search->calm_length * 2 : rules->calm_most;
    search->alarms = search->ever_moved || search->reason != TUNING_COST ? 0 : search->alarms + 1;
    search->calm_length = search->ever_moved || search->calm_length == 0 ? rules->calm_first : longer;
    search->calm = search->calm_length;
    search->rounds = 0;
    search->moved = search->ever_moved = false;
    search->basis = cost;
}

// Where the costs of what is in force stand.
static uint32_t slot_in_force(const tuning_search_t *search) { return search->paired ? TUNING_IN_FORCE : search->at[search->knob]; }

static tuning_decision_t measured(const tuning_search_t *search, tuning_action_t action, uint32_t slot,
                                  const tuning_evidence_t *evidence) {
    tuning_decision_t decision = decision_of(search, action, TUNING_MEASURED, evidence);
    uint32_t present = slot_in_force(search);
    if (slot != present) {
        decision.to = slot;
        decision.partner_to = search->paired ? search->partner_to : 0;
    }
    decision.cost_from = evidence->costs[present];
    decision.cost_to = evidence->costs[slot];
    return decision;
}

static void move(tuning_search_t *search, uint32_t to) {
    search->at[search->knob] = to;
    if (search->paired) {
        search->at[partner_of(search->knob)] = search->partner_to;
    }
    search->moved = search->ever_moved = true;
}

// The cheapest slot that was measured; the present one where none was.
static uint32_t cheapest(uint32_t mask, uint32_t present, const tuning_evidence_t *evidence) {
    uint32_t best = present;
    bool known = evidence->counted[present] != 0;
    for (uint32_t r = 0; r < TUNING_RUNGS; r++) {
        if (is_allowed(mask, r) && evidence->counted[r] != 0 && (!known || evidence->costs[r] < evidence->costs[best])) {
            best = r;
            known = true;
        }
    }
    return best;
}

static tuning_decision_t judge(const tuning_rules_t *rules, const uint32_t allowed[TUNING_KNOBS], tuning_class_t class,
                               tuning_search_t *search, const tuning_evidence_t *evidence) {
    uint32_t present = slot_in_force(search);
    uint32_t best = search->challenger;
    bool duel = search->stage == TUNING_DUEL;
    if (!duel) {
        best = cheapest(allowed[search->knob], present, evidence);
    }
    // A climb that ended below the present rung has seen the cost rise towards it.
    bool unseen = evidence->counted[present] == 0;
    double cost = evidence->costs[present];
    bool better = best != present && (unseen || evidence->costs[best] < cost * (1 - rules->gain));
    bool mixed = tuning_ladders[search->knob].survey == TUNING_ROTATE && tuning_ladders[search->knob].dwell == 1;
    bool far = mixed && evidence->costs[best] < cost * (1 - FAR) && evidence->counted[best] >= FAR_FROM;
    if (better && !duel && !unseen && !far) {
        search->stage = TUNING_DUEL;
        search->challenger = best;
        return measured(search, TUNING_DUEL, best, evidence);
    }
    tuning_decision_t decision = measured(search, better ? TUNING_MOVE : TUNING_STAY, better ? best : present, evidence);
    if (better) {
        move(search, best);
    }
    end_survey(rules, allowed, class, search, decision.cost_to);
    return decision;
}

tuning_decision_t tuning_decide(const tuning_rules_t *rules, const uint32_t allowed[TUNING_KNOBS], tuning_class_t class,
                                tuning_search_t *search, const tuning_evidence_t *evidence) {
    if (search->stage == TUNING_SURVEY || search->stage == TUNING_DUEL) {
        return judge(rules, allowed, class, search, evidence);
    }
    if (search->left != 0) {
        return survey_next(allowed, search, evidence);
    }
    return watch(rules, allowed, class, search, evidence);
}
