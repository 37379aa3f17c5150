// Slots that come back, under the explorer: one thread makes capabilities one after the other in the same few slots, each with other
// rights, object and parent, and says so of each; the others ask about any that they have heard of, by every form of the question.
// An answer is about the capability that was asked for, or is no (C3); and no, where the end was known (C1).
#include "explore.h"

#define SWEEP_FROM 32u // as it is shipped
#include "capability_sources.h"
#include "../kernel/capability_cache.c"

#include <string.h>

enum { LIVES = 6, RIGHTS_COUNT = 4, QUESTIONS = 7 };

typedef struct life {
    cap_id_t id, parent;
    cap_rights_t rights;
    uint64_t object;
    explore_moment_t over;
} life_t;

static capability_table_t *table;
static capability_thread_t *maker;
static cap_id_t root;
static life_t lives[LIVES];
static atomic_u64_t *known; // how many of them
static unsigned made;

static void begin_life(life_t *life) {
    life->rights = (cap_rights_t)1 << explore_draw(RIGHTS_COUNT);
    life->object = 7;
    life->parent = CAPABILITY_NONE;
    if (explore_draw(2) == 0) {
        life->object = 100 + made;
        EXPLORE_EXPECT(capability_create(maker, life->object, life->rights, &life->id) == STATUS_OK, "C5: no capability");
        return;
    }
    life->parent = root;
    EXPLORE_EXPECT(capability_delegate(maker, root, life->rights, &life->id) == STATUS_OK, "C5: no child");
}

static void make_lives(void) {
    for (made = 0; made < LIVES; made++) {
        life_t *life = &lives[made];
        begin_life(life);
        atomic_store_release_u64(known, made + 1);
        (void)capability_revoke(maker, life->id);
        life->over = explore_now();
        for (uint64_t left = explore_draw(5); left > 0; left--) {
            reclaim_poll(maker->reclaim); // three of them, and the slot is the next one's
        }
    }
}

static void ask_for_words(const life_t *life) {
    capability_info_t info = {0};
    if (capability_lookup(table, life->id, &info) == STATUS_OK) {
        EXPLORE_EXPECT((info.rights & ~life->rights) == 0, "C3: another's rights");
        EXPLORE_EXPECT(info.object == life->object, "C3: another's object");
        EXPLORE_EXPECT(info.parent == life->parent, "C3: another's parent");
    }
}

static void ask_some(void) {
    capability_cache_t *cache = NULL;
    EXPLORE_EXPECT(capability_cache_create(table, 2, &cache) == STATUS_OK, "C5: no cache");
    for (unsigned i = 0; i < QUESTIONS; i++) {
        uint64_t heard = atomic_load_acquire_u64(known);
        if (heard == 0) {
            continue;
        }
        const life_t *life = &lives[explore_draw(3) == 0 ? explore_draw(heard) : heard - 1];
        bool over = explore_happened(life->over), found = false;
        cap_rights_t need = (cap_rights_t)1 << explore_draw(RIGHTS_COUNT);
        switch (explore_draw(5)) {
        case 0: found = capability_check(table, life->id, need); break;
        case 1: found = capability_check_inline(table, life->id, need); break;
        case 2: found = capability_cache_check(cache, life->id, need); break;
        case 3: ask_for_words(life); break;
        default: {
            capability_t named = capability_find(table, life->id);
            found = capability_check_fast(&named, need);
        }
        }
        EXPLORE_EXPECT(!found || !over, "C1: an answer after the end");
        EXPLORE_EXPECT(!found || (need & ~life->rights) == 0, "C3: another's right");
    }
    capability_cache_destroy(cache);
}

static void set_up(void) {
    capability_config_t config = {.capacity = 1024, .first_generation = explore_draw(8) == 0 ? GENERATION_MAX - 2 : 0};
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5");
    EXPLORE_EXPECT(capability_thread_join(table, &maker) == STATUS_OK, "C5");
    cap_rights_t rights = (((cap_rights_t)1 << RIGHTS_COUNT) - 1) | CAPABILITY_RIGHT_DELEGATE;
    EXPLORE_EXPECT(capability_create(maker, 7, rights, &root) == STATUS_OK, "C5");
    known = shared_alloc(sizeof *known);
    memset(lives, 0, sizeof lives);
}

static void run(unsigned thread) {
    if (thread == 0) {
        make_lives();
    } else {
        ask_some();
    }
}

static void finish(void) {
    (void)capability_revoke(maker, root);
    capability_settle(maker);
    capability_audit_t audit = capability_audit(table);
    EXPLORE_EXPECT(audit.live + audit.linked == 0, "C5: something is left");
    EXPLORE_EXPECT(audit.slots == audit.free + audit.worn, "C5: slots");
    capability_thread_leave(maker);
    capability_table_destroy(table);
    shared_free(known);
}

static const explore_scenario_t scenarios[] = {
    {"reuse_two", 2, set_up, run, finish},
    {"reuse_three", 3, set_up, run, finish},
};
EXPLORE_SCENARIOS("capability", "C1,C3,C5", scenarios)
