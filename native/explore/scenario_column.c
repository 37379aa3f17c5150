// A column under the explorer, small: its owner puts one or two capabilities into the one place, while two others change and end them. The place lets
// nobody pass who is known to be gone, and when all is quiet nobody whom a check would not (C1, C2).
#include "explore.h"

#define SEATS_MOST 4u
#include "capability_sources.h"

#include <string.h>

enum { NODES = 2, NONE = -1, RIGHTS = 3, THREADS = 3 };

static capability_table_t *table;
static capability_thread_t *seats[THREADS];
static capability_column_t *column;
static cap_id_t ids[NODES]; // roots
static unsigned nodes;
static explore_moment_t gone[NODES][RIGHTS]; // for good; right 0 comes back by a grant
static atomic_u64_t *mail;                   // what threads tell one another goes through here
static int placed;

static void set_up(void) {
    capability_config_t config = {.capacity = 64};
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5: no table");
    for (unsigned i = 0; i < THREADS; i++) {
        EXPLORE_EXPECT(capability_thread_join(table, &seats[i]) == STATUS_OK, "C5: no seat");
    }
    nodes = 1 + (unsigned)explore_draw(NODES);
    for (unsigned i = 0; i < nodes; i++) {
        memset(gone[i], 0, sizeof gone[i]);
        EXPLORE_EXPECT(capability_create(seats[0], 7, (1 << RIGHTS) - 1, &ids[i]) == STATUS_OK, "C5: no capability");
    }
    EXPLORE_EXPECT(capability_column_create(table, 1, &column) == STATUS_OK, "C5: no column");
    mail = shared_alloc(sizeof *mail);
    placed = NONE;
}

static void place(void) {
    placed = explore_draw(4) == 0 ? NONE : (int)explore_draw(nodes);
    (void)capability_column_set(seats[0], column, 0, placed == NONE ? CAPABILITY_NONE : ids[placed]);
}

static void note_gone(unsigned node, unsigned right) {
    for (unsigned i = 0; i < RIGHTS; i++) {
        if (right == RIGHTS || (i == right && i != 0)) {
            gone[node][i] = explore_now();
        }
    }
}

static void change(capability_thread_t *self) {
    unsigned node = (unsigned)explore_draw(nodes), right = (unsigned)explore_draw(RIGHTS);
    switch (explore_draw(5)) {
    case 0:
        (void)capability_revoke(self, ids[node]);
        note_gone(node, RIGHTS);
        break;
    case 1:
        (void)capability_delete(self, ids[node]);
        note_gone(node, RIGHTS);
        break;
    case 2: (void)capability_grant(self, ids[node], 1); break;
    default:
        (void)capability_attenuate(self, ids[node], (cap_rights_t)1 << right);
        note_gone(node, right);
    }
    (void)atomic_fetch_add_acq_rel_u64(mail, 1);
}

static void ask(void) {
    unsigned right = (unsigned)explore_draw(RIGHTS), may_pass = 0;
    (void)atomic_load_acquire_u64(mail);
    for (unsigned node = 0; node < nodes; node++) {
        may_pass += !explore_happened(gone[node][right]);
    }
    bool passes = column_ask(column, 0, 1, (cap_rights_t)1 << right) != 0;
    EXPLORE_EXPECT(!passes || may_pass != 0, "C1, C2: a column lets it pass");
}

static void run(unsigned thread) {
    for (uint64_t left = 1 + explore_draw(3); left > 0; left--) {
        if (thread == 0) {
            place();
        } else {
            change(seats[thread]);
        }
        if (explore_draw(2) == 0) {
            ask();
        }
    }
}

static void finish(void) {
    for (unsigned right = 0; right < RIGHTS; right++) {
        cap_rights_t need = (cap_rights_t)1 << right;
        bool passes = column_ask(column, 0, 1, need) != 0;
        EXPLORE_EXPECT(!passes || (placed != NONE && capability_check(table, ids[placed], need)), "C1, C2: a column lets it pass");
    }
    capability_column_destroy(seats[0], column);
    for (unsigned i = THREADS; i-- > 1;) {
        capability_thread_leave(seats[i]);
    }
    capability_settle(seats[0]);
    capability_audit_t audit = capability_audit(table);
    EXPLORE_EXPECT(audit.orphans == 0 && audit.excesses == 0 && audit.retired == 0, "C1, C2, C5: when all is quiet");
    capability_thread_leave(seats[0]);
    capability_table_destroy(table);
    shared_free(mail);
}

static const explore_scenario_t scenarios[] = {{"column_alone", THREADS, set_up, run, finish}};
EXPLORE_SCENARIOS("capability_cache", "C1,C2,C5", scenarios)
