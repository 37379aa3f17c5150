/* Makes what was found small: threads and operations are left out of the program as long as some schedule of the rest does the same,
 * then decisions become the usual ones. The same is a violation of the same contract. */
#include <string.h>

#include "program.h"

enum { REPLAYS_MAX = 1500, SCHEDULES = 300, SC_SCHEDULES = 3000 };

static uint8_t best[EXPLORE_DECISIONS], tried[EXPLORE_DECISIONS];

static bool same(const shrunk_t *shrunk) { return strcmp(report->finding.contract, shrunk->before.contract) == 0; }

/* Keeps what the report holds as the best so far. */
static void keep(shrunk_t *shrunk) {
    shrunk->finding = report->finding;
    size_t count = report->finding.decision_count;
    memcpy(best, report->decisions, count);
    while (count > 0 && best[count - 1] == 0) {
        count--;
    }
    shrunk->plan.replay = true;
    shrunk->plan.decisions = best;
    shrunk->plan.decision_count = count;
}

/* Whether the decisions in `tried` do it, too. */
static bool attempt(shrunk_t *shrunk, size_t count) {
    explore_plan_t plan = shrunk->plan;
    plan.replay = true;
    plan.decisions = tried;
    plan.decision_count = count;
    shrunk->replays++;
    if (shrunk->replays > REPLAYS_MAX || !child_try(&plan, 1, false) || !same(shrunk)) {
        return false;
    }
    keep(shrunk);
    return true;
}

static void shrink_decisions(shrunk_t *shrunk) {
    for (size_t cut = shrunk->plan.decision_count / 2; cut > 0; cut /= 2) { /* the end */
        while (shrunk->plan.decision_count > cut) {
            memcpy(tried, best, shrunk->plan.decision_count - cut);
            if (!attempt(shrunk, shrunk->plan.decision_count - cut)) {
                break;
            }
        }
    }
    for (size_t size = shrunk->plan.decision_count / 2 + 1;; size /= 2) { /* pieces */
        for (size_t from = 0; from < shrunk->plan.decision_count; from += size) {
            size_t count = shrunk->plan.decision_count;
            size_t length = from + size < count ? size : count - from;
            memcpy(tried, best, count);
            memset(tried + from, 0, length);
            if (memcmp(tried, best, count) != 0) {
                (void)attempt(shrunk, count);
            }
        }
        if (size <= 1) {
            return;
        }
    }
}

/* Without some operations: by the decisions as they are, or else by some other schedule. */
static bool drop(shrunk_t *shrunk, unsigned thread, uint64_t operations) {
    explore_plan_t plan = shrunk->plan;
    plan.dropped[thread] |= operations;
    shrunk->replays += 2;
    if (shrunk->replays > REPLAYS_MAX) {
        return false;
    }
    bool found = plan.replay && child_try(&plan, 1, false) && same(shrunk);
    if (!found) {
        plan.replay = false;
        plan.schedule = 1;
        found = child_try(&plan, SCHEDULES, false) && same(shrunk);
    }
    if (found) {
        shrunk->plan = plan;
        shrunk->plan.schedule = 0;
        keep(shrunk);
    }
    return found;
}

static bool shrink_program(shrunk_t *shrunk) {
    bool dropped = false;
    for (unsigned thread = 0; thread < EXPLORE_THREADS; thread++) {
        unsigned count = shrunk->finding.operations[thread];
        count = count < EXPLORE_OPERATIONS ? count : EXPLORE_OPERATIONS;
        uint64_t all = count == EXPLORE_OPERATIONS ? UINT64_MAX : ((uint64_t)1 << count) - 1;
        all &= ~shrunk->plan.dropped[thread];
        if (all == 0 || drop(shrunk, thread, all)) {
            dropped |= all != 0;
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            dropped |= (all >> i & 1) != 0 && drop(shrunk, thread, (uint64_t)1 << i);
        }
    }
    return dropped;
}

/* Without the operation that would end it, any program waits for ever. */
static bool may_drop(const shrunk_t *shrunk) {
    static const char *const waits[] = {"deadlock", "livelock", "endless"};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        if (strcmp(shrunk->before.contract, waits[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* Whether sequential consistency is enough for it. */
static bool needs_weak(const shrunk_t *shrunk) {
    explore_plan_t plan = shrunk->plan;
    plan.replay = false;
    plan.schedule = 1;
    plan.strategy = EXPLORE_ROTATE;
    plan.model = EXPLORE_SC;
    return !(child_try(&plan, SC_SCHEDULES, false) && same(shrunk));
}

void shrink(const explore_plan_t *plan, bool whole, shrunk_t *shrunk) {
    memset(shrunk, 0, sizeof *shrunk);
    shrunk->plan = *plan;
    shrunk->before = report->finding;
    shrunk->plan.strategy = report->finding.strategy; /* as drawn */
    shrunk->plan.model = report->finding.model;
    keep(shrunk);
    memcpy(tried, best, shrunk->plan.decision_count);
    shrunk->replayed = attempt(shrunk, shrunk->plan.decision_count);
    if (!shrunk->replayed) { /* as the seed decides: a process that crashed has told of no decisions */
        shrunk->plan = *plan;
        (void)child_try(&shrunk->plan, 1, true);
        return;
    }
    if (whole && strcmp(shrunk->before.contract, "endless") != 0) { /* each attempt at that takes as long as it took */
        for (int pass = 0; pass < 8 && may_drop(shrunk) && shrink_program(shrunk); pass++) {
        }
        shrink_decisions(shrunk);
        shrunk->weak = needs_weak(shrunk);
    }
    shrunk->replayed = child_try(&shrunk->plan, 1, true) && same(shrunk);
    shrunk->finding = report->finding;
}
