// PDAC's sources as its scenarios compile them. Before it: drawn_ticks, for the clock; what is to stand for memory, where a scenario has its own; and
// PDAC_MARKED where marked_take and marked_give are to stand for the pool's, so that the hand-overs of chunks, whose words are no doors, are seen.
#pragma once

#include "atomics.h"
#include "cpu.h"
#include "explore.h"

static uint64_t drawn_ticks(void);
#define cpu_ticks drawn_ticks

// The order of inclusion is the order of their uses. Some have names in common.
#include "../kernel/pdac_vector.c"
#define draw draw_seed
#include "../kernel/pdac_lottery.c"
#undef draw
#include "../kernel/pdac_order.c"
#include "../kernel/pdac_compose.c"
#include "../kernel/pdac_seal.c"
#include "../kernel/pdac_graph.c"
#include "../kernel/pdac_pool.c"

#include "../kernel/pdac_hand.h"
#ifdef PDAC_MARKED
static pdac_chunk_t *marked_take(pdac_pool_t *pool);
static void marked_give(pdac_chunk_t *chunk);
#define pdac_pool_take marked_take
#define pdac_pool_give marked_give
#endif
#include "../kernel/pdac_any.c"
#include "../kernel/pdac_hand.c"
#include "../kernel/pdac_room.c"
#define hand plain_hand
#define hand_t plain_hand_t
#define arrive plain_arrive
#define follow plain_follow
#define share_all plain_share_all
#define spill(hand) plain_spill(hand) // and not graph->spill
#define QUANTUM PLAIN_QUANTUM
#include "../kernel/pdac_plain.c"
#undef hand
#undef hand_t
#include "../kernel/pdac.c"
#undef pdac_pool_take
#undef pdac_pool_give
