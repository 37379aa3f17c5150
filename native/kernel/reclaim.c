// Epoch-based reclamation.
//
// There is one epoch E. A thread that enters reads E, announces it in its own word, and fences. E moves from e to e+1 only
// when every thread inside has announced e. An object retired while E was s has its callback run when E >= s+2.
//
// Why no grace period ends early. Let thread T have entered and hold object O; let U make O unreachable, fence, and read
// s from E. Let A be who moves E from s+1 to s+2: it reads E = s+1, fences, and looks at T's word.
//   - A sees T inside with s+1: then T read E = s+1 before its fence, U read s after its own, so U's fence came
//     first, and T, reading after its fence, could not find O any more.
//   - A sees T inside with anything else: A does not move E.
//   - A sees T outside: either T has left (an acquire of the word that T released: T's accesses happen before the
//     callback), or T's announcement is later than A's fence; U's fence is before A's (U read s, A read s+1), so T does not find O.
// The callback runs after a read of E >= s+2 that acquires from A, and A from who moved E before.
// enter's fence is the one that the classic mistake leaves out: without it T's announcement may still lie in its store
// buffer when A looks, while T already reads the structure.
//
// Lists: a thread keeps three bags, by epoch modulo three. A bag found with an older epoch is at least three behind, so it
// is ripe. The seat of a thread that left keeps its bags; a poll of any other thread takes the seat for as long as it needs to
// run the ripe ones. So nothing is lost, whoever comes and goes.
#include "reclaim.h"

#include <assert.h>

#define BAGS 3
#define POLL_AFTER 64

enum { SEAT_FREE = 0, SEAT_TAKEN = 1, SEAT_VISITED = 2 };

typedef struct bag {
    uint64_t epoch;
    reclaim_node_t *first;
    uint64_t count;
} bag_t;

struct reclaim_thread {
    // Written by its thread at every enter and leave, read by who advances: epoch * 2 + 1 inside, 0 outside.
    _Alignas(CPU_PAIR) atomic_u64_t announced;
    atomic_u32_t seat; // written by who joins, leaves or visits
    // Written by its thread alone.
    _Alignas(CPU_LINE) atomic_u64_t waiting; // read by others
    reclaim_t *domain;
    void *owner;
    uint32_t depth;
    uint32_t retired; // since the last poll
    bag_t bags[BAGS];
};

struct reclaim {
    _Alignas(CPU_PAIR) atomic_u64_t epoch; // written by who advances
    _Alignas(CPU_PAIR) atomic_u32_t used;  // seats ever taken; written by who joins
    reclaim_thread_t threads[RECLAIM_MAX_THREADS];
};

reclaim_t *reclaim_create(void) {
    reclaim_t *domain = shared_alloc_aligned(sizeof *domain);
    if (domain == NULL) {
        return NULL;
    }
    /* relaxed: nobody else knows the domain yet */
    atomic_store_relaxed_u64(&domain->epoch, BAGS);
    for (uint32_t i = 0; i < RECLAIM_MAX_THREADS; i++) {
        domain->threads[i].domain = domain;
    }
    return domain;
}

static void run_bag(reclaim_thread_t *from, bag_t *bag, void *owner) {
    reclaim_node_t *node = bag->first;
    uint64_t count = bag->count;
    bag->first = NULL;
    bag->count = 0;
    while (node != NULL) {
        reclaim_node_t *next = plain_load_ptr(&node->next);
        node->run(node, owner);
        node = next;
    }
    /* relaxed: written by who has the seat alone */
    uint64_t waiting = atomic_load_relaxed_u64(&from->waiting);
    /* edge WAITING:R — what the callbacks did, also while the visitor is still in the seat; :A is in is_drained */
    atomic_store_release_u64(&from->waiting, waiting - count);
}

void reclaim_destroy(reclaim_t *domain) {
    for (uint32_t i = 0; i < RECLAIM_MAX_THREADS; i++) {
        reclaim_thread_t *thread = &domain->threads[i];
        /* edge SEAT:A — the bags of who left; :R is in reclaim_leave_domain */
        uint32_t seat = atomic_load_acquire_u32(&thread->seat);
        assert(seat == SEAT_FREE);
        (void)seat;
        for (int round = 0; round < BAGS; round++) { // a callback may retire into a bag that was run already
            for (int b = 0; b < BAGS; b++) {
                run_bag(thread, &thread->bags[b], NULL);
            }
        }
    }
    shared_free(domain);
}

static void raise_used(reclaim_t *domain, uint32_t count) {
    /* relaxed: the loop's compare-and-swap decides */
    uint32_t used = atomic_load_relaxed_u32(&domain->used);
    /* edge SEATS:RA — that the seat is to be looked at; :A is in reclaim_waiting */
    while (used < count && !atomic_cas_acq_rel_u32(&domain->used, &used, count)) {
    }
}

status_t reclaim_join(reclaim_t *domain, void *owner, reclaim_thread_t **self) {
    bool visited = true;
    for (unsigned round = 0; visited; round++) { // a visited seat is free in a moment: look again
        visited = false;
        for (uint32_t i = 0; i < RECLAIM_MAX_THREADS; i++) {
            reclaim_thread_t *thread = &domain->threads[i];
            uint32_t seat = SEAT_FREE;
            /* edge SEAT:A — the bags of who had the seat before; :R is in reclaim_leave_domain */
            if (atomic_cas_acq_rel_u32(&thread->seat, &seat, SEAT_TAKEN)) {
                thread->owner = owner;
                raise_used(domain, i + 1);
                *self = thread;
                return STATUS_OK;
            }
            visited |= seat == SEAT_VISITED;
        }
        spin_hint(round);
    }
    return STATUS_FULL;
}

void reclaim_leave_domain(reclaim_thread_t *self) {
    assert(self->depth == 0);
    self->owner = NULL;
    /* edge SEAT:R — the bags, for the next in this seat; :A is in reclaim_join */
    atomic_store_release_u32(&self->seat, SEAT_FREE);
}

uint32_t reclaim_index(const reclaim_thread_t *self) { return (uint32_t)(self - self->domain->threads); }

void reclaim_set_owner(reclaim_thread_t *self, void *owner) { self->owner = owner; }

void reclaim_enter(reclaim_thread_t *self) {
    if (self->depth++ > 0) {
        return;
    }
    /* relaxed: an old epoch only holds up advance; the fence below orders this read for the proof above */
    uint64_t epoch = atomic_load_relaxed_u64(&self->domain->epoch);
    /* edge INSIDE:R — the accesses of the stay before this one; :A is in reclaim_advance */
    atomic_store_release_u64(&self->announced, epoch << 1 | 1);
    /* edge GRACE:S — the announcement, before anything that is read inside; :S is in reclaim_advance */
    atomic_fence_seq_cst();
}

void reclaim_leave(reclaim_thread_t *self) {
    assert(self->depth > 0);
    if (--self->depth > 0) {
        return;
    }
    /* edge INSIDE:R — that the accesses of this stay are over; :A is in reclaim_advance */
    atomic_store_release_u64(&self->announced, 0);
    if (self->retired >= POLL_AFTER) {
        reclaim_poll(self);
    }
}

void reclaim_retire(reclaim_thread_t *self, reclaim_node_t *node, reclaim_fn_t *run) {
    /* edge GRACE:S — that the object is unreachable, before the epoch that it gets is read; :S is in reclaim_enter */
    atomic_fence_seq_cst();
    /* relaxed: the fence orders it; an epoch that has moved on since only makes the wait longer for others, not shorter */
    uint64_t epoch = atomic_load_relaxed_u64(&self->domain->epoch);
    /* relaxed: written by this thread alone */
    uint64_t waiting = atomic_load_relaxed_u64(&self->waiting);
    /* relaxed: as above */
    atomic_store_relaxed_u64(&self->waiting, waiting + 1);
    bag_t *bag = &self->bags[epoch % BAGS];
    bag_t ripe = {0};
    if (bag->epoch != epoch) {
        ripe = *bag;
        *bag = (bag_t){.epoch = epoch};
    }
    node->run = run;
    plain_store_ptr(&node->next, bag->first);
    bag->first = node;
    bag->count++;
    self->retired++;
    if (ripe.first != NULL) {
        /* edge EPOCH:A — the accesses of all who were inside then; :RA is in reclaim_advance */
        (void)atomic_load_acquire_u64(&self->domain->epoch);
        run_bag(self, &ripe, self->owner);
    }
}

bool reclaim_advance(reclaim_t *domain) {
    /* edge EPOCH:A — what who moved the epoch before has seen; :RA is in reclaim_advance */
    uint64_t epoch = atomic_load_acquire_u64(&domain->epoch);
    /* edge GRACE:S — the epoch read above, before the announcements below; :S is in reclaim_enter */
    atomic_fence_seq_cst();
    /* relaxed: the fence orders it; a seat that comes later enters later */
    uint32_t used = atomic_load_relaxed_u32(&domain->used);
    for (uint32_t i = 0; i < used; i++) {
        /* edge INSIDE:A — the accesses of who has left, or entered anew; :R is in reclaim_leave */
        uint64_t announced = atomic_load_acquire_u64(&domain->threads[i].announced);
        if ((announced & 1) != 0 && announced >> 1 != epoch) {
            return false;
        }
    }
    /* edge EPOCH:RA — that all who were inside at the last move have left; :A is in run_ripe */
    return atomic_cas_acq_rel_u64(&domain->epoch, &epoch, epoch + 1);
}

static void run_ripe(reclaim_thread_t *from, void *owner) {
    /* edge EPOCH:A — the accesses of all who were inside; :RA is in reclaim_advance */
    uint64_t epoch = atomic_load_acquire_u64(&from->domain->epoch);
    for (int b = 0; b < BAGS; b++) {
        if (from->bags[b].first != NULL && epoch >= from->bags[b].epoch + 2) {
            run_bag(from, &from->bags[b], owner);
        }
    }
}

// The seats of threads that left with something in their bags.
static void visit_left(reclaim_thread_t *self) {
    reclaim_t *domain = self->domain;
    /* relaxed: a seat not seen now is seen by the next poll */
    uint32_t used = atomic_load_relaxed_u32(&domain->used);
    for (uint32_t i = 0; i < used; i++) {
        reclaim_thread_t *other = &domain->threads[i];
        uint32_t seat = SEAT_FREE;
        /* relaxed: hints, so that a poll writes to no seat without need */
        if (atomic_load_relaxed_u64(&other->waiting) == 0 || atomic_load_relaxed_u32(&other->seat) != SEAT_FREE) {
            continue;
        }
        /* edge SEAT:A — the bags of who left; :R is in reclaim_leave_domain */
        if (atomic_cas_acq_rel_u32(&other->seat, &seat, SEAT_VISITED)) {
            run_ripe(other, self->owner);
            /* edge SEAT:R — what is left of the bags; :A is in reclaim_join */
            atomic_store_release_u32(&other->seat, SEAT_FREE);
        }
    }
}

void reclaim_poll(reclaim_thread_t *self) {
    assert(self->depth == 0);
    self->retired = 0;
    (void)reclaim_advance(self->domain);
    run_ripe(self, self->owner);
    visit_left(self);
}

void reclaim_synchronize(reclaim_thread_t *self) {
    assert(self->depth == 0);
    /* edge GRACE:S — what the caller did, before the epoch is read; :S is in reclaim_enter */
    atomic_fence_seq_cst();
    /* relaxed: the fence orders it */
    uint64_t from = atomic_load_relaxed_u64(&self->domain->epoch);
    /* edge EPOCH:A — the accesses of all who were inside; :RA is in reclaim_advance */
    for (unsigned round = 0; atomic_load_acquire_u64(&self->domain->epoch) < from + 2; round++) {
        if (!reclaim_advance(self->domain)) {
            spin_hint(round);
        }
    }
}

// Whether this seat and the seats that were left hold nothing any more.
static bool is_drained(const reclaim_thread_t *self) {
    const reclaim_t *domain = self->domain;
    /* relaxed: a seat that is taken later belongs to a thread that is not former yet */
    uint32_t used = atomic_load_relaxed_u32(&domain->used);
    for (uint32_t i = 0; i < used; i++) {
        const reclaim_thread_t *thread = &domain->threads[i];
        /* edge SEAT:A — the count of who left; :R is in reclaim_leave_domain */
        uint32_t seat = atomic_load_acquire_u32(&thread->seat);
        /* edge WAITING:A — what the callbacks did, whoever ran them; :R is in run_bag */
        if ((thread == self || seat != SEAT_TAKEN) && atomic_load_acquire_u64(&thread->waiting) > 0) {
            return false;
        }
    }
    return true;
}

void reclaim_drain(reclaim_thread_t *self) {
    for (unsigned round = 0; !is_drained(self); round++) {
        reclaim_poll(self);
        spin_hint(round);
    }
}

uint64_t reclaim_waiting(const reclaim_t *domain) {
    uint64_t sum = 0;
    /* edge SEATS:A — the seats that were ever taken; :RA is in raise_used */
    uint32_t used = atomic_load_acquire_u32(&domain->used);
    for (uint32_t i = 0; i < used; i++) {
        /* relaxed: exact in quiet times only, as promised */
        sum += atomic_load_relaxed_u64(&domain->threads[i].waiting);
    }
    return sum;
}
