// What the parts of the explorer share: memory (locations and blocks), model (what a door returns), schedule (who is next), trace.
#pragma once

#include <emmintrin.h>

#include "explore_run.h"

enum {
    MAIN_THREAD = EXPLORE_THREADS, // sets up and finishes
    THREADS = EXPLORE_THREADS + 1,
    FENCED = THREADS, // place in a view: until when seq_cst operations are known
    CLOCKS = 8,       // a vector of 16 bytes
    HISTORY = 8,
    TIME_MAX = 32000
};

// Per thread how much of it happened before, or must be seen. A thread's time goes on with each of its releases: nothing
// between two of them can be told apart by anybody else.
typedef union view {
    __m128i all;
    int16_t clock[CLOCKS];
} view_t;

// One store to a location. The views are what who acquires from it gets.
typedef struct store {
    uint64_t value;
    int16_t time; // of its thread
    int16_t in_order; // place in the order of seq_cst operations of the first that wrote or read it; 0: none did
    uint16_t thread;
    uint16_t step;
    view_t before, seen;
    view_t read_at; // when a thread first read it; 0: not
} store_t;
_Static_assert(sizeof(store_t) == 64, "a line");

// A piece of memory that a scenario has. Blocks lie one behind the other.
typedef struct block {
    char *at;
    size_t bytes, asked; // rounded, and not
    unsigned thread;
    int16_t time; // who allocated it, and when
    bool freed;
} block_t;

typedef struct location {
    const void *at;
    block_t *block; // NULL: static memory
    uint32_t stores;
    uint32_t heads; // of C11's release sequences: threads whose own stores go on with one
    view_t any, plain_write, atomic_write; // when each thread last did
    store_t last[HISTORY];
    view_t head_before[THREADS], head_seen[THREADS];
} location_t;

typedef struct thread_state {
    view_t before;   // what happened before
    view_t seen;     // what loads must see
    view_t read_before, read_seen; // of relaxed loads: for an acquire fence
    view_t fence_before, fence_seen; // at the last release fence: for relaxed stores
    unsigned stale; // stale values returned so far
    unsigned refused; // compare-and-swaps that failed for no reason
} thread_state_t;

// What a thread does next, as far as others depend on it.
typedef enum { DOOR_BEGIN, DOOR_READ, DOOR_WRITE, DOOR_FENCE, DOOR_ANY } door_t; // FENCE: of all or seq_cst; ANY: with all others
typedef struct pending {
    const void *at;
    door_t door;
    bool seq_cst;
} pending_t;

extern unsigned running; // a thread's number
extern bool tracing;
extern unsigned explore_step;

// --- memory ---
extern char *memory_arena;
extern size_t memory_used;
extern uint32_t *memory_index;  // per four bytes of the arena: location + 1
extern uint8_t *memory_state;   // per MEMORY_UNIT bytes of the arena
extern location_t *memory_locations;
enum { MEMORY_UNIT = 16 };
enum { NOT_GIVEN, GIVEN, TAKEN_BACK };
location_t *memory_new_location(const void *at, unsigned bytes);
location_t *memory_static(const void *at);
void memory_tell_main(const void *at) __attribute__((noreturn, cold));
void memory_reset(void);     // before a run
void memory_expect_all_freed(void);
int memory_block_number(const void *at, size_t *offset); // -1: in none

// An access while there is no other thread.
static inline void memory_check_main(const void *at) {
    size_t offset = (size_t)((const char *)at - memory_arena);
    if (offset < memory_used && memory_state[offset / MEMORY_UNIT] != GIVEN) {
        memory_tell_main(at);
    }
}

static inline location_t *memory_location(const void *at, unsigned bytes) {
    size_t offset = (size_t)((const char *)at - memory_arena);
    if (offset >= memory_used) {
        return memory_static(at);
    }
    uint32_t index = memory_index[offset / 4];
    return index != 0 ? &memory_locations[index - 1] : memory_new_location(at, bytes);
}

// --- model ---
extern thread_state_t model_threads[THREADS];
void model_reset(unsigned model);
void model_begin_threads(unsigned count);
void model_join_threads(unsigned count);
static inline int16_t model_time(void) { return model_threads[running].before.clock[running]; }
void model_released(unsigned thread);  // its time goes on
static inline void model_take(view_t *into, const view_t *from) { into->all = _mm_max_epi16(into->all, from->all); }

// --- what scenarios draw ---
static inline uint64_t next_random(uint64_t *state) { // splitmix64
    uint64_t x = (*state += 0x9e3779b97f4a7c15u);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
void draw_reset(const explore_plan_t *plan);
void draw_operations(unsigned done[EXPLORE_THREADS]); // how many operations each thread has come to

// --- schedule ---
void schedule_step(door_t door, const void *at, bool seq_cst); // of a thread
static inline void schedule_door(door_t door, const void *at, bool seq_cst) {
    if (running != MAIN_THREAD) {
        schedule_step(door, at, seq_cst);
    }
}
// A decision of the model among `count` > 1; 0 is the usual. `odds`: one in so many is another.
unsigned schedule_decide(unsigned count, unsigned odds);
bool schedule_is_late(void); // from here on only to the end
explore_finding_t *schedule_finding(void); // of the run under way, as far as the schedule knows it
uint64_t schedule_progress(void); // another number after every door, and in every run

// --- every execution, one after the other ---
extern bool exhaust_on;
void exhaust_begin_run(bool anew);
// Which of `ready` (a mask) is next, by the order of ranks from `from`.
unsigned exhaust_thread(unsigned ready, unsigned from, const pending_t *pending);
unsigned exhaust_choice(unsigned count);
bool exhaust_end_run(void); // whether that was the last

// --- trace ---
typedef enum { SAID_LOAD, SAID_STORE, SAID_UPDATE, SAID_CAS, SAID_REFUSED, SAID_FENCE, SAID_PLAIN_READ, SAID_PLAIN_WRITE, SAID_FREE,
               SAID_GIVEN, SAID_WAIT, SAID_WAKE, SAID_YIELD } said_t;
// `other`: of a stale load the newest value, of an update the value before.
void trace_note(said_t said, explore_order_t order, const void *at, uint64_t value, uint64_t other, bool stale);
void trace_reset(void);
void trace_tell(explore_finding_t *finding);
// For a race: the last access of that thread to the place, and what it lacks.
extern int trace_race_thread;
extern const void *trace_race_at;
#define TRACE(...)                                                                                                     \
    do {                                                                                                               \
        if (__builtin_expect(tracing, 0)) {                                                                            \
            trace_note(__VA_ARGS__);                                                                                   \
        }                                                                                                              \
    } while (0)
