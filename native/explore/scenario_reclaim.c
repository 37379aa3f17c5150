// Reclamation under the explorer: readers hold what a writer takes out of use, seats change hands, and nothing is freed early or lost.
#include "reclaim.h"

#undef RECLAIM_MAX_THREADS
#define RECLAIM_MAX_THREADS 4u
#include "../kernel/reclaim.c"

#include "explore.h"

#define ALIVE 0x11feu

typedef struct thing {
    reclaim_node_t node;
    plain_u32_t canary;
} thing_t;

static reclaim_t *domain;
static atomic_u64_t *current; // of a thing_t
static unsigned made, buried;

static thing_t *make_thing(void) {
    thing_t *thing = shared_alloc(sizeof *thing);
    plain_store_u32(&thing->canary, ALIVE);
    made++;
    return thing;
}

static void bury(reclaim_node_t *node, void *owner) {
    (void)owner;
    thing_t *thing = (thing_t *)(void *)((char *)node - offsetof(thing_t, node));
    EXPLORE_EXPECT(plain_load_u32(&thing->canary) == ALIVE, "C3");
    buried++;
    shared_free(thing);
}

static void set_up(void) {
    made = 0;
    buried = 0;
    domain = reclaim_create();
    current = shared_alloc(sizeof *current);
    atomic_store_release_u64(current, (uint64_t)(uintptr_t)make_thing());
}

static void read_it(reclaim_thread_t *self) {
    reclaim_enter(self);
    thing_t *thing = (thing_t *)(uintptr_t)atomic_load_acquire_u64(current);
    EXPLORE_EXPECT(plain_load_u32(&thing->canary) == ALIVE, "C3");
    EXPLORE_EXPECT(plain_load_u32(&thing->canary) == ALIVE, "C3");
    reclaim_leave(self);
}

static void replace_it(reclaim_thread_t *self) {
    thing_t *fresh = make_thing();
    thing_t *old = (thing_t *)(uintptr_t)atomic_exchange_acq_rel_u64(current, (uint64_t)(uintptr_t)fresh);
    reclaim_retire(self, &old->node, bury);
}

static void run(unsigned thread) {
    (void)thread;
    reclaim_thread_t *self = NULL;
    EXPLORE_EXPECT(reclaim_join(domain, NULL, &self) == STATUS_OK, "C5");
    for (uint64_t left = 1 + explore_draw(6); left > 0; left--) {
        switch (explore_draw(8)) {
        case 0:
        case 1:
        case 2: read_it(self); break;
        case 3:
        case 4: replace_it(self); break;
        case 5:
        case 6: reclaim_poll(self); break;
        default:
            reclaim_leave_domain(self);
            EXPLORE_EXPECT(reclaim_join(domain, NULL, &self) == STATUS_OK, "C5");
        }
    }
    reclaim_leave_domain(self);
}

static void finish(void) {
    reclaim_destroy(domain);
    bury(&((thing_t *)(uintptr_t)atomic_load_relaxed_u64(current))->node, NULL);
    EXPLORE_EXPECT(made == buried, "C5");
    shared_free(current);
}

// One waits until all who were inside have left; then it may free at once.
static void synchronizing(unsigned thread) {
    reclaim_thread_t *self = NULL;
    EXPLORE_EXPECT(reclaim_join(domain, NULL, &self) == STATUS_OK, "C5");
    if (thread == 0) {
        thing_t *fresh = make_thing();
        thing_t *old = (thing_t *)(uintptr_t)atomic_exchange_acq_rel_u64(current, (uint64_t)(uintptr_t)fresh);
        reclaim_synchronize(self);
        bury(&old->node, NULL);
    } else {
        read_it(self);
        if (explore_draw(2) == 0) { // the epoch moves by others, too
            (void)reclaim_advance(domain);
        }
        read_it(self);
    }
    reclaim_leave_domain(self);
}

static const explore_scenario_t scenarios[] = {
    {"reclaim_pair", 2, set_up, run, finish},
    {"reclaim_three", 3, set_up, run, finish},
    {"reclaim_synchronize", 3, set_up, synchronizing, finish},
};
EXPLORE_SCENARIOS("reclaim", "C3,C5", scenarios)
