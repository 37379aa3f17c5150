// What the parts of PDAC share: the words of a graph while it is built, and as it runs.
//
// Building keeps lists of edges and an order that every edge follows. pdac_seal lays the nodes out in the order in which
// one worker would run them, 16 bytes each, so that a run reads memory from front to back; up to two successors stand in the node itself. What
// a run writes lies apart: a counter for each node that has several predecessors, nothing for the others.
#pragma once

#include "atomics.h"
#include "pdac.h"

#define NO_INDEX UINT32_MAX
#define GUARDS_SHIFT 4u

// --- as it runs ---------------------------------------------------------------------------------------------------

// What a sealed node has behind it. `a` and `b` depend on it. A sole successor has no other predecessor: it is ready at once.
enum {
    SHAPE_END,  // nothing
    SHAPE_ONE,  // a: a sole successor
    SHAPE_TWO,  // a, b: two sole successors
    SHAPE_JOIN, // a: a join, a successor with other predecessors
    SHAPE_MANY, // a: where its list is in `lists`: number of soles, number of joins, soles, joins
};
enum { TRAIT_GUARDED = 1, TRAIT_METERED = 2 };

typedef struct pdac_cell {
    uint32_t a, b;
    pdac_node_t node; // its number for the user
    uint8_t body;
    uint8_t class;
    uint8_t shape;
    uint8_t traits;
} pdac_cell_t;
_Static_assert(sizeof(pdac_cell_t) == 16, "four to a line");

// Of a node with several predecessors. Written by the workers that end them.
typedef struct pdac_join {
    atomic_u32_t left; // in this run; whole again when the node becomes ready
    uint32_t all;
} pdac_join_t;

typedef struct pdac_body {
    pdac_fn_t *run;
    void *context;
} pdac_body_t;

// Some ready nodes, all of one class: count << 32 | at. The cell `at`, where count is 0; else `count` places of `lists` from `at` on.
typedef uint64_t pdac_ready_t;
#define READY_NONE UINT64_MAX // below the lowest of a stack
static inline pdac_ready_t ready_range(uint32_t at, uint32_t count) { return (uint64_t)count << 32 | at; }
static inline uint32_t ready_at(pdac_ready_t ready) { return (uint32_t)ready; }
static inline uint32_t ready_count(pdac_ready_t ready) { return (uint32_t)(ready >> 32); }

#define CHUNK_MOST 56u

typedef struct pdac_pool pdac_pool_t;

// Ready nodes on their way through the scheduler. Written by who fills it, until it is spawned.
typedef struct pdac_chunk {
    task_t task;
    pdac_graph_t *graph;
    struct pdac_chunk *next; // in the list of blocked ones
    atomic_u32_t free_next;  // in the list of free ones: index + 1
    atomic_u32_t taken;      // times that a worker took it up
    pdac_pool_t *pool;       // where it goes back to
    uint32_t index;          // in it
    uint32_t count;
    bool woken;              // was blocked for want of room
    bool admitted;           // holds one node, whose room is taken already; see `claimed`
    uint8_t tries[CHUNK_MOST]; // how often each was refused room
    pdac_ready_t ready[CHUNK_MOST];
} pdac_chunk_t;

// Free chunks: those never used, by number, and a list of those given back. Written by any worker.
struct pdac_pool {
    _Alignas(CPU_PAIR) atomic_u64_t free; // count of changes | index + 1 of the first
    atomic_u32_t fresh;
    uint32_t size;
    pdac_chunk_t *chunks;
    pdac_graph_t *graph;
};

bool pdac_pool_create(pdac_pool_t *pool, uint32_t size, pdac_graph_t *graph);
void pdac_pool_destroy(pdac_pool_t *pool);
pdac_chunk_t *pdac_pool_take(pdac_pool_t *pool); // NULL: all are under way
void pdac_pool_give(pdac_chunk_t *chunk);

// What a worker has given away of this graph: no more before it was taken. Two at a time: to the scheduler's thieves a CPU's only task is its
// owner's next. Written by that worker alone.
#define OFFERS 2u
typedef struct pdac_offer {
    _Alignas(CPU_PAIR) pdac_chunk_t *chunk[OFFERS]; // NULL: nothing yet
    uint32_t taken[OFFERS];                         // of that chunk when it was given away
    uint32_t look;                                  // nodes that it runs between two looks at that
} pdac_offer_t;

// The place for another gift; OFFERS where none was taken yet.
static inline uint32_t pdac_offer_place(const pdac_offer_t *offer) {
    uint32_t place = 0;
    while (place < OFFERS && offer->chunk[place] != NULL &&
           /* relaxed: a hint */
           atomic_load_relaxed_u32(&offer->chunk[place]->taken) == offer->taken[place]) {
        place++;
    }
    return place;
}

// Before the chunk is spawned.
static inline void pdac_offer_put(pdac_offer_t *offer, uint32_t place, pdac_chunk_t *chunk) {
    offer->chunk[place] = chunk;
    /* relaxed: nobody else has the chunk */
    offer->taken[place] = atomic_load_relaxed_u32(&chunk->taken);
}

// Nodes are as short as a few nanoseconds, or as long as they like. So a look comes after about a microsecond, by the nodes
// run last; where one node takes longer, nothing but that node is kept, and so it is at first.
#define LOOK_MOST 128u
#define LOOK_SHORT 2000u // ticks
#define LOOK_LONG 8000u
static inline void pdac_offer_learn(pdac_offer_t *offer, uint64_t ticks) {
    if (ticks < LOOK_SHORT && offer->look < LOOK_MOST) {
        offer->look *= 2;
    } else if (ticks > LOOK_LONG) {
        offer->look = 1;
    }
}

// --- as it is built -----------------------------------------------------------------------------------------------

typedef struct pdac_edge {
    uint32_t before, after;
    uint32_t next_out, next_in; // the next edge of `before`, of `after`; NO_INDEX: none
} pdac_edge_t;

typedef struct pdac_draft {
    uint32_t first_out, last_out, first_in;
    uint32_t order;        // smaller than that of every successor
    uint32_t guards_first; // in `guards`
    uint8_t guards_count;
    uint8_t body;
    uint8_t class;
    uint8_t traits;
} pdac_draft_t;

struct pdac_graph {
    // Written when it is built and sealed, read by all workers.
    pdac_t *engine;
    const pdac_cell_t *cells;
    pdac_join_t *joins;       // by cell
    const uint32_t *lists;
    pdac_body_t bodies[PDAC_BODIES_MAX];
    const pdac_vector_t *cell_needs; // by cell; NULL: no node is metered
    const uint32_t *cell_guards;     // by cell, the first in `guards` << GUARDS_SHIFT | how many; NULL: none is guarded
    atomic_u32_t *spoilt; // by cell, the number of the last run in which a predecessor's body did not run; NULL: none is guarded
    pdac_ready_t roots[PDAC_CLASSES]; // by class
    uint32_t roots_count;
    bool plain;  // no guards, no needs, one class, nobody looks
    bool sealed;
    pdac_over_fn_t *over;
    void *over_context;
    pdac_offer_t *offers; // by worker
    pdac_pool_t spare; // chunks to share work with
    pdac_pool_t spill; // chunks for what a worker cannot hold; never exhausted, as each is full
    uint32_t nodes, edges;

    // Written by the workers, and by who starts it.
    _Alignas(CPU_PAIR) atomic_u64_t left; // nodes that are not over
    atomic_u64_t refused, skipped;
    atomic_u32_t running;
    atomic_u32_t run; // the number of the run, from 1 on

    // Of the building thread alone.
    _Alignas(CPU_PAIR) pdac_draft_t *drafts;
    pdac_edge_t *drawn;
    pdac_vector_t *needs;
    guard_t *guards;
    uint32_t nodes_room, edges_room, guards_room, guards_count, bodies_count, needs_room;
    uint64_t *marks;      // one bit a node, for searches; NULL until the first
    uint32_t marks_room;
    pdac_outcome_t outcome;
};

// --- the engine ---------------------------------------------------------------------------------------------------

// A vector that several write by turns: two lanes to a word.
typedef struct pdac_room {
    _Alignas(CPU_LINE) atomic_u64_t pairs[PDAC_DIMENSIONS / 2];
} pdac_room_t;

// Of one CPU of the scheduler.
typedef struct pdac_lane {
    _Alignas(CPU_PAIR) uint64_t turn; // of the lottery
    uint32_t place;                   // of that turn in the period
    uint32_t spare;                   // the vector that it will write next
} pdac_lane_t;

struct pdac {
    scheduler_lockfree_t *scheduler;
    guarded_gate_t gate;
    pdac_vector_t system;
    bool metered;
    uint32_t classes;
    uint32_t lanes_count;
    pdac_lottery_t *lottery;
    void (*observe)(void *observer, const pdac_pick_t *pick);
    void *observer;
    pdac_lane_t *lanes;
    pdac_room_t *rooms; // one more than lanes

    // Written by whoever admits, releases, waits for room.
    _Alignas(CPU_PAIR) atomic_u64_t current; // count of changes << 16 | which of `rooms` says what is in use
    _Alignas(CPU_PAIR) atomic_u64_t blocked; // a list of chunks
    _Alignas(CPU_PAIR) atomic_u64_t claimed; // a chunk with one node that lost patience: nothing else is admitted. | 1: somebody tries
};

struct pdac_lottery {
    uint32_t period;
    uint32_t start; // where turn 0 is
    uint8_t turns[PDAC_TICKETS_MAX];
};

// Hands a filled chunk to the scheduler, on this CPU.
void pdac_chunk_spawn(pdac_chunk_t *chunk, scheduler_cpu_t *on);
// --- room (pdac_room.c): by the thread of the lane, with `on` to spawn what can go on ----------------------------------

// Whether there was room; it is taken then. Else *seen is what was looked at.
bool pdac_admit(pdac_t *engine, pdac_lane_t *lane, const pdac_vector_t *needs, uint64_t *seen);
void pdac_release(pdac_t *engine, pdac_lane_t *lane, const pdac_vector_t *needs, scheduler_cpu_t *on);
// Puts a chunk aside, none of whose nodes was admitted when *seen was looked at, until room is released.
void pdac_block(pdac_t *engine, pdac_chunk_t *chunk, uint64_t seen, scheduler_cpu_t *on);
// Lets one blocked chunk go on, if there is any.
void pdac_wake(pdac_t *engine, scheduler_cpu_t *on);
// The chunk's one node is next: false where another one is already.
bool pdac_claim(pdac_t *engine, pdac_lane_t *lane, pdac_chunk_t *chunk, scheduler_cpu_t *on);

// All that a worker did of a graph. It owns no chunk of it any more, except one with ready nodes. Ends the run where nothing is left.
void pdac_account(pdac_graph_t *graph, uint64_t over);
// The dispatch of a plain graph, and of any graph: what a chunk's task does.
task_verdict_t pdac_run_plain(pdac_chunk_t *chunk, scheduler_cpu_t *on);
task_verdict_t pdac_run_any(pdac_chunk_t *chunk, scheduler_cpu_t *on);
