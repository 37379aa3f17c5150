// The explorer itself: small programs whose outcomes C11 decides. What it allows is seen, and what it forbids is not.
//
//     test_explore_litmus [RUNS [SEED]]           the outcomes
//     test_explore_litmus RUNS SEED FAULT         one of the programs that are wrong, each of which must end with a violation
#include "atomics.h"
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>

static atomic_u64_t *x, *y, *flag;
static plain_u32_t *data;
static uint64_t got[EXPLORE_THREADS][2];
static uint64_t runs, weak, both;

static void set_up(void) {
    x = shared_alloc(sizeof *x);
    y = shared_alloc(sizeof *y);
    flag = shared_alloc(sizeof *flag);
    data = shared_alloc(sizeof *data);
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        got[i][0] = got[i][1] = 99;
    }
}

static void clear(void) {
    shared_free(x);
    shared_free(y);
    shared_free(flag);
    shared_free(data);
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
    both += got[1][0] == 1 && got[1][1] == 2;
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

// --- programs that are wrong --------------------------------------------------------------------------------------------

static void race(unsigned i) {
    if (i == 0) {
        plain_store_u32(data, 1);
        atomic_store_relaxed_u64(flag, 1);
    } else if (atomic_load_acquire_u64(flag) == 1) {
        (void)plain_load_u32(data);
    }
}
static void freed(unsigned i) {
    if (i == 0) {
        shared_free(data);
        data = shared_alloc(64);
    } else {
        (void)plain_load_u32(data);
    }
}
static void asleep(unsigned i) { // looks at the flag before it sleeps, and not again
    if (i == 0) {
        atomic_store_seq_cst_u64(flag, 1);
        explore_wake(x, 1);
    } else if (atomic_load_seq_cst_u64(flag) == 0) {
        explore_wait(x, sizeof *x, 0, false);
    }
}
static void endless(unsigned i) {
    while (atomic_load_relaxed_u64(flag) == i) {
        spin_hint(0);
    }
}
static void leaking(unsigned i) { (void)shared_alloc(16 + i); }
static void twice(unsigned i) {
    if (i == 0) {
        void *memory = shared_alloc(16);
        shared_free(memory);
        shared_free(memory);
    }
}

typedef struct litmus {
    explore_scenario_t scenario;
    bool allowed; // the weak outcome
} litmus_t;

static const litmus_t litmus[] = {
    {{"sb_relaxed", 2, set_up, sb_relaxed, both_zero}, true},
    {{"sb_release_acquire", 2, set_up, sb_release_acquire, both_zero}, true},
    {{"sb_seq_cst", 2, set_up, sb_seq_cst, both_zero}, false},
    {{"sb_fences", 2, set_up, sb_fences, both_zero}, false},
    {{"sb_one_fence", 2, set_up, sb_one_fence, both_zero}, true},
    {{"sb_fence_of_all", 2, set_up, sb_fence_of_all, both_zero}, false},
    {{"sb_mixed", 2, set_up, sb_mixed, both_zero}, false},
    {{"sb_update", 2, set_up, sb_update, both_zero}, true},
    {{"mp_relaxed", 2, set_up, mp_relaxed, flag_without_data}, true},
    {{"mp_release", 2, set_up, mp_release, flag_without_data}, false},
    {{"mp_fences", 2, set_up, mp_fences, flag_without_data}, false},
    {{"mp_sequence", 3, set_up, mp_sequence, flag_without_data}, false},
    {{"mp_broken_sequence", 2, set_up, mp_broken_sequence, flag_without_data}, true},
    {{"coherence", 2, set_up, coherence, goes_back}, false},
    {{"iriw_acquire", 4, set_up, iriw_acquire, in_two_orders}, true},
    {{"iriw_seq_cst", 4, set_up, iriw_seq_cst, in_two_orders}, false},
    {{"adding", 3, set_up, adding, added}, false},
};
static const explore_scenario_t faults[] = {
    {"race", 2, set_up, race, clear},       {"freed", 2, set_up, freed, clear},     {"asleep", 2, set_up, asleep, clear},
    {"endless", 2, set_up, endless, clear}, {"leaking", 2, set_up, leaking, clear}, {"twice", 2, set_up, twice, clear},
};

int main(int count, char **arguments) {
    if (count > 3) {
        return explore_main(count, arguments, faults, sizeof faults / sizeof *faults);
    }
    char *words[] = {arguments[0], count > 1 ? arguments[1] : (char[]){"5000"}, count > 2 ? arguments[2] : (char[]){"1"}, NULL};
    for (size_t i = 0; i < sizeof litmus / sizeof *litmus; i++) {
        runs = weak = both = 0;
        int status = explore_main(3, words, &litmus[i].scenario, 1);
        if (status != 0) {
            return status;
        }
        if ((weak != 0) != litmus[i].allowed || both == 0) {
            fprintf(stderr, "%s: the weak outcome is %s, and was seen in %llu of %llu runs; the usual one in %llu\n",
                    litmus[i].scenario.name, litmus[i].allowed ? "allowed" : "forbidden", (unsigned long long)weak,
                    (unsigned long long)runs, (unsigned long long)both);
            return 1;
        }
    }
    return 0;
}
