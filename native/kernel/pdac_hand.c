// Taking, drawing, and giving away what is ready.
#include "pdac_hand.h"

#include <string.h>

static uint32_t class_of(const hand_t *hand, pdac_ready_t ready) {
    const pdac_graph_t *graph = hand->graph;
    uint32_t at = ready_at(ready);
    return graph->cells[ready_count(ready) == 0 ? at : graph->lists[at]].class;
}

static void send(hand_t *hand, pdac_chunk_t *chunk) {
    memset(chunk->tries, 0, sizeof chunk->tries);
    chunk->woken = chunk->admitted = false;
    pdac_chunk_spawn(chunk, hand->on);
}

// Moves the `count` lowest entries of a class behind those that the chunk has.
static void move(hand_t *hand, uint32_t class, pdac_chunk_t *chunk, uint32_t count) {
    pdac_ready_t *ready = hand->ready[class];
    hand->counts[class] -= count;
    memcpy(chunk->ready + chunk->count, ready, count * sizeof *ready);
    memmove(ready, ready + count, hand->counts[class] * sizeof *ready);
    chunk->count += count;
    if (hand->counts[class] == 0) {
        hand->filled &= ~(1u << class);
    }
}

// There is always a chunk: each on its way is full of ready nodes, and there are chunks for all nodes.
static __attribute__((noinline, cold)) void spill(hand_t *hand, uint32_t class) {
    pdac_chunk_t *chunk = pdac_pool_take(&hand->graph->spill);
    if (chunk != NULL) {
        chunk->count = 0;
        move(hand, class, chunk, CHUNK_MOST);
        send(hand, chunk);
    }
}

void hand_push(hand_t *hand, pdac_ready_t ready) {
    uint32_t class = class_of(hand, ready);
    if (hand->counts[class] == HAND_ROOM) {
        spill(hand, class);
    }
    hand->ready[class][hand->counts[class]++] = ready;
    hand->filled |= 1u << class;
}

void hand_take_up(hand_t *hand, pdac_chunk_t *chunk, scheduler_cpu_t *on) {
    pdac_graph_t *graph = chunk->graph;
    hand->graph = graph;
    hand->engine = graph->engine;
    hand->on = on;
    hand->worker = scheduler_cpu_index(on);
    hand->lane = &graph->engine->lanes[hand->worker];
    /* relaxed: written before the run's first chunk was given to the scheduler */
    hand->run = atomic_load_relaxed_u32(&graph->run);
    hand->filled = 0;
    hand->waiting_count = 0;
    hand->seen = 0;
    hand->retry = true;
    hand->woken = chunk->woken;
    hand->done = hand->refused = hand->skipped = 0;
    hand->looked = 0;
    hand->began = cpu_ticks();
    memset(hand->counts, 0, sizeof hand->counts);
    /* relaxed: a hint for who gave it away; written by who has the chunk */
    atomic_store_relaxed_u32(&chunk->taken, atomic_load_relaxed_u32(&chunk->taken) + 1);
    for (uint32_t i = 0; i < chunk->count && !chunk->admitted; i++) {
        if (chunk->tries[i] > 0) {
            hand_wait(hand, ready_at(chunk->ready[i]), chunk->tries[i]);
        } else {
            hand_push(hand, chunk->ready[i]);
        }
    }
}

// Fills the chunk with entries of all classes.
static void fill(hand_t *hand, pdac_chunk_t *chunk) {
    for (uint32_t class = 0; class < hand->engine->classes; class++) {
        uint32_t count = hand->counts[class];
        uint32_t free = CHUNK_MOST - chunk->count;
        move(hand, class, chunk, count < free ? count : free);
    }
}

void hand_put_back(hand_t *hand, pdac_chunk_t *chunk) {
    uint32_t total = hand->waiting_count;
    for (uint32_t class = 0; class < hand->engine->classes; class++) {
        total += hand->counts[class];
    }
    for (; total > CHUNK_MOST; total -= CHUNK_MOST) {
        pdac_chunk_t *full = pdac_pool_take(&hand->graph->spill);
        full->count = 0;
        fill(hand, full);
        send(hand, full);
    }
    memset(chunk->tries, 0, sizeof chunk->tries);
    for (uint32_t i = 0; i < hand->waiting_count; i++) {
        chunk->ready[i] = hand->waiting[i].cell;
        chunk->tries[i] = (uint8_t)hand->waiting[i].tries;
    }
    chunk->count = hand->waiting_count;
    chunk->woken = chunk->admitted = false;
    fill(hand, chunk);
}

// --- the lottery --------------------------------------------------------------------------------------------------

// The class whose turn it is, passing over those that have nothing.
static uint32_t draw(hand_t *hand) {
    const pdac_lottery_t *lottery = hand->engine->lottery;
    pdac_lane_t *lane = hand->lane;
    uint32_t class = 0;
    do {
        class = lottery->turns[lane->place];
        lane->turn++;
        lane->place = lane->place + 1 == lottery->period ? 0 : lane->place + 1;
    } while ((hand->filled >> class & 1) == 0);
    return class;
}

void hand_pick(hand_t *hand, pick_t *pick) {
    uint32_t filled = hand->filled;
    uint32_t all = (1u << hand->engine->classes) - 1;
    // where one class has something, nothing is drawn, and no turn used
    uint32_t class = (filled & (filled - 1)) == 0 ? (uint32_t)__builtin_ctz(filled) : draw(hand);
    pick->contested = filled == all && filled != 1;
    pick->turn = hand->lane->turn;
    pdac_ready_t *last = &hand->ready[class][hand->counts[class] - 1];
    uint32_t count = ready_count(*last);
    pick->cell = count == 0 ? ready_at(*last) : hand->graph->lists[ready_at(*last)];
    if (count > 1) {
        *last = ready_range(ready_at(*last) + 1, count - 1);
    } else if (--hand->counts[class] == 0) {
        hand->filled &= ~(1u << class);
    }
}

// --- giving away --------------------------------------------------------------------------------------------------

// Half of a class: of its lowest entry, where that is a range, else of its entries.
static void share_class(hand_t *hand, uint32_t class, pdac_chunk_t *chunk, uint32_t most) {
    uint32_t count = hand->counts[class];
    if (count == 0) {
        return;
    }
    pdac_ready_t *lowest = &hand->ready[class][0];
    uint32_t half = ready_count(*lowest) / 2;
    if (half == 0) {
        move(hand, class, chunk, count / 2 < most ? count / 2 : most);
        return;
    }
    uint32_t kept = ready_count(*lowest) - half;
    chunk->ready[chunk->count++] = ready_range(ready_at(*lowest) + kept, half);
    *lowest = ready_range(ready_at(*lowest), kept);
}

// Half of each class; where there is no more than one node of each, one of them. Whether there was anything.
static bool share_half(hand_t *hand, pdac_chunk_t *chunk) {
    uint32_t classes = hand->engine->classes;
    chunk->count = 0;
    for (uint32_t class = 0; class < classes; class++) {
        share_class(hand, class, chunk, CHUNK_MOST / classes);
    }
    if (chunk->count == 0 && (hand->filled & (hand->filled - 1)) != 0) {
        move(hand, (uint32_t)__builtin_ctz(hand->filled), chunk, 1);
    }
    return chunk->count > 0;
}

// Halves go away until one node is left. Where that is the next one of its class, the shares are the scheduler's to keep.
static void share_all(hand_t *hand) {
    pdac_chunk_t *chunk = NULL;
    while ((chunk = pdac_pool_take(&hand->graph->spare)) != NULL) {
        if (!share_half(hand, chunk)) {
            pdac_pool_give(chunk);
            return;
        }
        send(hand, chunk);
    }
}

static void share_once(hand_t *hand, pdac_offer_t *offer) {
    uint32_t place = pdac_offer_place(offer);
    if (place == OFFERS) {
        return;
    }
    pdac_chunk_t *chunk = pdac_pool_take(&hand->graph->spare);
    if (chunk == NULL) {
        return;
    }
    if (!share_half(hand, chunk)) {
        pdac_pool_give(chunk);
        return;
    }
    pdac_offer_put(offer, place, chunk);
    send(hand, chunk);
}

void hand_share(hand_t *hand) {
    pdac_offer_t *offer = &hand->graph->offers[hand->worker];
    if (hand->engine->lanes_count == 1 || (hand->done != 0 && hand->done - hand->looked < offer->look)) {
        return;
    }
    uint64_t now = cpu_ticks();
    if (hand->done > hand->looked) {
        pdac_offer_learn(offer, now - hand->began);
    }
    hand->looked = hand->done;
    hand->began = now;
    if (hand->filled != 0 && offer->look == 1) {
        share_all(hand);
    } else if (hand->filled != 0) {
        share_once(hand, offer);
    }
}

// --- waiting for room ---------------------------------------------------------------------------------------------

void hand_wait(hand_t *hand, uint32_t cell, uint32_t tries) {
    hand->waiting[hand->waiting_count++] = (waiting_t){.cell = cell, .tries = tries};
}

waiting_t hand_waiting(hand_t *hand) {
    waiting_t first = hand->waiting[0];
    memmove(hand->waiting, hand->waiting + 1, --hand->waiting_count * sizeof *hand->waiting);
    return first;
}
