// The dispatch of plain graphs: no guards, no needs, one class, nobody looks. What is left is order, as fast as memory goes.
//
// A worker keeps what it made ready on a stack of its own and shares nothing but what it gives away: one chunk at a time, the
// older half, and the next when that was taken. So nothing is fenced, and nobody writes a line that another reads, but for
// joins, and chunks that change hands.
//
// P1. A node becomes ready through its one predecessor, after its body has returned, and then goes through the hands of this worker, or in a
// chunk through the scheduler, which orders what is before a spawn with what is after a start. Or it is a join: each predecessor counts
// down after its body has returned (release), and who sees that nobody is left (acquire) makes it ready.
#include "pdac_layout.h"

#include <string.h>

enum {
    STACK_ROOM = 512,
    STACK_HIGH = STACK_ROOM - LOOK_MOST - 8, // a stretch begins below it
    QUANTUM = 1024,                      // nodes between two looks of the scheduler at its queues
};

typedef struct hand {
    pdac_graph_t *graph;
    scheduler_cpu_t *on;
    pdac_ready_t *top; // the place behind the last
    uint32_t worker;
    uint32_t held; // a join that is to be counted down: its cell
    uint32_t held_count;
    pdac_ready_t stack[STACK_ROOM]; // READY_NONE at the bottom
} hand_t;

static inline bool likely(bool condition) { return __builtin_expect(condition, true); }

static uint32_t height(const hand_t *hand) { return (uint32_t)(hand->top - hand->stack) - 1; }

// Moves the `count` lowest entries into a chunk, and hands that to the scheduler.
static void give_away(hand_t *hand, pdac_chunk_t *chunk, uint32_t count) {
    uint32_t left = height(hand) - count;
    memcpy(chunk->ready, hand->stack + 1, count * sizeof *hand->stack);
    memmove(hand->stack + 1, hand->stack + 1 + count, left * sizeof *hand->stack);
    hand->top = hand->stack + 1 + left;
    chunk->count = count;
    pdac_chunk_spawn(chunk, hand->on);
}

// There is always a chunk: each on its way is full of ready nodes, and there are chunks for all nodes.
static __attribute__((noinline, cold)) void spill(hand_t *hand) {
    pdac_chunk_t *chunk = pdac_pool_take(&hand->graph->spill);
    if (chunk != NULL) {
        give_away(hand, chunk, CHUNK_MOST);
    }
}

static void push(hand_t *hand, pdac_ready_t ready) {
    if (!likely(hand->top < hand->stack + STACK_HIGH)) {
        spill(hand);
    }
    *hand->top++ = ready;
}

// `count` predecessors of a join are over. Whether it is ready.
static inline bool arrive(const pdac_graph_t *graph, uint32_t cell, uint32_t count) {
    pdac_join_t *join = &graph->joins[cell];
    /* edge JOIN:A — the bodies of the other predecessors; :RA is in arrive */
    if (atomic_load_acquire_u32(&join->left) != count &&
        /* edge JOIN:RA — the bodies of these predecessors; :RA is in arrive */
        atomic_fetch_sub_acq_rel_u32(&join->left, count) != count) {
        return false;
    }
    /* relaxed: for the next run, which begins after this one's end */
    atomic_store_relaxed_u32(&join->left, join->all);
    return true;
}

static void let_go(hand_t *hand) {
    if (hand->held_count > 0 && arrive(hand->graph, hand->held, hand->held_count)) {
        push(hand, hand->held);
    }
    hand->held_count = 0;
}

// Many nodes in a row that lead to one join count it down together.
static inline void hold(hand_t *hand, uint32_t cell) {
    if (!likely(hand->held == cell)) {
        let_go(hand);
        hand->held = cell;
    }
    hand->held_count++;
}

// The last of the stack, which may be a range, or nothing: NO_INDEX.
static uint32_t take(hand_t *hand) {
    pdac_ready_t last = hand->top[-1];
    if (last == READY_NONE) {
        let_go(hand);
        last = hand->top[-1];
    }
    if (last == READY_NONE) {
        return NO_INDEX;
    }
    uint32_t count = ready_count(last);
    if (count <= 1) {
        hand->top--;
    } else {
        hand->top[-1] = ready_range(ready_at(last) + 1, count - 1);
    }
    return count == 0 ? ready_at(last) : hand->graph->lists[ready_at(last)];
}

// What a node with joins, or more than two successors, makes ready; and the node to go on with.
static uint32_t follow(hand_t *hand, const pdac_cell_t *cell) {
    if (cell->shape == SHAPE_JOIN) {
        hold(hand, cell->a);
        return take(hand);
    }
    const uint32_t *list = hand->graph->lists + cell->a;
    uint32_t soles = list[0];
    uint32_t joins = list[1];
    for (uint32_t i = 0; i < joins; i++) {
        uint32_t join = list[2 + soles + i];
        if (arrive(hand->graph, join, 1)) {
            push(hand, join);
        }
    }
    if (soles > 1) {
        push(hand, ready_range(cell->a + 3, soles - 1));
    }
    return soles > 0 ? list[2] : take(hand);
}

// Runs `limit` nodes at most, the first of them *at. How many; *at is then where to go on, or NO_INDEX.
//
// The layout makes the next node the next cell nearly always. So the loop goes on there, and holds it against what
// was found only then: the processor need not wait for a load to know where the next begins.
static uint32_t run_stretch(hand_t *hand, uint32_t *at, uint32_t limit) {
    const pdac_cell_t *cells = hand->graph->cells;
    const pdac_body_t *bodies = hand->graph->bodies;
    pdac_ready_t *top = hand->top;
    uint32_t here = *at;
    uint32_t left = limit;
    do {
        const pdac_cell_t *cell = &cells[here];
        const pdac_body_t *body = &bodies[cell->body];
        body->run(body->context, cell->node, hand->worker);
        uint32_t shape = cell->shape;
        pdac_ready_t last = top[-1];
        bool end = shape == SHAPE_END;
        uint32_t next = end ? ready_at(last) : cell->a;
        if (likely((shape <= SHAPE_TWO) & !(end & (ready_count(last) != 0)))) {
            *top = cell->b; // counts where there are two
            top += (ptrdiff_t)shape - 1;
        } else {
            hand->top = top;
            next = end ? take(hand) : follow(hand, cell);
            top = hand->top;
        }
        here++;
        if (!likely(next == here)) {
            here = cpu_opaque_u32(next); // or the compiler sees that it may as well wait for `next`
        }
    } while (--left > 0 && likely(here != NO_INDEX));
    hand->top = top;
    let_go(hand);
    *at = here == NO_INDEX ? take(hand) : here;
    return limit - left;
}

// Half of the lowest entry, where that is a range; else `count` entries.
static void give_some(hand_t *hand, pdac_chunk_t *chunk, uint32_t count) {
    pdac_ready_t lowest = hand->stack[1];
    uint32_t half = ready_count(lowest) / 2;
    if (half == 0) {
        give_away(hand, chunk, count < CHUNK_MOST ? count : CHUNK_MOST);
        return;
    }
    uint32_t kept = ready_count(lowest) - half;
    chunk->ready[0] = ready_range(ready_at(lowest) + kept, half);
    chunk->count = 1;
    hand->stack[1] = ready_range(ready_at(lowest), kept);
    pdac_chunk_spawn(chunk, hand->on);
}

// Long nodes: everything is given away, each entry by itself, and ranges by halves.
static __attribute__((noinline)) void share_all(hand_t *hand) {
    pdac_chunk_t *chunk = NULL;
    while (height(hand) > 0 && (chunk = pdac_pool_take(&hand->graph->spare)) != NULL) {
        give_some(hand, chunk, 1);
    }
}

// Short nodes: half of the stack is given away, where the last gift was taken and there is enough.
static void share(hand_t *hand, pdac_offer_t *offer) {
    uint32_t count = height(hand);
    if (count == 0) {
        return;
    }
    if (offer->look == 1) {
        share_all(hand);
        return;
    }
    uint32_t place = pdac_offer_place(offer);
    if (place == OFFERS) {
        return;
    }
    if (count < 2 && ready_count(hand->stack[1]) < 2) {
        return;
    }
    pdac_chunk_t *chunk = pdac_pool_take(&hand->graph->spare);
    if (chunk == NULL) {
        return;
    }
    pdac_offer_put(offer, place, chunk);
    give_some(hand, chunk, count / 2);
}

static void take_up(hand_t *hand, pdac_chunk_t *chunk, scheduler_cpu_t *on) {
    hand->graph = chunk->graph;
    hand->on = on;
    hand->worker = scheduler_cpu_index(on);
    hand->held = NO_INDEX;
    hand->held_count = 0;
    hand->stack[0] = READY_NONE;
    memcpy(hand->stack + 1, chunk->ready, chunk->count * sizeof *hand->stack);
    hand->top = hand->stack + 1 + chunk->count;
    /* relaxed: a hint for who gave it away; written by who has the chunk */
    atomic_store_relaxed_u32(&chunk->taken, atomic_load_relaxed_u32(&chunk->taken) + 1);
}

// Leaves what is still ready for later, in the chunk that it came in and in full ones.
static void put_back(hand_t *hand, pdac_chunk_t *chunk, uint32_t at) {
    *hand->top++ = at;
    while (height(hand) > CHUNK_MOST) {
        spill(hand);
    }
    chunk->count = height(hand);
    memcpy(chunk->ready, hand->stack + 1, chunk->count * sizeof *hand->stack);
}

task_verdict_t pdac_run_plain(pdac_chunk_t *chunk, scheduler_cpu_t *on) {
    pdac_graph_t *graph = chunk->graph;
    hand_t hand; // as much of it is written as is used
    uint64_t room = scheduler_room(on);
    uint64_t most = room < QUANTUM ? room + 1 : QUANTUM; // this task counts itself
    uint64_t done = 0;
    take_up(&hand, chunk, on);
    pdac_offer_t *offer = &graph->offers[hand.worker];
    bool alone = graph->engine->lanes_count == 1;
    uint32_t at = take(&hand);
    uint64_t began = alone ? 0 : cpu_ticks();
    while (at != NO_INDEX && done < most) {
        if (hand.top >= hand.stack + STACK_HIGH) {
            spill(&hand);
        }
        uint32_t look = LOOK_MOST;
        if (!alone) {
            share(&hand, offer);
            look = offer->look;
        }
        done += run_stretch(&hand, &at, most - done < look ? (uint32_t)(most - done) : look);
        if (!alone) {
            uint64_t now = cpu_ticks();
            pdac_offer_learn(offer, now - began);
            began = now;
        }
    }
    scheduler_charge(on, done - 1);
    if (at == NO_INDEX) {
        pdac_pool_give(chunk);
        pdac_account(graph, done); // the graph may be gone
        return TASK_GONE;
    }
    put_back(&hand, chunk, at);
    pdac_account(graph, done);
    return TASK_AGAIN;
}
