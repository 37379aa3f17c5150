// The explorer itself: small programs whose outcomes C11 decides. What it allows is seen, and what it forbids is not.
// In every model, by every strategy.
#include "atomics.h"
#include "explore_run.h"

#include <stdio.h>
#include <stdlib.h>

static atomic_u64_t *x, *y, *flag;
static uint64_t got[EXPLORE_THREADS][2];
static uint64_t runs, weak, both;

static void set_up(void) {
    x = shared_alloc(sizeof *x);
    y = shared_alloc(sizeof *y);
    flag = shared_alloc(sizeof *flag);
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        got[i][0] = got[i][1] = 99;
    }
}

static void clear(void) {
    shared_free(x);
    shared_free(y);
    shared_free(flag);
    runs++;
}

// --- store buffering: both loads miss the other's store -----------------------------------------------------------------

static void sb_relaxed(unsigned i) {
    atomic_store_relaxed_u64(i == 0 ? x : y, 1);
    got[i][0] = atomic_load_relaxed_u64(i == 0 ? y : x);
}
static void sb_release_acquire(unsigned i) {
    atomic_store_release_u64(i == 0 ? x : y, 1);
    got[i][0] = atomic_load_acquire_u64(i == 0 ? y : x);
}
static void sb_seq_cst(unsigned i) {
    atomic_store_seq_cst_u64(i == 0 ? x : y, 1);
    got[i][0] = atomic_load_seq_cst_u64(i == 0 ? y : x);
}
static void sb_fences(unsigned i) {
    atomic_store_relaxed_u64(i == 0 ? x : y, 1);
    atomic_fence_seq_cst();
    got[i][0] = atomic_load_relaxed_u64(i == 0 ? y : x);
}
static void sb_one_fence(unsigned i) {
    atomic_store_relaxed_u64(i == 0 ? x : y, 1);
    if (i == 0) {
        atomic_fence_seq_cst();
    }
    got[i][0] = atomic_load_relaxed_u64(i == 0 ? y : x);
}
static void sb_fence_of_all(unsigned i) { // the other side only keeps the compiler in order
    atomic_store_relaxed_u64(i == 0 ? x : y, 1);
    if (i == 0) {
        explore_fence_all();
    }
    got[i][0] = atomic_load_relaxed_u64(i == 0 ? y : x);
}
static void sb_mixed(unsigned i) { // a seq_cst store and load against a fence
    if (i == 0) {
        atomic_store_seq_cst_u64(x, 1);
        got[0][0] = atomic_load_seq_cst_u64(y);
    } else {
        sb_fences(1);
    }
}
static void sb_update(unsigned i) { // a seq_cst update, then a relaxed load: not ordered
    (void)atomic_exchange_seq_cst_u64(i == 0 ? x : y, 1);
    got[i][0] = atomic_load_relaxed_u64(i == 0 ? y : x);
}
static void both_zero(void) {
    weak += got[0][0] == 0 && got[1][0] == 0;
    both += got[0][0] == 1 && got[1][0] == 1;
    clear();
}

// --- message passing: the flag is seen, and not what was stored before --------------------------------------------------

static void receive(unsigned acquire) {
    got[1][0] = acquire != 0 ? atomic_load_acquire_u64(flag) : atomic_load_relaxed_u64(flag);
    if (acquire == 2) {
        atomic_fence_acquire();
    }
    got[1][1] = atomic_load_relaxed_u64(x);
}
static void mp_relaxed(unsigned i) {
    if (i == 0) {
        atomic_store_relaxed_u64(x, 1);
        atomic_store_relaxed_u64(flag, 1);
    } else {
        receive(0);
    }
}
static void mp_release(unsigned i) {
    if (i == 0) {
        atomic_store_relaxed_u64(x, 1);
        atomic_store_release_u64(flag, 1);
    } else {
        receive(1);
    }
}
static void mp_fences(unsigned i) {
    if (i == 0) {
        atomic_store_relaxed_u64(x, 1);
        atomic_fence_release();
        atomic_store_relaxed_u64(flag, 1);
    } else {
        receive(2);
    }
}
static void mp_sequence(unsigned i) { // a relaxed update of another thread goes on with the release sequence
    if (i == 0) {
        atomic_store_relaxed_u64(x, 1);
        atomic_store_release_u64(flag, 1);
    } else if (i == 1) {
        receive(1);
        got[1][0] = got[1][0] >= 2;
    } else {
        (void)atomic_fetch_add_relaxed_u64(flag, 1);
    }
}
static void mp_broken_sequence(unsigned i) { // a relaxed store of the same thread does not, since C++20
    if (i == 0) {
        atomic_store_relaxed_u64(x, 1);
        atomic_store_release_u64(flag, 2);
        atomic_store_relaxed_u64(flag, 1);
    } else {
        receive(1);
        got[1][0] = got[1][0] == 1;
    }
}
static void flag_without_data(void) {
    weak += got[1][0] == 1 && got[1][1] == 0;
    both += got[1][0] == 1 && got[1][1] == 1;
    clear();
}

// --- coherence, and independent reads of independent writes -------------------------------------------------------------

static void coherence(unsigned i) { // two reads of one location never go back
    if (i == 0) {
        atomic_store_relaxed_u64(x, 1);
        atomic_store_relaxed_u64(x, 2);
    } else {
        got[1][0] = atomic_load_relaxed_u64(x);
        got[1][1] = atomic_load_relaxed_u64(x);
    }
}
static void goes_back(void) {
    weak += got[1][0] > got[1][1];
    both += got[1][1] == 2;
    clear();
}
static void iriw(unsigned i, uint64_t (*load)(const atomic_u64_t *)) {
    if (i < 2) {
        got[i][0] = load(i == 0 ? x : y);
        got[i][1] = load(i == 0 ? y : x);
    }
}
static void iriw_acquire(unsigned i) {
    if (i >= 2) {
        atomic_store_release_u64(i == 2 ? x : y, 1);
    }
    iriw(i, atomic_load_acquire_u64);
}
static void iriw_seq_cst(unsigned i) {
    if (i >= 2) {
        atomic_store_seq_cst_u64(i == 2 ? x : y, 1);
    }
    iriw(i, atomic_load_seq_cst_u64);
}
static void in_two_orders(void) {
    weak += got[0][0] == 1 && got[0][1] == 0 && got[1][0] == 1 && got[1][1] == 0;
    both += got[0][1] == 1 && got[1][1] == 1;
    clear();
}
static void adding(unsigned i) { // updates never lose one another
    got[i][0] = atomic_fetch_add_relaxed_u64(x, 1);
}
static void added(void) {
    weak += atomic_load_relaxed_u64(x) != 3;
    both += got[2][0] == 0;
    clear();
}

static void refused(unsigned i) { // a weak compare-and-swap may fail for no reason
    uint64_t expected = 0;
    got[i][0] = i != 0 || atomic_cas_weak_acq_rel_u64(x, &expected, 1);
}
static void not_refused(unsigned i) { // a strong one may not
    uint64_t expected = 0;
    got[i][0] = i != 0 || atomic_cas_acq_rel_u64(x, &expected, 1);
}
static void failed_alone(void) {
    weak += got[0][0] == 0;
    both += got[0][0] == 1;
    clear();
}

// In which models the weak outcome is allowed.
enum { IN_SC = 1 << EXPLORE_SC, IN_C11 = 1 << EXPLORE_C11, IN_C20 = 1 << EXPLORE_C20, NOWHERE = 0, IN_C = IN_C11 | IN_C20 };
typedef struct litmus {
    explore_scenario_t scenario;
    unsigned allowed;
} litmus_t;

static const litmus_t litmus[] = {
    {{"sb_relaxed", 2, set_up, sb_relaxed, both_zero}, IN_C},
    {{"sb_release_acquire", 2, set_up, sb_release_acquire, both_zero}, IN_C},
    {{"sb_seq_cst", 2, set_up, sb_seq_cst, both_zero}, NOWHERE},
    {{"sb_fences", 2, set_up, sb_fences, both_zero}, NOWHERE},
    {{"sb_one_fence", 2, set_up, sb_one_fence, both_zero}, IN_C},
    {{"sb_fence_of_all", 2, set_up, sb_fence_of_all, both_zero}, NOWHERE},
    {{"sb_mixed", 2, set_up, sb_mixed, both_zero}, NOWHERE},
    {{"sb_update", 2, set_up, sb_update, both_zero}, IN_C},
    {{"mp_relaxed", 2, set_up, mp_relaxed, flag_without_data}, IN_C},
    {{"mp_release", 2, set_up, mp_release, flag_without_data}, NOWHERE},
    {{"mp_fences", 2, set_up, mp_fences, flag_without_data}, NOWHERE},
    {{"mp_sequence", 3, set_up, mp_sequence, flag_without_data}, NOWHERE},
    {{"mp_broken_sequence", 2, set_up, mp_broken_sequence, flag_without_data}, IN_C20},
    {{"coherence", 2, set_up, coherence, goes_back}, NOWHERE},
    {{"iriw_acquire", 4, set_up, iriw_acquire, in_two_orders}, IN_C},
    {{"iriw_seq_cst", 4, set_up, iriw_seq_cst, in_two_orders}, NOWHERE},
    {{"adding", 3, set_up, adding, added}, NOWHERE},
    {{"refused", 2, set_up, refused, failed_alone}, IN_SC | IN_C},
    {{"not_refused", 2, set_up, not_refused, failed_alone}, NOWHERE},
};
static const char *const strategies[] = {"rotate", "random", "pct2", "pct3", "pct4", "pos", "exhaustive"};
static const char *const models[] = {"", "sc", "C11", "C++20"};
enum { RUNS = 3000, EXHAUSTIVE_MAX = 20000 };

static void report(const explore_finding_t *found) {
    fprintf(stderr, "a program that is right: %s\n", found->message);
    exit(1);
}

// Everything is seen that a model allows, and nothing else, whoever chooses the threads. With every execution, to the last.
static bool judge(const litmus_t *program, unsigned strategy, unsigned model) {
    explore_plan_t plan = {.scenario = &program->scenario, .seed = 1, .strategy = strategy, .model = model};
    bool allowed = (program->allowed >> model & 1) != 0, ended = false;
    runs = weak = both = 0;
    for (unsigned i = 0; i < (strategy == EXPLORE_EXHAUSTIVE ? EXHAUSTIVE_MAX : RUNS) && plan.seed <= RUNS; i++) {
        bool done = explore_run(&plan);
        if (strategy == EXPLORE_EXHAUSTIVE && done) {
            ended = true;
            break;
        }
        plan.seed += done;
    }
    if ((weak != 0) == allowed && both != 0 && (ended || strategy != EXPLORE_EXHAUSTIVE)) {
        return true;
    }
    fprintf(stderr, "%s by %s in %s: the weak outcome is %s, and was seen in %llu of %llu runs; the usual one in %llu%s\n",
            program->scenario.name, strategies[strategy], models[model], allowed ? "allowed" : "forbidden", (unsigned long long)weak,
            (unsigned long long)runs, (unsigned long long)both, ended ? "" : "; more runs were to come");
    return false;
}

int main(void) {
    bool good = true;
    explore_found = report;
    for (size_t i = 0; i < sizeof litmus / sizeof *litmus; i++) {
        for (unsigned strategy = EXPLORE_ROTATE; strategy < EXPLORE_STRATEGIES; strategy++) {
            for (unsigned model = EXPLORE_SC; model < EXPLORE_MODELS; model++) {
                good &= judge(&litmus[i], strategy, model);
            }
        }
    }
    return good ? 0 : 1;
}
