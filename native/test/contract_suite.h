// The contract of capability.h in one thread, for any implementation behind capability_ops_t. Each test makes its own table.
#pragma once

#include "contract_forms.h"

static void created_capability_answers_for_its_rights_alone(bed_t *bed) {
    cap_id_t id = root_of(bed, READ | WRITE);
    EXPECT(holds(bed, id, READ) && holds(bed, id, WRITE) && holds(bed, id, READ | WRITE) && holds(bed, id, 0));
    EXPECT(!holds(bed, id, EXECUTE) && !holds(bed, id, READ | EXECUTE) && !holds(bed, id, CAPABILITY_RIGHTS_ALL));
    cap_id_t none = root_of(bed, 0);
    EXPECT(holds(bed, none, 0) && !holds(bed, none, READ));
}

static void lookup_tells_object_rights_and_parent(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t child = child_of(bed, root, READ);
    capability_info_t info;
    EXPECT_EQ(bed->ops->lookup(bed->table, root, &info), STATUS_OK);
    EXPECT_EQ(info.object, 42);
    EXPECT_EQ(info.rights, READ | DELEGATE);
    EXPECT_EQ(info.parent, CAPABILITY_NONE);
    EXPECT_EQ(bed->ops->lookup(bed->table, child, &info), STATUS_OK);
    EXPECT_EQ(info.object, 42);
    EXPECT_EQ(info.rights, READ);
    EXPECT_EQ(info.parent, root);
}

static void absent_ids_fail_everywhere(bed_t *bed) {
    cap_id_t live = root_of(bed, CAPABILITY_RIGHTS_ALL);
    cap_id_t child = 7;
    capability_info_t info;
    memset(&info, 0x5a, sizeof info);
    capability_info_t before = info;
    for (unsigned bit = 0; bit <= 64; bit++) {
        cap_id_t id = bit == 64 ? CAPABILITY_NONE : live ^ (cap_id_t)1 << bit;
        EXPECT(!holds(bed, id, 0) && !holds(bed, id, READ));
        EXPECT_EQ(bed->ops->lookup(bed->table, id, &info), STATUS_STALE);
        EXPECT_EQ(bed->ops->grant(bed->self, id, READ), STATUS_STALE);
        EXPECT_EQ(bed->ops->attenuate(bed->self, id, READ), STATUS_STALE);
        EXPECT_EQ(bed->ops->delegate(bed->self, id, READ, &child), STATUS_STALE);
        EXPECT_EQ(bed->ops->revoke(bed->self, id), STATUS_STALE);
        EXPECT_EQ(bed->ops->delete_one(bed->self, id), STATUS_STALE);
    }
    EXPECT_EQ(memcmp(&info, &before, sizeof info), 0);
    EXPECT_EQ(child, 7);
    EXPECT(holds(bed, live, CAPABILITY_RIGHTS_ALL));
}

static void a_table_in_which_nothing_was_made_holds_no_id(bed_t *bed) {
    cap_id_t child = 7;
    for (cap_id_t id = 0; id < 300; id++) { // among them none, and the low indices of generation 0
        EXPECT(!holds(bed, id, 0));
        EXPECT_EQ(bed->ops->revoke(bed->self, id), STATUS_STALE);
        EXPECT_EQ(bed->ops->delete_one(bed->self, id), STATUS_STALE);
        EXPECT_EQ(bed->ops->grant(bed->self, id, READ), STATUS_STALE);
        EXPECT_EQ(bed->ops->attenuate(bed->self, id, READ), STATUS_STALE);
        EXPECT_EQ(bed->ops->delegate(bed->self, id, READ, &child), STATUS_STALE);
    }
    EXPECT_EQ(child, 7);
    cap_id_t root = root_of(bed, CAPABILITY_RIGHTS_ALL);
    EXPECT(holds(bed, child_of(bed, root, READ), READ)); // what was asked left no trace
}

static void grant_adds_to_a_root_and_never_to_a_child(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t child = child_of(bed, root, READ);
    EXPECT_EQ(bed->ops->grant(bed->self, root, WRITE), STATUS_OK);
    EXPECT(holds(bed, root, READ | WRITE | DELEGATE) && !holds(bed, child, WRITE));
    EXPECT_EQ(bed->ops->grant(bed->self, child, WRITE), STATUS_DENIED);
    EXPECT_EQ(bed->ops->grant(bed->self, child, READ), STATUS_DENIED);
    EXPECT(!holds(bed, child, WRITE));
}

static void delegate_never_gives_more_than_the_parent_holds(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | WRITE | DELEGATE);
    cap_id_t mute = child_of(bed, root, READ | WRITE);
    cap_id_t id = 7;
    EXPECT_EQ(bed->ops->delegate(bed->self, root, READ | EXECUTE, &id), STATUS_DENIED);
    EXPECT_EQ(bed->ops->delegate(bed->self, mute, READ, &id), STATUS_DENIED); // without DELEGATE
    EXPECT_EQ(id, 7);
    cap_id_t child = child_of(bed, root, READ | DELEGATE);
    EXPECT_EQ(bed->ops->delegate(bed->self, child, WRITE, &id), STATUS_DENIED); // the grandparent's is not enough
    cap_id_t grandchild = child_of(bed, child, 0);
    EXPECT(holds(bed, grandchild, 0) && !holds(bed, grandchild, READ));
}

static void attenuate_takes_rights_from_the_whole_subtree_for_good(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | WRITE | EXECUTE | DELEGATE);
    cap_id_t child = child_of(bed, root, READ | WRITE | DELEGATE);
    cap_id_t grandchild = child_of(bed, child, READ | WRITE);
    cap_id_t sibling = child_of(bed, root, READ | WRITE);
    EXPECT_EQ(bed->ops->attenuate(bed->self, child, WRITE), STATUS_OK);
    EXPECT(holds(bed, root, WRITE) && holds(bed, sibling, WRITE));
    EXPECT(!holds(bed, child, WRITE) && !holds(bed, grandchild, WRITE));
    EXPECT(holds(bed, child, READ | DELEGATE) && holds(bed, grandchild, READ));
    EXPECT_EQ(bed->ops->attenuate(bed->self, root, READ), STATUS_OK);
    EXPECT_EQ(bed->ops->grant(bed->self, root, READ), STATUS_OK);
    EXPECT(holds(bed, root, READ) && !holds(bed, sibling, READ) && !holds(bed, grandchild, READ));
}

static void attenuated_delegate_right_stops_delegation(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t child = child_of(bed, root, READ | DELEGATE);
    cap_id_t id = 7;
    EXPECT_EQ(bed->ops->attenuate(bed->self, root, DELEGATE), STATUS_OK);
    EXPECT_EQ(bed->ops->delegate(bed->self, root, READ, &id), STATUS_DENIED);
    EXPECT_EQ(bed->ops->delegate(bed->self, child, READ, &id), STATUS_DENIED);
    EXPECT(holds(bed, child, READ));
}

static void revoke_ends_the_subtree_and_nothing_else(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t first = child_of(bed, root, READ | DELEGATE);
    cap_id_t second = child_of(bed, root, READ | DELEGATE);
    cap_id_t below[20];
    for (int i = 0; i < 20; i++) { // two levels, and a chain
        below[i] = child_of(bed, i < 5 ? first : below[i - 5 + i % 2], READ | DELEGATE);
    }
    EXPECT_EQ(bed->ops->revoke(bed->self, first), STATUS_OK);
    EXPECT(!holds(bed, first, 0) && holds(bed, root, READ) && holds(bed, second, READ));
    cap_id_t id = 7;
    for (int i = 0; i < 20; i++) {
        EXPECT(!holds(bed, below[i], 0));
        EXPECT_EQ(bed->ops->delegate(bed->self, below[i], READ, &id), STATUS_STALE);
        EXPECT_EQ(bed->ops->revoke(bed->self, below[i]), STATUS_STALE);
    }
    EXPECT_EQ(bed->ops->revoke(bed->self, first), STATUS_STALE);
    EXPECT_EQ(bed->ops->revoke(bed->self, root), STATUS_OK);
    EXPECT(!holds(bed, second, 0) && !holds(bed, root, 0));
    EXPECT_EQ(bed_audit(bed).live, 0);
}

static void delete_ends_one_and_refuses_while_children_live(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t child = child_of(bed, root, READ | DELEGATE);
    cap_id_t grandchild = child_of(bed, child, READ);
    EXPECT_EQ(bed->ops->delete_one(bed->self, root), STATUS_BUSY);
    EXPECT_EQ(bed->ops->delete_one(bed->self, child), STATUS_BUSY);
    EXPECT(holds(bed, root, READ) && holds(bed, child, READ) && holds(bed, grandchild, READ));
    EXPECT_EQ(bed->ops->delete_one(bed->self, grandchild), STATUS_OK);
    EXPECT_EQ(bed->ops->delete_one(bed->self, grandchild), STATUS_STALE);
    EXPECT(!holds(bed, grandchild, 0) && holds(bed, child, READ));
    EXPECT_EQ(bed->ops->revoke(bed->self, child), STATUS_OK);
    EXPECT_EQ(bed->ops->delete_one(bed->self, root), STATUS_OK);
    EXPECT_EQ(bed_audit(bed).live, 0);
}

static void stale_ids_fail_while_their_slots_are_used_again(bed_t *bed) {
    enum { KEPT = 4096 };
    static cap_id_t old[KEPT];
    for (int round = 0; round < 10 * KEPT; round++) {
        cap_id_t *cell = &old[round % KEPT];
        EXPECT(!holds(bed, *cell, 0));
        *cell = root_of(bed, CAPABILITY_RIGHTS_ALL);
        EXPECT(holds(bed, *cell, CAPABILITY_RIGHTS_ALL));
        EXPECT_EQ(bed->ops->delete_one(bed->self, *cell), STATUS_OK);
    }
    cap_id_t live = root_of(bed, CAPABILITY_RIGHTS_ALL);
    for (int i = 0; i < KEPT; i++) {
        EXPECT(old[i] != live && !holds(bed, old[i], 0));
    }
    memset(old, 0, sizeof old);
}

static void a_long_lived_parent_does_not_keep_what_its_children_used(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t elder = child_of(bed, root, READ);
    for (int i = 0; i < 20000; i++) {
        cap_id_t child = child_of(bed, root, READ | DELEGATE);
        cap_id_t grandchild = child_of(bed, child, READ);
        EXPECT_EQ(i % 2 == 0 ? bed->ops->revoke(bed->self, child) : bed->ops->delete_one(bed->self, grandchild), STATUS_OK);
        if (i % 2 != 0) {
            EXPECT_EQ(bed->ops->delete_one(bed->self, child), STATUS_OK);
        }
    }
    EXPECT(holds(bed, elder, READ));
    capability_audit_t audit = bed_audit(bed);
    EXPECT_EQ(audit.live, 2);
    EXPECT(audit.slots < 2000);
    EXPECT_EQ(bed->ops->delete_one(bed->self, elder), STATUS_OK);
    EXPECT_EQ(bed->ops->delete_one(bed->self, root), STATUS_OK);
    EXPECT_EQ(bed_audit(bed).linked, 0);
}

static void a_deep_chain_and_a_wide_fan_are_revoked_whole(bed_t *bed) {
    enum { COUNT = 50000 };
    static cap_id_t ids[2 * COUNT];
    cap_id_t root = root_of(bed, READ | DELEGATE);
    for (int i = 0; i < COUNT; i++) {
        ids[2 * i] = child_of(bed, i == 0 ? root : ids[2 * i - 2], READ | DELEGATE);
        ids[2 * i + 1] = child_of(bed, root, READ);
    }
    EXPECT_EQ(bed_audit(bed).live, 2 * COUNT + 1);
    EXPECT_EQ(bed->ops->attenuate(bed->self, root, WRITE), STATUS_OK);
    EXPECT_EQ(bed->ops->revoke(bed->self, root), STATUS_OK);
    for (int i = 0; i < 2 * COUNT; i++) {
        EXPECT(!holds(bed, ids[i], 0));
    }
    capability_audit_t audit = bed_audit(bed);
    EXPECT_EQ(audit.live, 0);
    EXPECT_EQ(audit.linked, 0);
}

static void seats_come_and_go(bed_t *bed) {
    cap_id_t id = CAPABILITY_NONE;
    for (int i = 0; i < 3000; i++) {
        void *other = NULL;
        EXPECT_EQ(bed->ops->thread_join(bed->table, &other), STATUS_OK);
        EXPECT_EQ(bed->ops->create(other, 1, READ, &id), STATUS_OK);
        EXPECT_EQ(bed->ops->delete_one(bed->self, id), STATUS_OK);
        bed->ops->thread_leave(other);
    }
    capability_audit_t audit = bed_audit(bed);
    EXPECT_EQ(audit.live, 0);
    EXPECT(audit.slots < 1024);
}

static void capacity_out_of_range_is_refused(bed_t *bed) {
    capability_config_t config = {.capacity = CAPABILITY_MAX_CAPACITY + 1};
    void *table = NULL;
    EXPECT_EQ(bed->ops->table_create(&config, &table), STATUS_INVALID);
}

typedef struct contract_test {
    const char *name;
    void (*run)(bed_t *bed);
} contract_test_t;

#define CONTRACT_TEST(name) {#name, name}

static int run_contract(const capability_ops_t *ops) {
    static const contract_test_t tests[] = {
        CONTRACT_TEST(created_capability_answers_for_its_rights_alone),
        CONTRACT_TEST(lookup_tells_object_rights_and_parent),
        CONTRACT_TEST(absent_ids_fail_everywhere),
        CONTRACT_TEST(a_table_in_which_nothing_was_made_holds_no_id),
        CONTRACT_TEST(grant_adds_to_a_root_and_never_to_a_child),
        CONTRACT_TEST(delegate_never_gives_more_than_the_parent_holds),
        CONTRACT_TEST(attenuate_takes_rights_from_the_whole_subtree_for_good),
        CONTRACT_TEST(attenuated_delegate_right_stops_delegation),
        CONTRACT_TEST(revoke_ends_the_subtree_and_nothing_else),
        CONTRACT_TEST(delete_ends_one_and_refuses_while_children_live),
        CONTRACT_TEST(stale_ids_fail_while_their_slots_are_used_again),
        CONTRACT_TEST(a_long_lived_parent_does_not_keep_what_its_children_used),
        CONTRACT_TEST(a_deep_chain_and_a_wide_fan_are_revoked_whole),
        CONTRACT_TEST(batch_answers_as_single_checks_do),
        CONTRACT_TEST(batches_change_what_single_calls_change),
        CONTRACT_TEST(transfer_hands_on_the_rights_and_ends_the_old_subtree),
        CONTRACT_TEST(transfer_gives_nothing_that_the_new_parent_could_not_delegate),
        CONTRACT_TEST(transfer_to_itself_or_below_is_refused),
        CONTRACT_TEST(a_root_is_handed_on_as_a_root_or_below_another),
        CONTRACT_TEST(transfer_from_or_to_what_is_gone_changes_nothing),
        CONTRACT_TEST(handing_on_again_and_again_keeps_no_slots),
        CONTRACT_TEST(seats_come_and_go),
        CONTRACT_TEST(capacity_out_of_range_is_refused),
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        bed_t bed = bed_make(ops, NULL);
        tests[i].run(&bed);
        bed_end(&bed);
        printf("ok %s: %s\n", ops->name, tests[i].name);
    }
    return 0;
}
