// The forms of capability_optimized.h: the whole contract, asked in each of them.
#include "contract_suite.h"

#include "capability_optimized.h"

static const capability_ops_t *const ops = &capability_lockfree_ops;

static bool check_by_inlining(const void *table, cap_id_t id, cap_rights_t need) {
    capability_prefetch(table, id);
    return capability_check_inline(table, id, need);
}

static bool check_what_was_found(const void *table, cap_id_t id, cap_rights_t need) {
    capability_t found = capability_find(table, id);
    return capability_check_fast(&found, need);
}

static bool check_the_slow_way(const void *table, cap_id_t id, cap_rights_t need) {
    capability_t found = capability_find(table, id);
    return capability_check_delegated(&found, need);
}

// C6
static bool check_in_every_form(const void *table, cap_id_t id, cap_rights_t need) {
    bool held = check_by_inlining(table, id, need);
    EXPECT_EQ(check_what_was_found(table, id, need), held);
    EXPECT_EQ(check_the_slow_way(table, id, need), held);
    return held;
}

static void every_form_of_check_meets_the_contract(void) {
    capability_ops_t formed = *ops;
    formed.name = "in every form";
    formed.check = check_in_every_form;
    run_contract(&formed);
}

static void what_was_found_once_is_good_for_ever(void) {
    bed_t bed = bed_make(ops, NULL);
    cap_id_t id = root_of(&bed, READ);
    capability_t found = capability_find(bed.table, id);
    EXPECT(capability_check_fast(&found, READ) && !capability_check_fast(&found, WRITE));
    EXPECT_EQ(ops->grant(bed.self, id, WRITE), STATUS_OK);
    EXPECT(capability_check_fast(&found, READ | WRITE));
    EXPECT_EQ(ops->delete_one(bed.self, id), STATUS_OK);
    for (int i = 0; i < 1000; i++) { // its slot is another's now and then
        EXPECT(!capability_check_fast(&found, 0));
        EXPECT_EQ(ops->delete_one(bed.self, root_of(&bed, CAPABILITY_RIGHTS_ALL)), STATUS_OK);
    }
    bed_end(&bed);
}

int main(void) {
    every_form_of_check_meets_the_contract();
    what_was_found_once_is_good_for_ever();
    puts("ok lockfree: inline, found once, the slow way");
    return 0;
}
