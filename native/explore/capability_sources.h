// The capability table's sources as its scenarios compile them: few seats and small batches, so that slots come back, lists are swept and
// threads stop half-way within a few steps. Before it: SEATS_MOST and SWEEP_FROM, where a scenario wants others.
#pragma once

#include "capability.h"
#include "reclaim.h"

#ifndef SEATS_MOST
#define SEATS_MOST 4u
#endif
#ifndef SWEEP_FROM
#define SWEEP_FROM 1u
#endif
#undef CAPABILITY_MAX_THREADS
#define CAPABILITY_MAX_THREADS SEATS_MOST
#undef RECLAIM_MAX_THREADS
#define RECLAIM_MAX_THREADS SEATS_MOST
#include "../kernel/capability_column.h"
#undef SLOT_BATCH
#define SLOT_BATCH 1u
#undef SWEEP_AT_LEAST
#define SWEEP_AT_LEAST SWEEP_FROM

// The order of inclusion is the order of their uses.
#include "../kernel/reclaim.c"

#include "../kernel/capability_slots.c"
#include "../kernel/capability_tree.c"
#include "../kernel/capability.c"
#include "../kernel/capability_column.c"
#include "../kernel/capability_table.c"
