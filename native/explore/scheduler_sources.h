// The scheduler's sources as its scenarios compile them: no time passes, and what there is many of is few. Before it: what is to stand for
// memory (shared_alloc_aligned), or for the sleep of who parks (PARK_BY), in a scenario that has its own.
#pragma once

#include "atomics.h"
#include "explore.h"

#undef park_wait
#ifdef PARK_BY // time passes for who sleeps: a lone task wakes nobody, and is found by a look around
#define park_wait PARK_BY
#else
#define park_wait(at, expected, timeout) ((void)(timeout), explore_wait(&(at)->value, sizeof(at)->value, expected, false))
#define WAKE_FROM 1u // a lone task wakes, too: there is no time after which it would be found
#endif
#define LONE_ROUNDS 1u
#define BLOCK_TASKS 2u // few and small, so that they are full and used up
#define BLOCK_FROM 1u
#define BLOCKS 2u
#define BLOCKS_OF_MANY 1u // none here has so many CPUs
#define MANY_CPUS 64u

// The order of inclusion is the order of their uses.
#include "../kernel/deque.c"
#include "../kernel/scheduler_ask.c"
#include "../kernel/scheduler_run.c"
#include "../kernel/scheduler_queue.c"
#include "../kernel/scheduler_blocks.c"
#undef NOBODY
#include "../kernel/scheduler_steal.c"
#undef NOBODY
#include "../kernel/scheduler_park.c"
#undef NOBODY
#include "../kernel/scheduler_tasks.c"
#include "../kernel/scheduler.c"
