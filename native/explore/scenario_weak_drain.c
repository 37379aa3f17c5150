// What a drain promises, under the explorer: when it returns, what the callbacks of those who have left did is visible, whoever ran them (C5). One thread
// visits the seat that was left, another drains meanwhile.
#include "reclaim.h"

#undef RECLAIM_MAX_THREADS
#define RECLAIM_MAX_THREADS 3u
#include "../kernel/reclaim.c"

#include "explore.h"

enum { THINGS = 2, THREADS = 2 };

typedef struct thing {
    reclaim_node_t node;
    plain_u32_t buried;
} thing_t;

static reclaim_t *domain;
static thing_t *things[THINGS];
static reclaim_thread_t *seats[THREADS];

static void bury(reclaim_node_t *node, void *owner) {
    (void)owner;
    thing_t *thing = (thing_t *)(void *)((char *)node - offsetof(thing_t, node));
    plain_store_u32(&thing->buried, 1);
}

static reclaim_thread_t *join(void) {
    reclaim_thread_t *self = NULL;
    EXPLORE_EXPECT(reclaim_join(domain, NULL, &self) == STATUS_OK, "C5: no seat");
    return self;
}

// Somebody has retired them, and left, whose seat nobody has taken.
static void set_up(void) {
    domain = reclaim_create();
    for (unsigned i = 0; i < THREADS; i++) {
        seats[i] = join();
    }
    reclaim_thread_t *former = join();
    for (unsigned i = 0; i < THINGS; i++) {
        things[i] = shared_alloc(sizeof *things[i]);
        reclaim_retire(former, &things[i]->node, bury);
        if (explore_draw(2) == 0) {
            (void)reclaim_advance(domain);
        }
    }
    reclaim_leave_domain(former);
}

static void run(unsigned thread) {
    reclaim_thread_t *self = seats[thread];
    if (thread == 0) {
        for (unsigned left = 3; left > 0; left--) {
            reclaim_poll(self);
        }
    } else {
        reclaim_drain(self);
        for (unsigned i = 0; i < THINGS; i++) {
            EXPLORE_EXPECT(plain_load_u32(&things[i]->buried) == 1, "C5: it is drained, and a callback has not run");
        }
    }
    reclaim_leave_domain(self);
}

static void finish(void) {
    reclaim_destroy(domain);
    for (unsigned i = 0; i < THINGS; i++) {
        shared_free(things[i]);
    }
}

static const explore_scenario_t scenarios[] = {{"weak_drain", THREADS, set_up, run, finish}};
EXPLORE_SCENARIOS("reclaim", "C5", scenarios)
