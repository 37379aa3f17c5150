// Kept answers and hand-overs under the explorer: a small tree that some change and hand on, while others ask, directly and through
// caches.
#define CAPABILITY_EPOCH_SLOTS 1u // so that no other's change hides a missing one
#include "capability_sources.h"
#include "../kernel/capability_transfer.c"
#include "../kernel/capability_cache.c"

#include "explore.h"

#define READ CAPABILITY_RIGHT_READ
#define WRITE CAPABILITY_RIGHT_WRITE
#define DELEGATE CAPABILITY_RIGHT_DELEGATE

// root -> child -> leaf; root -> home; and what the leaf becomes when it is handed on to home.
enum { ROOT, CHILD, LEAF, HOME, MOVED, NODES };

typedef struct facts {
    atomic_u64_t ids[NODES];
    atomic_u64_t ended; // bits of nodes whose end has been reported
    atomic_u64_t taken; // bits of nodes that cannot have WRITE any more
} facts_t;

static capability_table_t *table;
static facts_t *facts;
static unsigned created;

static cap_id_t id_of(int node) { return atomic_load_acquire_u64(&facts->ids[node]); }

static uint64_t bit(int node) { return (uint64_t)1 << node; }

static void set_up(void) {
    capability_thread_t *self = NULL;
    cap_id_t ids[NODES] = {0};
    capability_config_t config = {.capacity = 1024};
    facts = shared_alloc(sizeof *facts);
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5");
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    cap_rights_t all = READ | WRITE | DELEGATE;
    bool made = capability_create(self, 1, all, &ids[ROOT]) == STATUS_OK &&
                capability_delegate(self, ids[ROOT], all, &ids[CHILD]) == STATUS_OK &&
                capability_delegate(self, ids[CHILD], READ | WRITE, &ids[LEAF]) == STATUS_OK &&
                capability_delegate(self, ids[ROOT], all, &ids[HOME]) == STATUS_OK;
    EXPLORE_EXPECT(made, "C5");
    for (int node = 0; node < NODES; node++) {
        atomic_store_release_u64(&facts->ids[node], ids[node]);
    }
    created = 4;
    capability_thread_leave(self);
}

// --- changes --------------------------------------------------------------------------------------------------------

static void report(atomic_u64_t *which, uint64_t bits) { (void)atomic_fetch_or_acq_rel_u64(which, bits); }

static void hand_on(capability_thread_t *self) {
    cap_id_t moved = CAPABILITY_NONE;
    uint64_t ended = atomic_load_acquire_u64(&facts->ended);
    uint64_t taken = atomic_load_acquire_u64(&facts->taken);
    status_t status = capability_transfer(self, id_of(LEAF), id_of(HOME), &moved);
    if (status != STATUS_OK) {
        EXPLORE_EXPECT(status == STATUS_STALE || status == STATUS_DENIED, "C5");
        return;
    }
    EXPLORE_EXPECT((ended & (bit(LEAF) | bit(HOME))) == 0, "C1");
    created++;
    if ((taken & (bit(LEAF) | bit(HOME))) != 0) { // what one of the two lacked before
        report(&facts->taken, bit(MOVED));
    }
    atomic_store_release_u64(&facts->ids[MOVED], moved);
    report(&facts->ended, bit(LEAF));
}

static void change(capability_thread_t *self) {
    switch (explore_draw(6)) {
    case 0:
        (void)capability_revoke(self, id_of(CHILD));
        report(&facts->ended, bit(CHILD) | bit(LEAF));
        break;
    case 1:
        (void)capability_revoke(self, id_of(LEAF));
        report(&facts->ended, bit(LEAF));
        break;
    case 2:
        if (capability_attenuate(self, id_of(HOME), WRITE) == STATUS_OK) {
            report(&facts->taken, bit(HOME) | bit(MOVED));
        }
        break;
    case 3:
        if (capability_attenuate(self, id_of(CHILD), WRITE) == STATUS_OK) {
            report(&facts->taken, bit(CHILD) | bit(LEAF));
        }
        break;
    case 4:
        (void)capability_revoke(self, id_of(HOME));
        report(&facts->ended, bit(HOME) | bit(MOVED));
        break;
    default: hand_on(self); break;
    }
}

static void change_some(unsigned thread) {
    (void)thread;
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    for (uint64_t left = 1 + explore_draw(3); left > 0; left--) {
        change(self);
    }
    capability_thread_leave(self);
}

// --- questions ------------------------------------------------------------------------------------------------------

static void ask_about(capability_cache_t *cache, int node) {
    cap_rights_t need = explore_draw(2) == 0 ? WRITE : 0;
    cap_id_t id = id_of(node);
    uint64_t ended = atomic_load_acquire_u64(&facts->ended);
    uint64_t taken = atomic_load_acquire_u64(&facts->taken);
    bool held = explore_draw(4) == 0 ? capability_check(table, id, need) : capability_cache_check(cache, id, need);
    EXPLORE_EXPECT(!held || id != CAPABILITY_NONE, "C6");
    EXPLORE_EXPECT(!held || (ended & bit(node)) == 0, "C1");
    EXPLORE_EXPECT(!held || need == 0 || (taken & bit(node)) == 0, "C2");
}

static void ask_one(capability_cache_t *cache) { ask_about(cache, (int)explore_draw(NODES)); }

static void ask_some(void) {
    capability_cache_t *cache = NULL;
    EXPLORE_EXPECT(capability_cache_create(table, 8, &cache) == STATUS_OK, "C5");
    for (uint64_t left = 2 + explore_draw(6); left > 0; left--) {
        ask_one(cache);
    }
    capability_cache_destroy(cache);
}

static void run(unsigned thread) {
    if (thread == 0) {
        ask_some();
    } else {
        change_some(thread);
    }
}

// --- two who end the same -------------------------------------------------------------------------------------------

// A sibling of the leaf, so that a list is swept in which the leaf is dead.
static void set_up_sibling(void) {
    capability_thread_t *self = NULL;
    cap_id_t sibling = CAPABILITY_NONE;
    set_up();
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    EXPLORE_EXPECT(capability_delegate(self, id_of(CHILD), READ, &sibling) == STATUS_OK, "C5");
    atomic_store_release_u64(&facts->ids[MOVED], sibling);
    created++;
    capability_thread_leave(self);
}

static void end_the_leaf(unsigned thread) {
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    if (thread == 2 && explore_draw(2) == 0) {
        (void)capability_revoke(self, id_of(MOVED));
        (void)capability_revoke(self, id_of(CHILD));
    } else {
        (void)capability_revoke(self, id_of(LEAF));
    }
    report(&facts->ended, bit(LEAF));
    capability_thread_leave(self);
}

static void run_ends(unsigned thread) {
    if (thread != 0) {
        end_the_leaf(thread);
        return;
    }
    capability_cache_t *cache = NULL;
    EXPLORE_EXPECT(capability_cache_create(table, 8, &cache) == STATUS_OK, "C5");
    for (int i = 0; i < 8; i++) {
        ask_about(cache, LEAF);
    }
    capability_cache_destroy(cache);
}

// One ends the leaf; the other keeps an answer about it, ends what is beside and above, and asks again.
static void run_swept(unsigned thread) {
    capability_thread_t *self = NULL;
    capability_cache_t *cache = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    if (thread == 0) {
        (void)capability_revoke(self, id_of(LEAF));
    } else {
        EXPLORE_EXPECT(capability_cache_create(table, 8, &cache) == STATUS_OK, "C5");
        (void)capability_cache_check(cache, id_of(LEAF), READ);
        (void)capability_revoke(self, id_of(MOVED));
        (void)capability_revoke(self, id_of(CHILD));
        EXPLORE_EXPECT(!capability_cache_check(cache, id_of(LEAF), READ), "C1: a kept answer after the end");
        capability_cache_destroy(cache);
    }
    capability_thread_leave(self);
}

// --- a cache whose room changes -------------------------------------------------------------------------------------

static capability_cache_t *shared_cache;

static void set_up_resized(void) {
    set_up();
    EXPLORE_EXPECT(capability_cache_create(table, 1, &shared_cache) == STATUS_OK, "C5");
}

static void run_resized(unsigned thread) {
    if (thread == 0) {
        for (int i = 0; i < 5; i++) {
            ask_one(shared_cache);
        }
    } else if (thread == 1) {
        for (int i = 0; i < 3; i++) {
            EXPLORE_EXPECT(capability_cache_resize(shared_cache, explore_draw(5)) == STATUS_OK, "C6");
        }
    } else {
        change_some(thread);
    }
}

// --- the account ----------------------------------------------------------------------------------------------------

static void finish(void) {
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    capability_settle(self);
    capability_audit_t audit = capability_audit(table);
    capability_stats_t stats = capability_stats(table);
    EXPLORE_EXPECT(audit.orphans == 0, "C1");
    EXPLORE_EXPECT(audit.excesses == 0, "C2");
    EXPLORE_EXPECT(stats.created == created && stats.created == audit.live + stats.deleted, "C5");
    EXPLORE_EXPECT(audit.slots == audit.live + audit.free + audit.linked + audit.worn, "C5");
    capability_thread_leave(self);
    capability_table_destroy(table);
    shared_free(facts);
}

static void finish_resized(void) {
    capability_cache_destroy(shared_cache);
    finish();
}

static const explore_scenario_t scenarios[] = {
    {"capability_kept", 2, set_up, run, finish},
    {"capability_kept_three", 3, set_up, run, finish},
    {"capability_changes", 3, set_up, change_some, finish},
    {"capability_ends", 3, set_up_sibling, run_ends, finish},
    {"capability_swept", 2, set_up_sibling, run_swept, finish},
    {"capability_resized", 3, set_up_resized, run_resized, finish_resized},
};
EXPLORE_SCENARIOS("capability_cache", "C1,C2,C5,C6", scenarios)
