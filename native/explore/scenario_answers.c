// What the capability table answers, under the explorer: one thread changes a few capabilities in every way that there is, and asks about them, about what
// has ended and about what never was, by every form of the question. All of them say what a model says (C1, C2, C3, C6).
#include "explore.h"

#define SWEEP_FROM 2u
#include "capability_sources.h"
#include "../kernel/capability_batch.c"
#include "../kernel/capability_transfer.c"
#include "../kernel/capability_cache.c"

// The two variants of vector checks that every processor runs: the second over a model of its instructions.
#define mask_4 portable_mask_4
#define mask_8 portable_mask_8
#define check portable_check
#define column_check portable_column_check
#define ops portable_ops
#include "../kernel/capability_simd_portable.c"
#undef mask_4
#undef mask_8
#undef check
#undef column_check
#undef ops
#define ORCH_AVX512_MODEL "../explore/avx512_model.h"
#define entry_of entry_of_vector
#include "../kernel/capability_simd_avx512.c"
#undef entry_of

#include <string.h>

enum { NODES = 24, NONE = -1, OPERATIONS = 14, ASKED = 12, PLACES = 4, OBJECT = 7, BITS = 10 };

typedef struct node {
    cap_id_t id;
    int parent; // NONE: a root
    cap_rights_t rights;
    bool lives;
} node_t;

static capability_table_t *table;
static capability_thread_t *self;
static capability_cache_t *cache;
static capability_column_t *column;
static node_t nodes[NODES];
static int count_of_nodes;
static int placed[PLACES]; // NONE: nothing

// --- the model ----------------------------------------------------------------------------------------------------------

static bool is_below(int n, int above) {
    while (n != NONE && n != above) {
        n = nodes[n].parent;
    }
    return n != NONE;
}

static void end_below(int above) {
    for (int n = 0; n < count_of_nodes; n++) {
        nodes[n].lives &= !is_below(n, above);
    }
}

static bool has_children(int parent) {
    for (int n = 0; n < count_of_nodes; n++) {
        if (nodes[n].lives && nodes[n].parent == parent) {
            return true;
        }
    }
    return false;
}

static void add(cap_id_t id, int parent, cap_rights_t rights) {
    nodes[count_of_nodes++] = (node_t){.id = id, .parent = parent, .rights = rights, .lives = true};
}

static bool model_says(cap_id_t id, cap_rights_t need) {
    for (int n = 0; n < count_of_nodes; n++) {
        if (nodes[n].id == id) {
            return nodes[n].lives && (nodes[n].rights & need) == need;
        }
    }
    return false;
}

// --- changes ------------------------------------------------------------------------------------------------------------

static cap_rights_t draw_rights(void) {
    return explore_draw(16) | (explore_draw(2) << (BITS - 1)) | (explore_draw(4) == 0 ? 0 : CAPABILITY_RIGHT_DELEGATE);
}

static void do_create(void) {
    cap_rights_t rights = draw_rights();
    cap_id_t id = CAPABILITY_NONE;
    EXPLORE_EXPECT(capability_create(self, OBJECT, rights, &id) == STATUS_OK, "C5: no capability");
    add(id, NONE, rights);
}

static void do_delegate(int parent) {
    cap_rights_t rights = draw_rights() & (explore_draw(3) == 0 ? UINT64_MAX : nodes[parent].rights);
    cap_id_t id = CAPABILITY_NONE;
    bool may = nodes[parent].lives && may_delegate(nodes[parent].rights, rights);
    status_t status = capability_delegate(self, nodes[parent].id, rights, &id);
    EXPLORE_EXPECT((status == STATUS_OK) == may, "C2: delegate");
    if (status == STATUS_OK) {
        add(id, parent, rights);
    }
}

static void do_end(int n, bool all) {
    bool busy = !all && nodes[n].lives && has_children(n);
    status_t wanted = !nodes[n].lives ? STATUS_STALE : busy ? STATUS_BUSY : STATUS_OK;
    status_t status = all ? capability_revoke(self, nodes[n].id) : capability_delete(self, nodes[n].id);
    EXPLORE_EXPECT(status == wanted, "C1: an end");
    if (status == STATUS_OK) {
        end_below(n);
    }
}

static void do_change(int n, bool grant) {
    cap_rights_t rights = (cap_rights_t)1 << explore_draw(4);
    bool may = nodes[n].lives && (!grant || nodes[n].parent == NONE);
    status_t status = STATUS_OK;
    if (explore_draw(3) == 0) {
        uint64_t good = (grant ? capability_grant_batch : capability_attenuate_batch)(self, &nodes[n].id, 1, rights, &status);
        EXPLORE_EXPECT(good == (status == STATUS_OK), "C6: a batch counts others");
    } else {
        status = (grant ? capability_grant : capability_attenuate)(self, nodes[n].id, rights);
    }
    EXPLORE_EXPECT((status == STATUS_OK) == may, "C2: a change of rights");
    for (int below = 0; may && below < count_of_nodes; below++) {
        if (grant ? below == n : is_below(below, n)) {
            nodes[below].rights = grant ? nodes[below].rights | rights : nodes[below].rights & ~rights;
        }
    }
}

static void do_transfer(int n, int parent) {
    cap_id_t moved = CAPABILITY_NONE;
    bool fits = parent == NONE ? nodes[n].parent == NONE
                               : nodes[parent].lives && !is_below(parent, n) && may_delegate(nodes[parent].rights, nodes[n].rights);
    bool may = nodes[n].lives && fits;
    status_t status = capability_transfer(self, nodes[n].id, parent == NONE ? CAPABILITY_NONE : nodes[parent].id, &moved);
    EXPLORE_EXPECT((status == STATUS_OK) == may, "C2: a transfer");
    if (status == STATUS_OK) {
        end_below(n);
        add(moved, parent, nodes[n].rights);
    }
}

static void do_place(int n) {
    unsigned place = (unsigned)explore_draw(PLACES);
    n = explore_draw(5) == 0 ? NONE : n;
    (void)capability_column_set(self, column, place, n == NONE ? CAPABILITY_NONE : nodes[n].id);
    placed[place] = n;
}

static void do_one(void) {
    int n = (int)explore_draw((uint64_t)count_of_nodes);
    switch (explore_draw(10)) {
    case 0: do_create(); break;
    case 1:
    case 2: do_delegate(n); break;
    case 3: do_end(n, explore_draw(2) == 0); break;
    case 4: do_change(n, true); break;
    case 5: do_change(n, false); break;
    case 6: do_transfer(n, explore_draw(3) == 0 ? NONE : (int)explore_draw((uint64_t)count_of_nodes)); break;
    case 7: do_place(n); break;
    case 8: EXPLORE_EXPECT(capability_cache_resize(cache, 1 + explore_draw(4)) == STATUS_OK, "C6: no room"); break;
    default: capability_settle(self); // slots come back
    }
}

// --- questions ----------------------------------------------------------------------------------------------------------

static void expect_mask(uint64_t said, const cap_id_t *ids, uint64_t count, cap_rights_t need, const char *what) {
    for (uint64_t i = 0; i < count; i++) {
        if ((said >> i & 1) != (uint64_t)model_says(ids[i], need)) {
            explore_fail("C6: %s: another answer", what);
        }
    }
    if (count < 64 && said >> count != 0) {
        explore_fail("C6: %s: answers for nobody", what);
    }
}

static void ask_vectors(const capability_simd_ops_t *by, const cap_id_t *ids, cap_rights_t need) {
    uint64_t said = 0, asked = 1 + explore_draw(ASKED);
    expect_mask(by->mask_4(table, ids, need), ids, 4, need, "four at once");
    expect_mask(by->mask_8(table, ids, need), ids, 8, need, "eight at once");
    uint64_t sum = by->check(table, ids, asked, need, (unsigned)explore_draw(2) * 4, &said);
    expect_mask(said, ids, asked, need, "vectors");
    EXPLORE_EXPECT(sum == (uint64_t)__builtin_popcountll(said), "C6: vectors count others");
    if ((need & COLUMN_VALID) == 0) {
        (void)by->column_check(column, 0, PLACES, need, &said);
        for (unsigned place = 0; place < PLACES; place++) {
            bool passes = placed[place] != NONE && model_says(nodes[placed[place]].id, need);
            EXPLORE_EXPECT((said >> place & 1) == passes, "C6: a column: another answer");
        }
    }
}

static void ask_all(void) {
    cap_id_t ids[ASKED];
    cap_rights_t need = explore_draw(4) == 0 ? 0 : (cap_rights_t)1 << explore_draw(BITS);
    need = explore_draw(8) == 0 ? CAPABILITY_RIGHT_DELEGATE : need;
    for (unsigned i = 0; i < ASKED; i++) {
        ids[i] = explore_draw(6) == 0 ? explore_draw(3) * explore_draw(UINT64_MAX) : nodes[explore_draw((uint64_t)count_of_nodes)].id;
    }
    cap_id_t id = ids[0];
    capability_t named = capability_find(table, id);
    bool wanted = model_says(id, need);
    EXPLORE_EXPECT(capability_check(table, id, need) == wanted, "C6: a check");
    EXPLORE_EXPECT(capability_check_inline(table, id, need) == wanted, "C6: an inline check");
    EXPLORE_EXPECT(capability_check_fast(&named, need) == wanted, "C6: a fast check");
    EXPLORE_EXPECT(capability_cache_check(cache, id, need) == wanted, "C6: a kept check");
    uint64_t said = 0, asked = 1 + explore_draw(ASKED);
    (void)capability_check_batch(table, ids, asked, need, &said);
    expect_mask(said, ids, asked, need, "a batch");
    (void)capability_cache_check_batch(cache, ids, asked, need, &said);
    expect_mask(said, ids, asked, need, "a kept batch");
    ask_vectors(explore_draw(2) == 0 ? capability_simd_portable : capability_simd_avx512, ids, need);
}

// --- one run ------------------------------------------------------------------------------------------------------------

static void run(unsigned thread) {
    (void)thread;
    do_create();
    for (unsigned i = 0; i < OPERATIONS; i++) {
        do_one();
        ask_all();
    }
}

static void set_up(void) {
    capability_config_t config = {.capacity = 1024, .first_generation = explore_draw(8) == 0 ? GENERATION_MAX - 2 : 0};
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5: no table");
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5: no seat");
    EXPLORE_EXPECT(capability_cache_create(table, 1 + explore_draw(4), &cache) == STATUS_OK, "C5: no cache");
    EXPLORE_EXPECT(capability_column_create(table, PLACES, &column) == STATUS_OK, "C5: no column");
    count_of_nodes = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        placed[i] = NONE;
    }
}

static void finish(void) {
    capability_column_destroy(self, column);
    capability_cache_destroy(cache);
    capability_settle(self);
    capability_audit_t audit = capability_audit(table);
    EXPLORE_EXPECT(audit.orphans == 0 && audit.excesses == 0, "C1, C2: when all is quiet");
    capability_thread_leave(self);
    capability_table_destroy(table);
}

static const explore_scenario_t scenarios[] = {{"answers_alone", 1, set_up, run, finish}};
EXPLORE_SCENARIOS("capability_cache", "C1,C2,C5,C6", scenarios)
