// What a worker holds of a graph while it runs a chunk of it: ready nodes by class, and nodes that wait for room.
#pragma once

#include "pdac_layout.h"

#define HAND_ROOM 64u     // entries of each class
#define WAITING_MOST 16u

typedef struct waiting {
    uint32_t cell, tries;
} waiting_t;

typedef struct pick {
    uint32_t cell;
    bool contested;
    uint64_t turn;
} pick_t;

typedef struct hand {
    pdac_graph_t *graph;
    pdac_t *engine;
    pdac_lane_t *lane;
    scheduler_cpu_t *on;
    uint32_t worker;
    uint32_t run;
    uint32_t filled; // one bit for each class that has an entry
    uint32_t waiting_count;
    uint64_t seen;   // of `current`, when room was refused last
    bool retry;      // room may have been released since
    bool woken;      // the chunk was blocked, and nothing was admitted since
    uint64_t done, refused, skipped;
    uint64_t looked, began; // when it last looked whether somebody wants work: by `done`, and by the clock
    waiting_t waiting[WAITING_MOST]; // oldest first
    uint32_t counts[PDAC_CLASSES];
    pdac_ready_t ready[PDAC_CLASSES][HAND_ROOM];
} hand_t;

void hand_take_up(hand_t *hand, pdac_chunk_t *chunk, scheduler_cpu_t *on);
// Leaves all that it holds in the chunk, and what does not fit into it in full ones, which are spawned.
void hand_put_back(hand_t *hand, pdac_chunk_t *chunk);

void hand_push(hand_t *hand, pdac_ready_t ready);
// Draws a class that has something, and takes a node of it. Something is there.
void hand_pick(hand_t *hand, pick_t *pick);
// Now and then: gives half of each class away, where the last gift was taken; or, where nodes are long, all but the next one.
void hand_share(hand_t *hand);

// There is a place.
void hand_wait(hand_t *hand, uint32_t cell, uint32_t tries);
// Takes the one that has waited longest. There is one.
waiting_t hand_waiting(hand_t *hand);
