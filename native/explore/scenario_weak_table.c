// What single operations of the capability table order, under the explorer, in the fewest steps: what a sweep that takes a child out of its parent's list hands
// on to who walks that list (C1), what a slot's next owner tells who still asks after the last one (C3), and that a grant reaches a cache that is just made.
#define CAPABILITY_EPOCH_SLOTS 1u // so that no other's change hides a missing one
#define SWEEP_FROM 1u             // the first that ends is swept
#include "capability_sources.h"
#include "../kernel/capability_transfer.c"
#include "../kernel/capability_cache.c"

#include "explore.h"

#define READ CAPABILITY_RIGHT_READ
#define WRITE CAPABILITY_RIGHT_WRITE
#define ALL (READ | CAPABILITY_RIGHT_DELEGATE)

enum { CHILDREN = 4, OBJECT = 7, NEXT_OBJECT = 8 };

static capability_table_t *table;
static capability_thread_t *maker; // of what is there before
static cap_id_t root, middle, below; // middle: the children's parent; below: the first child's child
static cap_id_t children[CHILDREN];
static unsigned child_count;

static capability_thread_t *join(void) {
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5: no seat");
    return self;
}

static void make_table(cap_rights_t rights) {
    capability_config_t config = {.capacity = 1024};
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5: no table");
    maker = join();
    EXPLORE_EXPECT(capability_create(maker, OBJECT, rights, &root) == STATUS_OK, "C5: no capability");
}

static void finish(void) {
    capability_thread_leave(maker);
    capability_table_destroy(table);
}

// --- lists that are swept -------------------------------------------------------------------------------------------

// The root is never swept: who takes a slot out of use fences, and sees what was ended whatever tells him.
static void set_up_swept(void) {
    make_table(ALL);
    EXPLORE_EXPECT(capability_delegate(maker, root, ALL, &middle) == STATUS_OK, "C5: no child");
    atomic_store_relaxed_u32(&table->slots[index_of(root)].sweep_at, UINT32_MAX);
    child_count = 1 + (unsigned)explore_draw(CHILDREN);
    for (unsigned i = 0; i < child_count; i++) { // each in front of those before
        EXPLORE_EXPECT(capability_delegate(maker, middle, ALL, &children[i]) == STATUS_OK, "C5: no child");
    }
    EXPLORE_EXPECT(capability_delegate(maker, children[0], ALL, &below) == STATUS_OK, "C5: no child");
}

static void end_child(capability_thread_t *self, unsigned child) {
    if (child == 0) {
        (void)capability_revoke(self, children[0]);
        EXPLORE_EXPECT(!capability_check(table, below, 0), "C1: what was below");
    } else {
        (void)capability_delete(self, children[child]);
    }
    EXPLORE_EXPECT(!capability_check(table, children[child], 0), "C1: it has not ended");
}

static void end_all(capability_thread_t *self) {
    (void)capability_revoke(self, middle);
    for (unsigned i = 0; i < child_count; i++) {
        EXPLORE_EXPECT(!capability_check(table, children[i], 0), "C1: a child has not ended");
    }
    EXPLORE_EXPECT(!capability_check(table, below, 0), "C1: a child's child has not ended");
}

// Some of the children end, or each; then, or at once, what is above them.
static void run_swept(unsigned thread) {
    capability_thread_t *self = join();
    unsigned first = (unsigned)explore_draw(child_count), count = explore_draw(2) == 0 ? child_count : (unsigned)explore_draw(4);
    bool all = thread == 1 && explore_draw(2) == 0;
    count = all && explore_draw(2) == 0 ? 0 : count;
    for (unsigned i = 0; i < count; i++) {
        if (explore_operation()) {
            end_child(self, (first + i) % child_count);
        }
    }
    if (all) {
        end_all(self);
    }
    capability_thread_leave(self);
}

// A list holds nobody who was taken out of use.
static void finish_swept(void) {
    uint64_t at = capability_check(table, middle, 0) ? atomic_load_relaxed_u64(&table->slots[index_of(middle)].children) : 0;
    for (; at != 0; at = atomic_load_relaxed_u32(&table->slots[at].next)) {
        uint64_t state = atomic_load_relaxed_u64(&table->view.entries[at].state);
        EXPLORE_EXPECT(phase_of(state, at) != PHASE_RETIRED, "C3: out of use, and in a list");
    }
    finish();
}

// --- slots that go from hand to hand ---------------------------------------------------------------------------------

enum { ASKER, TAKER, GIVER, HANDS };
static capability_thread_t *seats[HANDS];

static void set_up_reused(void) {
    make_table(ALL | WRITE);
    for (unsigned i = TAKER; i < HANDS; i++) {
        seats[i] = join();
    }
    EXPLORE_EXPECT(capability_delegate(maker, root, READ, &children[0]) == STATUS_OK, "C5: no child");
}

// Ends it, and leaves its slot to whoever takes it.
static void give_slot(capability_thread_t *self) {
    (void)capability_revoke(self, children[0]);
    for (unsigned left = 3; left > 0; left--) {
        reclaim_poll(self->reclaim);
    }
    slot_flush(self);
}

static void take_slot(capability_thread_t *self) {
    for (uint64_t left = 1 + explore_draw(3); left > 0; left--) {
        cap_id_t id = CAPABILITY_NONE;
        EXPLORE_EXPECT(capability_create(self, NEXT_OBJECT, WRITE, &id) == STATUS_OK, "C5: no capability");
    }
}

static void ask_for_words(void) {
    capability_info_t info = {0};
    if (capability_lookup(table, children[0], &info) == STATUS_OK) {
        EXPLORE_EXPECT(info.object == OBJECT, "C3: another's object");
        EXPLORE_EXPECT(info.parent == root, "C3: another's parent");
        EXPLORE_EXPECT(info.rights == READ, "C3: another's rights");
    }
}

static void ask_after_the_last(void) {
    if (explore_draw(4) != 0) {
        for (uint64_t left = 1 + explore_draw(3); left > 0; left--) {
            ask_for_words();
        }
        return;
    }
    capability_cache_t *cache = NULL;
    EXPLORE_EXPECT(capability_cache_create(table, 2, &cache) == STATUS_OK, "C5: no cache");
    for (uint64_t left = 1 + explore_draw(3); left > 0; left--) {
        EXPLORE_EXPECT(!capability_cache_check(cache, children[0], WRITE), "C3: another's right");
    }
    capability_cache_destroy(cache);
}

static void run_reused(unsigned thread) {
    if (thread == ASKER) {
        ask_after_the_last();
    } else if (thread == TAKER) {
        take_slot(seats[TAKER]);
    } else {
        give_slot(seats[GIVER]);
    }
}
// A poll in its parts, as if it were stopped in between: it has seen the epoch and fenced when another ends the capability, and leaves. What that one retired comes
// to it by the visit to the seat, with no fence after it. Each waits for the one before by words that order nothing.
static atomic_u32_t *turn;

static void await_turn(uint32_t which) {
    for (unsigned round = 0; atomic_load_relaxed_u32(turn) != which; round++) {
        spin_hint(round);
    }
}

static void set_up_visited(void) {
    set_up_reused();
    turn = shared_alloc(sizeof *turn);
}

static void run_visited(unsigned thread) {
    switch (thread) {
    case TAKER:
        (void)reclaim_advance(table->domain);
        atomic_store_relaxed_u32(turn, 1);
        await_turn(2);
        visit_left(seats[TAKER]->reclaim);
        take_slot(seats[TAKER]);
        atomic_store_relaxed_u32(turn, 3);
        break;
    case GIVER:
        await_turn(1);
        (void)capability_revoke(seats[GIVER], children[0]);
        capability_thread_leave(seats[GIVER]); // which moves the epoch once
        (void)reclaim_advance(table->domain);
        atomic_store_relaxed_u32(turn, 2);
        break;
    default:
        await_turn(3);
        ask_for_words();
    }
}

static void finish_visited(void) {
    shared_free(turn);
    capability_thread_leave(seats[TAKER]);
    finish();
}

static void finish_reused(void) {
    for (unsigned i = TAKER; i < HANDS; i++) {
        capability_thread_leave(seats[i]);
    }
    finish();
}

// --- a grant, and a cache that is just made; accounts of a hand-over -------------------------------------------------

static atomic_u64_t *granted;

static void set_up_granted(void) {
    make_table(READ | CAPABILITY_RIGHT_DELEGATE);
    granted = shared_alloc(sizeof *granted);
    EXPLORE_EXPECT(capability_create(maker, OBJECT, READ, &children[0]) == STATUS_OK, "C5: no capability");
}

static void run_granted(unsigned thread) {
    if (thread == 1) {
        capability_thread_t *self = join();
        (void)capability_grant(self, root, WRITE);
        atomic_store_release_u64(granted, 1);
        capability_thread_leave(self);
        return;
    }
    capability_cache_t *cache = NULL;
    EXPLORE_EXPECT(capability_cache_create(table, 2, &cache) == STATUS_OK, "C5: no cache");
    for (unsigned left = 3; left > 0; left--) {
        bool known = atomic_load_acquire_u64(granted) != 0;
        bool found = capability_cache_check(cache, root, WRITE);
        EXPLORE_EXPECT(found || !known, "C2: a right that was granted is kept from it");
    }
    capability_cache_destroy(cache);
}

static void finish_granted(void) {
    shared_free(granted);
    finish();
}

// One is handed on below another, whose end comes meanwhile; a third reads the accounts.
static void run_counts(unsigned thread) {
    if (thread == 2) {
        for (unsigned left = 3; left > 0; left--) {
            capability_stats_t stats = capability_stats(table);
            EXPLORE_EXPECT(stats.created >= stats.deleted, "C5: deleted before it was created");
        }
        return;
    }
    capability_thread_t *self = join();
    cap_id_t moved = CAPABILITY_NONE;
    if (thread == 0) {
        (void)capability_transfer(self, children[0], root, &moved);
    } else {
        (void)capability_revoke(self, root);
    }
    capability_thread_leave(self);
}

static const explore_scenario_t scenarios[] = {
    {"weak_swept", 2, set_up_swept, run_swept, finish_swept},
    {"weak_swept_three", 3, set_up_swept, run_swept, finish_swept},
    {"weak_reused", HANDS, set_up_reused, run_reused, finish_reused},
    {"weak_visited", HANDS, set_up_visited, run_visited, finish_visited},
    {"weak_granted", 2, set_up_granted, run_granted, finish_granted},
    {"weak_counts", 3, set_up_granted, run_counts, finish_granted},
};
EXPLORE_SCENARIOS("capability", "C1,C2,C3,C5", scenarios)
