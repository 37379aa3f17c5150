// The explorer: threads are coroutines of one process, one runs at a time, and every door of atomics.h is a decision: who goes on,
// and which of the stores that C11 allows a load returns. A run is a function of its seed, or of its decisions, so what was found
// comes again.
//
// What is modelled (explore_model.c): per location the last stores, release sequences in C11's or in C++20's reading, fences, the single
// order of seq_cst operations as C++20 has it, and weak compare-and-swaps that fail for no reason. What is not: load buffering (a load
// never returns a store that comes later in the run), and stores older than the last eight.
//
// What is found: two accesses of which one is plain, or frees, that nothing orders; use after free, double free and leaks;
// threads that all wait; threads that do not end; and whatever a scenario expects.
//
// A scenario includes the kernel's sources, so that they are compiled with explore/atomics_explore.h below them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORE_THREADS 4u

typedef struct explore_scenario {
    const char *name;
    unsigned threads;             // 1 to EXPLORE_THREADS
    void (*set_up)(void);         // by the main thread, before the others begin
    void (*run)(unsigned thread); // by each of them
    void (*finish)(void);         // by the main thread, after the others have ended; all that was allocated is freed
} explore_scenario_t;

// The scenarios of one file, over the sources of one subject; `contracts` are those whose violations they would report, with commas
// between. Two programs have them: orch-harness-explore all of them, test_explore_NAME those of scenario_NAME.c.
#define EXPLORE_SCENARIOS(subject, contracts, scenarios)                                                               \
    __attribute__((constructor)) static void register_scenarios(void) {                                                \
        explore_register(subject, contracts, scenarios, sizeof(scenarios) / sizeof *(scenarios));                      \
    }
void explore_register(const char *subject, const char *contracts, const explore_scenario_t *scenarios, size_t count);

// What a test program does with scenarios: NAME [RUNS [SEED [SCENARIO]]]. From SEED on, each scenario so many times; with 0
// the one run of that seed, with a line for each step. Exit status 0, 1 with a violation, 2 for wrong usage.
int explore_main(int count, char **arguments, const explore_scenario_t *scenarios, size_t scenario_count);

// For scenarios: a number below `below` that the seed decides; and the end of a run that is wrong.
uint64_t explore_draw(uint64_t below);
// Whether the next operation of the running thread's script is to be done: false where a run is made again without it. What it
// draws depends on its number alone, not on the operations before it. For threads that do several things, each of which may be left out.
bool explore_operation(void);
// How many operations a script has: mostly few, now and then many; three at most where every execution is to be made.
unsigned explore_length(unsigned least, unsigned most);
unsigned explore_thread(void); // the running one
void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define EXPLORE_EXPECT(condition, what)                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            explore_fail("%s: %s", what, #condition);                                                                  \
        }                                                                                                              \
    } while (0)

// Where the running thread is now, and whether that happened before what it does now: for what may be expected only of who knows.
typedef struct explore_moment {
    uint32_t thread, time; // time 0: never
} explore_moment_t;
explore_moment_t explore_now(void);
bool explore_happened(explore_moment_t moment);

// --- what the doors are made of ---------------------------------------------------------------------------------------

typedef enum explore_order { ORDER_RELAXED, ORDER_ACQUIRE, ORDER_RELEASE, ORDER_ACQ_REL, ORDER_SEQ_CST } explore_order_t;
typedef enum explore_update { UPDATE_SET, UPDATE_ADD, UPDATE_SUB, UPDATE_OR, UPDATE_AND, UPDATE_XOR } explore_update_t;

// Loads and stores are most of what there is, so each order has a function of its own: a door knows its order.
uint64_t explore_load_relaxed(const void *at, unsigned bytes);
uint64_t explore_load_acquire(const void *at, unsigned bytes);
uint64_t explore_load_seq_cst(const void *at, unsigned bytes);
static inline uint64_t explore_load(const void *at, unsigned bytes, explore_order_t order) {
    return order == ORDER_RELAXED   ? explore_load_relaxed(at, bytes)
           : order == ORDER_ACQUIRE ? explore_load_acquire(at, bytes)
                                    : explore_load_seq_cst(at, bytes);
}
void explore_store_relaxed(void *at, unsigned bytes, uint64_t value);
void explore_store_release(void *at, unsigned bytes, uint64_t value);
void explore_store_seq_cst(void *at, unsigned bytes, uint64_t value);
static inline void explore_store(void *at, unsigned bytes, uint64_t value, explore_order_t order) {
    (order == ORDER_RELAXED   ? explore_store_relaxed
     : order == ORDER_RELEASE ? explore_store_release
                              : explore_store_seq_cst)(at, bytes, value);
}
uint64_t explore_update(void *at, unsigned bytes, explore_update_t update, uint64_t value, explore_order_t order);
bool explore_cas(void *at, unsigned bytes, uint64_t *expected, uint64_t desired, explore_order_t order);
bool explore_cas_weak(void *at, unsigned bytes, uint64_t *expected, uint64_t desired, explore_order_t order);
void explore_fence(explore_order_t order);
void explore_fence_all(void); // a barrier that the system puts into every running thread
void explore_plain(const void *at, unsigned bytes, bool write);
void explore_yield(void);
void explore_wait(const void *at, unsigned bytes, uint64_t value, bool may_time_out); // sleeps while *at is `value`
void explore_wake(const void *at, unsigned count);

// Where in the sources the door is that was entered last.
typedef struct explore_site {
    const char *file, *function;
    unsigned line;
} explore_site_t;
extern const explore_site_t *explore_site;
static inline void explore_at(const explore_site_t *here) { explore_site = here; }
#define EXPLORE_HERE                                                                                                   \
    __extension__({                                                                                                    \
        static const explore_site_t here = {__FILE__, __func__, __LINE__};                                             \
        &here;                                                                                                         \
    })
