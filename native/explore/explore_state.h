// What the three parts of the explorer share: memory (locations and blocks), model (what a door returns), schedule (who is next).
#pragma once

#include "explore.h"

enum {
    MAIN_THREAD = EXPLORE_THREADS, // sets up and finishes
    THREADS = EXPLORE_THREADS + 1,
    FENCED = THREADS, // place in a view: until when seq_cst operations are known
    CLOCKS = THREADS + 1,
    HISTORY = 8
};

// Per thread how much of it happened before, or must be seen.
typedef struct view {
    uint32_t clock[CLOCKS];
} view_t;

// One store to a location. The views are what who acquires from it gets.
typedef struct store {
    uint64_t value;
    uint32_t time; // of its thread
    uint32_t thread;
    uint32_t in_order; // place in the order of seq_cst operations of the first that wrote or read it; 0: none did
    view_t before, seen;
    uint32_t read_at[THREADS]; // when a thread first read it; 0: not
} store_t;

// A piece of memory that a scenario has. Blocks lie one behind the other.
typedef struct block {
    char *at;
    size_t bytes;
    uint32_t thread, time; // who allocated it, and when
    bool freed;
} block_t;

typedef struct location {
    const void *at;
    block_t *block; // NULL: static memory
    uint64_t stores;
    uint32_t any[THREADS], plain_write[THREADS], atomic_write[THREADS]; // when each thread last did
    store_t last[HISTORY];
} location_t;

typedef struct thread_state {
    view_t before;   // what happened before
    view_t seen;     // what loads must see
    view_t read_before, read_seen; // of relaxed loads: for an acquire fence
    view_t fence_before, fence_seen; // at the last release fence: for relaxed stores
    unsigned stale; // stale values returned so far
} thread_state_t;

// --- memory ---
location_t *memory_location(const void *at, unsigned bytes);
void memory_reset(void);     // before a run
void memory_expect_all_freed(void);

// --- model ---
extern thread_state_t model_threads[THREADS];
void model_reset(bool weak);
void model_begin_threads(unsigned count);
void model_join_threads(unsigned count);
uint32_t model_tick(void); // the running thread's time, one on
void model_take(view_t *into, const view_t *from);

// --- schedule ---
extern unsigned running; // a thread's number
extern bool tracing;
void schedule_door(void);
uint64_t schedule_choice(uint64_t below); // a decision of the model
bool schedule_is_late(void);              // from here on only to the end
#define TRACE(...)                                                                                                     \
    do {                                                                                                               \
        if (tracing) {                                                                                                 \
            schedule_trace(__VA_ARGS__);                                                                               \
        }                                                                                                              \
    } while (0)
void schedule_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
