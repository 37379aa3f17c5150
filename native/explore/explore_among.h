// Masks of threads, and the ranks of their members: a decision is a rank, so that one that was drawn among others still means something.
#pragma once

#include <stdint.h>

#include "explore.h"

// Of the masks of four threads: how many there are, and the place of each.
_Static_assert(EXPLORE_THREADS == 4, "masks of four");
static const uint8_t count_of[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
static const uint8_t place_of[16][4] = {{0},          {0},          {1},          {0, 1},       {2},          {0, 2},
                                        {1, 2},       {0, 1, 2},    {3},          {0, 3},       {1, 3},       {0, 1, 3},
                                        {2, 3},       {0, 2, 3},    {1, 2, 3},    {0, 1, 2, 3}};

static inline unsigned turned(unsigned among, unsigned from) { return (among >> from | among << (4 - from)) & 15; }
// The thread of a rank: among `among`, in the order that begins with `from`.
static inline unsigned thread_of(unsigned among, unsigned from, unsigned rank) {
    return (from + place_of[turned(among, from)][rank]) & 3;
}
static inline unsigned rank_of(unsigned among, unsigned from, unsigned thread) {
    unsigned place = (thread - from) & 3;
    return count_of[turned(among, from) & ((1u << place) - 1)];
}
