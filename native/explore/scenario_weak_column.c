// A column that is made while a capability changes or ends, under the explorer, in the fewest steps: its owner puts one into its one place, another changes it once,
// or ends it or what is above it. When all is quiet, or who asks knows that it has ended, the place says what the table says (C1, C2, C6).
#include "explore.h"

#define SEATS_MOST 4u
#define SWEEP_FROM 1u
#include "capability_sources.h"
#include "../kernel/capability_transfer.c"

enum { RIGHTS = 3 };
#define TAKEN ((cap_rights_t)1)
#define GIVEN ((cap_rights_t)2)

static capability_table_t *table;
static capability_thread_t *maker;
static cap_id_t root, middle, child, sister; // the last two are the middle one's children
static bool at_child; // else at the root
static capability_column_t *column;
static status_t placed;

static capability_thread_t *join(void) {
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5: no seat");
    return self;
}

static void set_up(void) {
    capability_config_t config = {.capacity = 64};
    cap_rights_t all = TAKEN | CAPABILITY_RIGHT_DELEGATE;
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5: no table");
    maker = join();
    bool made = capability_create(maker, 7, all, &root) == STATUS_OK && capability_delegate(maker, root, all, &middle) == STATUS_OK &&
                capability_delegate(maker, middle, all, &child) == STATUS_OK && capability_delegate(maker, middle, all, &sister) == STATUS_OK;
    EXPLORE_EXPECT(made, "C5: no capability");
    atomic_store_relaxed_u32(&table->slots[index_of(root)].sweep_at, UINT32_MAX); // as in scenario_weak_table
    at_child = explore_draw(2) == 0;
    column = NULL;
    placed = STATUS_OK;
}

static cap_id_t subject(void) { return at_child ? child : root; }
static bool passes(cap_rights_t need) { return column_ask(column, 0, 1, need) != 0; }

static void place(capability_thread_t *self) {
    EXPLORE_EXPECT(capability_column_create(table, 1, &column) == STATUS_OK, "C5: no column");
    placed = capability_column_set(self, column, 0, subject());
}

static void change(capability_thread_t *self) {
    cap_id_t moved = CAPABILITY_NONE;
    switch (explore_draw(7)) {
    case 0: (void)capability_grant(self, root, GIVEN); break;
    case 1: (void)capability_attenuate(self, explore_draw(2) == 0 ? root : subject(), TAKEN); break;
    case 2: (void)capability_delete(self, child); break;
    case 3: (void)capability_transfer(self, child, sister, &moved); break;
    case 4: (void)capability_revoke(self, child); break;
    default: (void)capability_revoke(self, explore_draw(2) == 0 ? root : middle);
    }
}

static void run_made(unsigned thread) {
    capability_thread_t *self = join();
    if (thread == 0) {
        place(self);
    } else {
        change(self);
    }
    capability_thread_leave(self);
}

static void finish(void) {
    for (unsigned right = 0; right < RIGHTS; right++) {
        cap_rights_t need = (cap_rights_t)1 << right;
        bool holds = capability_check(table, subject(), need);
        EXPLORE_EXPECT(placed == STATUS_STALE || passes(need) == holds, "C1, C2, C6: a column says otherwise than the table");
    }
    capability_column_destroy(maker, column);
    capability_thread_leave(maker);
    capability_table_destroy(table);
}

// It is in its place before: two end it, or what is above, or sweep it out of a list; whoever has ended it asks.
static void set_up_ended(void) {
    set_up();
    place(maker);
}

static void run_ended(unsigned thread) {
    capability_thread_t *self = join();
    if (thread == 1 && explore_draw(2) == 0) {
        (void)capability_delete(self, sister);
    }
    bool all = explore_draw(2) == 0, above = thread == 0 && at_child && explore_draw(2) == 0;
    status_t status = all || above ? capability_revoke(self, above ? middle : subject()) : capability_delete(self, subject());
    EXPLORE_EXPECT(status == STATUS_BUSY || !passes(0), "C1: it has ended, and a column lets it pass");
    capability_thread_leave(self);
}

// A slot's next capability is put there, while another asks: what the last one had is not the next one's.
static void set_up_next(void) {
    set_up();
    EXPLORE_EXPECT(capability_column_create(table, 1, &column) == STATUS_OK, "C5: no column");
    EXPLORE_EXPECT(capability_revoke(maker, child) == STATUS_OK, "C5: not ended");
    capability_settle(maker);
}

static void run_next(unsigned thread) {
    if (thread == 0) {
        for (unsigned left = 3; left > 0; left--) {
            EXPLORE_EXPECT(!passes(TAKEN), "C3: another's right");
        }
        return;
    }
    cap_id_t id = CAPABILITY_NONE;
    for (unsigned left = 2; left > 0; left--) {
        EXPLORE_EXPECT(capability_create(maker, 7, GIVEN, &id) == STATUS_OK, "C5: no capability");
        (void)capability_column_set(maker, column, 0, id);
    }
}

static void finish_next(void) {
    capability_column_destroy(maker, column);
    capability_thread_leave(maker);
    capability_table_destroy(table);
}

static const explore_scenario_t scenarios[] = {
    {"weak_column", 2, set_up, run_made, finish},
    {"weak_column_ended", 3, set_up_ended, run_ended, finish},
    {"weak_column_next", 2, set_up_next, run_next, finish_next},
};
EXPLORE_SCENARIOS("capability_cache", "C1,C2,C3,C5,C6", scenarios)
