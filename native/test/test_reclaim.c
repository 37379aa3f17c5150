// Reclamation: grace periods are never short, callbacks run once and are never lost, seats are used again.
#include "reclaim.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "expect.h"

#define ALIVE 0x11feu
#define POISON 0xdeadu

typedef struct thing {
    reclaim_node_t node;
    uint64_t canary;
} thing_t;

static _Atomic(uint64_t) ran;

static void bury(reclaim_node_t *node, void *owner) {
    (void)owner;
    thing_t *thing = (thing_t *)((char *)node - offsetof(thing_t, node));
    EXPECT_EQ(thing->canary, ALIVE); // once
    thing->canary = POISON;
    atomic_fetch_add_explicit(&ran, 1, memory_order_relaxed);
    free(thing);
}

static thing_t *thing_make(void) {
    thing_t *thing = malloc(sizeof *thing);
    EXPECT(thing != NULL);
    thing->canary = ALIVE;
    return thing;
}

static uint64_t runs(void) { return atomic_load_explicit(&ran, memory_order_relaxed); }

static void nothing_runs_while_a_thread_that_was_inside_stays(void) {
    reclaim_t *domain = reclaim_create();
    reclaim_thread_t *reader = NULL;
    reclaim_thread_t *writer = NULL;
    EXPECT_EQ(reclaim_join(domain, NULL, &reader), STATUS_OK);
    EXPECT_EQ(reclaim_join(domain, NULL, &writer), STATUS_OK);
    uint64_t before = runs();
    reclaim_enter(reader);
    reclaim_enter(reader); // nested
    for (int i = 0; i < 1000; i++) {
        reclaim_enter(writer);
        reclaim_retire(writer, &thing_make()->node, bury);
        reclaim_leave(writer);
        reclaim_poll(writer);
    }
    reclaim_leave(reader); // still inside
    for (int i = 0; i < 10; i++) {
        reclaim_poll(writer);
    }
    EXPECT_EQ(runs(), before);
    EXPECT_EQ(reclaim_waiting(domain), 1000);
    reclaim_leave(reader);
    reclaim_drain(writer);
    EXPECT_EQ(runs(), before + 1000);
    EXPECT_EQ(reclaim_waiting(domain), 0);
    reclaim_leave_domain(reader);
    reclaim_leave_domain(writer);
    reclaim_destroy(domain);
}

static void who_enters_later_does_not_hold_up_what_was_retired_before(void) {
    reclaim_t *domain = reclaim_create();
    reclaim_thread_t *reader = NULL;
    reclaim_thread_t *writer = NULL;
    EXPECT_EQ(reclaim_join(domain, NULL, &reader), STATUS_OK);
    EXPECT_EQ(reclaim_join(domain, NULL, &writer), STATUS_OK);
    uint64_t before = runs();
    reclaim_retire(writer, &thing_make()->node, bury);
    EXPECT(reclaim_advance(domain) && reclaim_advance(domain));
    reclaim_enter(reader);
    reclaim_poll(writer);
    EXPECT_EQ(runs(), before + 1);
    reclaim_leave(reader);
    reclaim_leave_domain(reader);
    reclaim_leave_domain(writer);
    reclaim_destroy(domain);
}

static void what_a_former_thread_retired_runs_all_the_same(void) {
    reclaim_t *domain = reclaim_create();
    reclaim_thread_t *stays = NULL;
    reclaim_thread_t *leaves = NULL;
    EXPECT_EQ(reclaim_join(domain, NULL, &stays), STATUS_OK);
    uint64_t before = runs();
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(reclaim_join(domain, NULL, &leaves), STATUS_OK);
        EXPECT_EQ(reclaim_index(leaves), 1); // the seat is used again
        reclaim_retire(leaves, &thing_make()->node, bury);
        reclaim_leave_domain(leaves);
    }
    reclaim_drain(stays);
    EXPECT_EQ(runs(), before + 20);
    reclaim_retire(stays, &thing_make()->node, bury);
    reclaim_leave_domain(stays);
    reclaim_destroy(domain); // nobody is left to poll
    EXPECT_EQ(runs(), before + 21);
}

static void threads_beyond_the_bound_are_refused(void) {
    reclaim_t *domain = reclaim_create();
    reclaim_thread_t *seat = NULL;
    static reclaim_thread_t *seats[RECLAIM_MAX_THREADS];
    for (unsigned i = 0; i < RECLAIM_MAX_THREADS; i++) {
        EXPECT_EQ(reclaim_join(domain, NULL, &seats[i]), STATUS_OK);
    }
    EXPECT_EQ(reclaim_join(domain, NULL, &seat), STATUS_FULL);
    reclaim_leave_domain(seats[77]);
    EXPECT_EQ(reclaim_join(domain, NULL, &seat), STATUS_OK);
    EXPECT_EQ(reclaim_index(seat), 77);
    for (unsigned i = 0; i < RECLAIM_MAX_THREADS; i++) {
        reclaim_leave_domain(seats[i]);
    }
    reclaim_destroy(domain);
}

// --- under load: readers follow shared pointers that writers replace -----------------------------------------------

enum { CELLS = 8, THREADS = 4, ROUNDS = 30000 };
static _Atomic(thing_t *) cells[CELLS];
static reclaim_t *shared_domain;

static void *replace_and_read(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument * 7919 + 1;
    reclaim_thread_t *self = NULL;
    EXPECT_EQ(reclaim_join(shared_domain, NULL, &self), STATUS_OK);
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        _Atomic(thing_t *) *cell = &cells[(random >> 33) % CELLS];
        reclaim_enter(self);
        if ((random >> 40) % 4 == 0) {
            thing_t *old = atomic_exchange_explicit(cell, thing_make(), memory_order_acq_rel);
            reclaim_retire(self, &old->node, bury);
        } else {
            thing_t *thing = atomic_load_explicit(cell, memory_order_acquire);
            for (int look = 0; look < 3; look++) {
                EXPECT_EQ(*(volatile uint64_t *)&thing->canary, ALIVE);
            }
        }
        reclaim_leave(self);
        if ((random >> 50) % 4096 == 0) { // a new seat
            reclaim_leave_domain(self);
            EXPECT_EQ(reclaim_join(shared_domain, NULL, &self), STATUS_OK);
        }
        if ((random >> 50) % 8192 == 1) {
            // Whoever was inside has left: what this thread took out now is nobody's, and can be freed by hand.
            thing_t *old = atomic_exchange_explicit(cell, thing_make(), memory_order_acq_rel);
            reclaim_synchronize(self);
            EXPECT_EQ(old->canary, ALIVE);
            old->canary = POISON;
            free(old);
        }
    }
    reclaim_leave_domain(self);
    return NULL;
}

static void readers_never_see_what_was_reclaimed(void) {
    shared_domain = reclaim_create();
    for (int i = 0; i < CELLS; i++) {
        atomic_store(&cells[i], thing_make());
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, replace_and_read, (void *)(uintptr_t)i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    reclaim_thread_t *self = NULL;
    EXPECT_EQ(reclaim_join(shared_domain, NULL, &self), STATUS_OK);
    reclaim_drain(self);
    EXPECT_EQ(reclaim_waiting(shared_domain), 0);
    reclaim_leave_domain(self);
    reclaim_destroy(shared_domain);
    for (int i = 0; i < CELLS; i++) {
        free(atomic_load(&cells[i]));
    }
    EXPECT(runs() > ROUNDS / 2);
}

int main(void) {
    nothing_runs_while_a_thread_that_was_inside_stays();
    who_enters_later_does_not_hold_up_what_was_retired_before();
    what_a_former_thread_retired_runs_all_the_same();
    threads_beyond_the_bound_are_refused();
    readers_never_see_what_was_reclaimed();
    puts("ok reclaim");
    return 0;
}
