// What lies behind a child that was taken out of its parent's list: one thread deletes that child, and the sweep makes its elder sister point past it; others
// revoke what is above. Who has revoked finds neither, whichever of them took the list.
#define SWEEP_FROM 1u // the first that ends is swept
#include "capability_sources.h"

#include "explore.h"

#define ALL (CAPABILITY_RIGHT_READ | CAPABILITY_RIGHT_DELEGATE)

static capability_table_t *table;
static cap_id_t root, swept, kept;

static capability_thread_t *join(void) {
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    return self;
}

static void set_up(void) {
    capability_config_t config = {.capacity = 1024};
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5");
    capability_thread_t *self = join();
    bool made = capability_create(self, 1, ALL, &root) == STATUS_OK && capability_delegate(self, root, ALL, &swept) == STATUS_OK &&
                capability_delegate(self, root, ALL, &kept) == STATUS_OK; // in front of the other
    EXPLORE_EXPECT(made, "C5");
    capability_thread_leave(self);
}

static void run(unsigned thread) {
    capability_thread_t *self = join();
    if (thread == 0) {
        (void)capability_delete(self, swept);
        EXPLORE_EXPECT(!capability_check(table, swept, 0), "C1");
    } else {
        (void)capability_revoke(self, root);
        EXPLORE_EXPECT(!capability_check(table, swept, 0), "C1");
        EXPLORE_EXPECT(!capability_check(table, kept, 0), "C1");
    }
    capability_thread_leave(self);
}

static void finish(void) { capability_table_destroy(table); }

static const explore_scenario_t scenarios[] = {
    {"link_two", 2, set_up, run, finish},
    {"link_three", 3, set_up, run, finish},
};
EXPLORE_SCENARIOS("capability", "C1,C5", scenarios)
