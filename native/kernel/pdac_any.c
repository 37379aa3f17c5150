// The dispatch of any graph: with guards, needs, classes, or an observer. pdac_hand.c keeps what the worker has ready.
//
// P4. The guards are looked at after the node was taken from the hand and before its body, by the thread that runs the body. A node whose
// body does not run marks its successors with the number of the run before it counts them down, or makes them ready: so who takes
// one of them up sees the mark, and marks its own in turn.
#include "pdac_hand.h"

enum {
    QUANTUM = 256, // nodes between two looks of the scheduler at its queues; always, so that one worker's order depends on nothing else
};

// --- what comes after a node --------------------------------------------------------------------------------------

static bool is_spoilt(const hand_t *hand, uint32_t cell) {
    /* relaxed: ordered by what made the node ready */
    return hand->graph->spoilt != NULL && atomic_load_relaxed_u32(&hand->graph->spoilt[cell]) == hand->run;
}

static void spoil(const hand_t *hand, uint32_t cell) {
    /* relaxed: ordered by what makes the node ready, or by the countdown of the join */
    atomic_store_relaxed_u32(&hand->graph->spoilt[cell], hand->run);
}

static void arrive(hand_t *hand, uint32_t cell) {
    pdac_join_t *join = &hand->graph->joins[cell];
    /* edge ARRIVAL:RA — the predecessor's body, or that it did not run; :RA is in arrive */
    if (atomic_fetch_sub_acq_rel_u32(&join->left, 1) == 1) {
        /* relaxed: for the next run, which begins after this one's end */
        atomic_store_relaxed_u32(&join->left, join->all);
        hand_push(hand, cell);
    }
}

// Makes ready what a node has behind it: soles as ranges of one class, joins that have no other predecessor left.
static void follow(hand_t *hand, const pdac_cell_t *cell, bool spoilt) {
    const pdac_cell_t *cells = hand->graph->cells;
    uint32_t inlined[2] = {cell->a, cell->b};
    const uint32_t *list = inlined;
    uint32_t soles = cell->shape == SHAPE_JOIN ? 0 : cell->shape; // SHAPE_END, _ONE, _TWO
    uint32_t joins = cell->shape == SHAPE_JOIN;
    if (cell->shape == SHAPE_MANY) {
        list = hand->graph->lists + cell->a + 2;
        soles = list[-2];
        joins = list[-1];
    }
    for (uint32_t i = 0; spoilt && i < soles + joins; i++) {
        spoil(hand, list[i]); // NOLINT(clang-analyzer-core.CallAndMessage): the shape says how many of the two there are
    }
    for (uint32_t i = 0; i < joins; i++) {
        arrive(hand, list[soles + i]);
    }
    if (cell->shape != SHAPE_MANY) {
        for (uint32_t i = soles; i > 0; i--) {
            hand_push(hand, list[i - 1]);
        }
        return;
    }
    for (uint32_t end = soles; end > 0;) {
        uint32_t first = end - 1;
        while (first > 0 && cells[list[first - 1]].class == cells[list[end - 1]].class) {
            first--;
        }
        hand_push(hand, ready_range(cell->a + 2 + first, end - first));
        end = first;
    }
}

// --- one node -----------------------------------------------------------------------------------------------------

static bool guards_hold(const hand_t *hand, uint32_t cell) {
    const pdac_graph_t *graph = hand->graph;
    const guarded_gate_t *gate = &hand->engine->gate;
    const guard_t *guard = graph->guards + (graph->cell_guards[cell] >> GUARDS_SHIFT);
    for (uint32_t i = graph->cell_guards[cell] & ((1u << GUARDS_SHIFT) - 1); i > 0; i--, guard++) {
        if (!gate->check(gate->table, guard->id, guard->need)) {
            return false;
        }
    }
    return true;
}

static void observe(hand_t *hand, uint32_t cell, const pick_t *pick) {
    const pdac_t *engine = hand->engine;
    if (engine->observe != NULL) {
        const pdac_cell_t *at = &hand->graph->cells[cell];
        pdac_pick_t told = {.node = at->node,
                            .worker = hand->worker,
                            .class = at->class,
                            .contested = pick->contested,
                            .turn = pick->turn};
        engine->observe(engine->observer, &told);
    }
}

static void run_body(hand_t *hand, const pdac_cell_t *cell) {
    const pdac_body_t *body = &hand->graph->bodies[cell->body];
    body->run(body->context, cell->node, hand->worker);
}

// The body, with room for it. False where there is no room now.
static bool run_metered(hand_t *hand, uint32_t index, bool admitted) {
    const pdac_vector_t *needs = &hand->graph->cell_needs[index];
    if (!admitted && !pdac_admit(hand->engine, hand->lane, needs, &hand->seen)) {
        return false;
    }
    if (hand->woken) {
        hand->woken = false;
        pdac_wake(hand->engine, hand->on); // perhaps there is room for more
    }
    run_body(hand, &hand->graph->cells[index]);
    pdac_release(hand->engine, hand->lane, needs, hand->on);
    hand->retry = true;
    return true;
}

// A dispatch, to its end: false where the node has to wait for room.
static bool dispatch(hand_t *hand, const pick_t *pick, bool admitted) {
    uint32_t index = pick->cell;
    const pdac_cell_t *cell = &hand->graph->cells[index];
    bool metered = hand->graph->cell_needs != NULL && (cell->traits & TRAIT_METERED);
    bool runs = true;
    observe(hand, index, pick);
    if (is_spoilt(hand, index)) {
        hand->skipped++;
        runs = false;
    } else if ((cell->traits & TRAIT_GUARDED) && !guards_hold(hand, index)) {
        hand->refused++;
        runs = false;
    }
    if (!runs && admitted) {
        pdac_release(hand->engine, hand->lane, &hand->graph->cell_needs[index], hand->on);
    } else if (runs && !metered) {
        run_body(hand, cell);
    } else if (runs && !run_metered(hand, index, admitted)) {
        return false;
    }
    hand->done++;
    follow(hand, cell, !runs);
    return true;
}

// --- a quantum ----------------------------------------------------------------------------------------------------

// A node that was refused room: it waits in the hand, or, out of patience, is next of all.
static void postpone(hand_t *hand, uint32_t cell, uint32_t tries) {
    if (tries >= PDAC_PATIENCE) {
        pdac_chunk_t *chunk = pdac_pool_take(&hand->graph->spare);
        if (chunk != NULL) {
            chunk->count = 1;
            chunk->ready[0] = cell;
            chunk->tries[0] = (uint8_t)PDAC_PATIENCE;
            chunk->woken = chunk->admitted = false;
            if (pdac_claim(hand->engine, hand->lane, chunk, hand->on)) {
                return;
            }
            pdac_pool_give(chunk);
        }
        tries = PDAC_PATIENCE;
    }
    hand_wait(hand, cell, tries);
}

// Tries those that wait again, oldest first, until one gets room.
static void retry(hand_t *hand) {
    uint32_t count = hand->waiting_count;
    hand->retry = false;
    for (uint32_t i = 0; i < count; i++) {
        waiting_t first = hand_waiting(hand);
        pick_t pick = {.cell = first.cell, .contested = false};
        if (dispatch(hand, &pick, false)) {
            hand->retry = true;
            return;
        }
        postpone(hand, first.cell, first.tries + 1);
    }
}

static void step(hand_t *hand) {
    if (hand->retry && hand->waiting_count > 0) {
        retry(hand);
        return;
    }
    pick_t pick;
    hand_pick(hand, &pick);
    if (!dispatch(hand, &pick, false)) {
        postpone(hand, pick.cell, 1);
    }
}

// Whether there is something to try.
static bool can_go_on(const hand_t *hand) {
    return (hand->retry && hand->waiting_count > 0) || (hand->filled != 0 && hand->waiting_count < WAITING_MOST);
}

static void account(hand_t *hand) {
    pdac_graph_t *graph = hand->graph;
    if (hand->refused > 0) {
        /* relaxed: the counter of what is left orders it */
        (void)atomic_fetch_add_relaxed_u64(&graph->refused, hand->refused);
    }
    if (hand->skipped > 0) {
        /* relaxed: as above */
        (void)atomic_fetch_add_relaxed_u64(&graph->skipped, hand->skipped);
    }
    if (hand->done > 0) {
        pdac_account(graph, hand->done); // the graph may be gone
    }
}

task_verdict_t pdac_run_any(pdac_chunk_t *chunk, scheduler_cpu_t *on) {
    hand_t hand; // as much of it is written as is used
    hand_take_up(&hand, chunk, on);
    if (chunk->admitted) {
        pick_t pick = {.cell = ready_at(chunk->ready[0]), .contested = false};
        chunk->admitted = false;
        (void)dispatch(&hand, &pick, true);
    }
    while (hand.done < QUANTUM && can_go_on(&hand)) {
        hand_share(&hand);
        step(&hand);
    }
    scheduler_charge(on, hand.done > 0 ? hand.done - 1 : 0);
    bool stuck = !can_go_on(&hand);
    bool empty = hand.filled == 0 && hand.waiting_count == 0;
    task_verdict_t verdict = empty || stuck ? TASK_GONE : TASK_AGAIN;
    if (hand.woken && (empty || !stuck)) {
        pdac_wake(hand.engine, on); // nothing here needed room: whoever else waits may
    }
    if (empty) {
        pdac_pool_give(chunk);
    } else {
        hand_put_back(&hand, chunk);
    }
    if (!empty && stuck) {
        pdac_block(hand.engine, chunk, hand.seen, on);
    }
    account(&hand);
    return verdict;
}
