// The contract of the batch forms and of transfer, for any implementation behind capability_ops_t: part of contract_suite.h.
#pragma once

#include "contract_bed.h"

// C6: `count` ids in one batch and one at a time.
static void compare_batch(bed_t *bed, const cap_id_t *ids, uint64_t count, cap_rights_t need) {
    enum { WORDS = 8 };
    uint64_t allowed[WORDS + 1];
    EXPECT(count <= (uint64_t)WORDS * 64);
    memset(allowed, 0xa5, sizeof allowed);
    uint64_t expected = 0;
    uint64_t sum = bed->ops->check_batch(bed->table, ids, count, need, allowed);
    for (uint64_t i = 0; i < count; i++) {
        bool held = holds(bed, ids[i], need);
        EXPECT_EQ(allowed[i / 64] >> i % 64 & 1, held);
        expected += held;
    }
    EXPECT_EQ(sum, expected);
    if (count % 64 != 0) {
        EXPECT_EQ(allowed[count / 64] >> count % 64, 0);
    }
    EXPECT_EQ(allowed[(count + 63) / 64], 0xa5a5a5a5a5a5a5a5u); // and nothing behind
}

static void batch_answers_as_single_checks_do(bed_t *bed) {
    enum { IDS = 300 };
    cap_id_t ids[IDS];
    cap_id_t root = root_of(bed, READ | WRITE | EXECUTE | DELEGATE);
    for (int i = 0; i < IDS; i++) {
        switch (i % 8) {
        case 0: ids[i] = child_of(bed, root, READ); break;
        case 1: ids[i] = child_of(bed, root, READ | WRITE); break;
        case 2: ids[i] = root_of(bed, 0); break;
        case 3: ids[i] = CAPABILITY_NONE; break;
        case 4: ids[i] = ids[i - 4] ^ (cap_id_t)1 << (i % 64); break; // absent, or of a slot never used
        case 5: ids[i] = ids[i - 5]; break;                           // twice
        case 6: ids[i] = child_of(bed, root, CAPABILITY_RIGHT_READ | DELEGATE); break;
        default: ids[i] = root_of(bed, CAPABILITY_RIGHTS_ALL); break;
        }
        if (i % 8 >= 6 && i % 3 == 0) {
            EXPECT_EQ(bed->ops->revoke(bed->self, ids[i]), STATUS_OK);
        }
    }
    static const cap_rights_t needs[] = {0, READ, READ | WRITE, EXECUTE, CAPABILITY_RIGHTS_ALL, DELEGATE};
    static const uint64_t counts[] = {0, 1, 3, 4, 7, 8, 9, 63, 64, 65, 128, IDS};
    for (int round = 0; round < 2; round++) {
        for (size_t n = 0; n < sizeof needs / sizeof *needs; n++) {
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                compare_batch(bed, ids, counts[c], needs[n]);
            }
        }
        EXPECT_EQ(bed->ops->revoke(bed->self, root), round == 0 ? STATUS_OK : STATUS_STALE);
    }
}

static void batches_change_what_single_calls_change(bed_t *bed) {
    enum { IDS = 200 };
    cap_id_t ids[IDS];
    status_t answers[IDS];
    cap_id_t gone = root_of(bed, READ);
    cap_id_t child = child_of(bed, root_of(bed, READ | WRITE | DELEGATE), READ | WRITE);
    EXPECT_EQ(bed->ops->delete_one(bed->self, gone), STATUS_OK);
    for (int i = 0; i < IDS; i++) {
        ids[i] = i % 10 == 0 ? gone : i % 10 == 1 ? child : i % 10 == 2 ? CAPABILITY_NONE : root_of(bed, READ);
    }
    EXPECT_EQ(bed->ops->grant_batch(bed->self, ids, IDS, WRITE, answers), IDS / 10 * 7);
    for (int i = 0; i < IDS; i++) {
        EXPECT_EQ(answers[i], i % 10 == 0 || i % 10 == 2 ? STATUS_STALE : i % 10 == 1 ? STATUS_DENIED : STATUS_OK);
        EXPECT_EQ(holds(bed, ids[i], WRITE), i % 10 != 0 && i % 10 != 2);
    }
    EXPECT_EQ(bed->ops->attenuate_batch(bed->self, ids, IDS, WRITE, answers), IDS / 10 * 8);
    for (int i = 0; i < IDS; i++) {
        EXPECT_EQ(answers[i], i % 10 == 0 || i % 10 == 2 ? STATUS_STALE : STATUS_OK);
        EXPECT(!holds(bed, ids[i], WRITE));
    }
    EXPECT_EQ(bed->ops->grant_batch(bed->self, ids, 0, EXECUTE, NULL), 0);
    EXPECT_EQ(bed->ops->grant_batch(bed->self, ids, 4, EXECUTE, NULL), 1);
    EXPECT(holds(bed, ids[3], READ | EXECUTE) && !holds(bed, ids[4], EXECUTE));
}

// --- transfer -----------------------------------------------------------------------------------------------------

static void transfer_hands_on_the_rights_and_ends_the_old_subtree(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | WRITE | DELEGATE);
    cap_id_t giver = child_of(bed, root, READ | WRITE | DELEGATE);
    cap_id_t taker = child_of(bed, root, READ | WRITE | DELEGATE);
    cap_id_t handed = child_of(bed, giver, READ | WRITE | DELEGATE);
    cap_id_t below = child_of(bed, handed, READ);
    EXPECT_EQ(bed->ops->attenuate(bed->self, handed, WRITE), STATUS_OK);
    cap_id_t moved = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->transfer(bed->self, handed, taker, &moved), STATUS_OK);
    EXPECT(moved != handed && !holds(bed, handed, 0) && !holds(bed, below, 0));
    EXPECT(holds(bed, moved, READ | DELEGATE) && !holds(bed, moved, WRITE));
    capability_info_t info;
    EXPECT_EQ(bed->ops->lookup(bed->table, moved, &info), STATUS_OK);
    EXPECT_EQ(info.object, 42);
    EXPECT_EQ(info.rights, READ | DELEGATE);
    EXPECT_EQ(info.parent, taker);
    EXPECT_EQ(bed->ops->transfer(bed->self, handed, taker, &moved), STATUS_STALE);
    EXPECT_EQ(bed->ops->revoke(bed->self, giver), STATUS_OK); // it has nothing to do with it any more
    EXPECT(holds(bed, moved, READ));
    EXPECT_EQ(bed->ops->attenuate(bed->self, taker, READ), STATUS_OK); // its parent has
    EXPECT(!holds(bed, moved, READ) && holds(bed, moved, DELEGATE));
    EXPECT_EQ(bed->ops->revoke(bed->self, taker), STATUS_OK);
    EXPECT(!holds(bed, moved, 0) && holds(bed, root, READ));
}

static void transfer_gives_nothing_that_the_new_parent_could_not_delegate(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | WRITE | DELEGATE);
    cap_id_t other = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->create(bed->self, 43, CAPABILITY_RIGHTS_ALL, &other), STATUS_OK);
    cap_id_t rich = child_of(bed, root, READ | WRITE);
    cap_id_t poor = child_of(bed, root, READ | DELEGATE);
    cap_id_t mute = child_of(bed, root, READ | WRITE);
    cap_id_t moved = 7;
    EXPECT_EQ(bed->ops->transfer(bed->self, rich, poor, &moved), STATUS_DENIED);
    EXPECT_EQ(bed->ops->transfer(bed->self, rich, mute, &moved), STATUS_DENIED);  // without DELEGATE
    EXPECT_EQ(bed->ops->transfer(bed->self, rich, other, &moved), STATUS_DENIED); // for another object
    EXPECT_EQ(bed->ops->transfer(bed->self, rich, CAPABILITY_NONE, &moved), STATUS_DENIED);
    EXPECT_EQ(moved, 7);
    EXPECT(holds(bed, rich, READ | WRITE));
    EXPECT_EQ(bed_audit(bed).live, 5);
    EXPECT_EQ(bed->ops->transfer(bed->self, rich, root, &moved), STATUS_OK); // where it was
    EXPECT(holds(bed, moved, READ | WRITE) && !holds(bed, rich, 0));
}

static void transfer_to_itself_or_below_is_refused(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t child = child_of(bed, root, READ | DELEGATE);
    cap_id_t deep = child_of(bed, child_of(bed, child, READ | DELEGATE), READ | DELEGATE);
    cap_id_t moved = 7;
    EXPECT_EQ(bed->ops->transfer(bed->self, child, child, &moved), STATUS_INVALID);
    EXPECT_EQ(bed->ops->transfer(bed->self, child, deep, &moved), STATUS_INVALID);
    EXPECT_EQ(bed->ops->transfer(bed->self, root, deep, &moved), STATUS_INVALID);
    EXPECT_EQ(moved, 7);
    EXPECT_EQ(bed->ops->transfer(bed->self, deep, root, &moved), STATUS_OK);
    EXPECT(holds(bed, moved, READ) && holds(bed, child, READ));
}

static void a_root_is_handed_on_as_a_root_or_below_another(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t child = child_of(bed, root, READ);
    cap_id_t moved = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->transfer(bed->self, root, CAPABILITY_NONE, &moved), STATUS_OK);
    EXPECT(!holds(bed, root, 0) && !holds(bed, child, 0) && holds(bed, moved, READ | DELEGATE));
    EXPECT_EQ(bed->ops->grant(bed->self, moved, WRITE), STATUS_OK); // it is a root
    cap_id_t owner = root_of(bed, READ | WRITE | DELEGATE);
    cap_id_t again = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->transfer(bed->self, moved, owner, &again), STATUS_OK);
    EXPECT_EQ(bed->ops->grant(bed->self, again, EXECUTE), STATUS_DENIED); // it is none
    EXPECT(holds(bed, again, READ | WRITE | DELEGATE) && !holds(bed, moved, 0));
    EXPECT_EQ(bed->ops->revoke(bed->self, owner), STATUS_OK);
    EXPECT_EQ(bed_audit(bed).live, 0);
}

static void transfer_from_or_to_what_is_gone_changes_nothing(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t gone = child_of(bed, root, READ | DELEGATE);
    EXPECT_EQ(bed->ops->revoke(bed->self, gone), STATUS_OK);
    cap_id_t live = child_of(bed, root, READ);
    cap_id_t moved = 7;
    for (unsigned bit = 0; bit <= 64; bit++) {
        cap_id_t absent = bit == 64 ? gone : live ^ (cap_id_t)1 << bit;
        if (absent != root && absent != live) {
            EXPECT_EQ(bed->ops->transfer(bed->self, absent, root, &moved), STATUS_STALE);
            EXPECT_EQ(bed->ops->transfer(bed->self, live, absent, &moved), STATUS_STALE);
        }
    }
    EXPECT_EQ(bed->ops->transfer(bed->self, CAPABILITY_NONE, root, &moved), STATUS_STALE);
    EXPECT_EQ(bed->ops->transfer(bed->self, CAPABILITY_NONE, CAPABILITY_NONE, &moved), STATUS_STALE);
    EXPECT_EQ(moved, 7);
    EXPECT(holds(bed, live, READ));
    EXPECT_EQ(bed_audit(bed).live, 2);
}

static void handing_on_again_and_again_keeps_no_slots(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t homes[2] = {child_of(bed, root, READ | DELEGATE), child_of(bed, root, READ | DELEGATE)};
    cap_id_t at = child_of(bed, homes[0], READ | DELEGATE);
    for (int i = 0; i < 20000; i++) {
        cap_id_t moved = CAPABILITY_NONE;
        (void)child_of(bed, at, READ);
        EXPECT_EQ(bed->ops->transfer(bed->self, at, homes[(i + 1) % 2], &moved), STATUS_OK);
        EXPECT(!holds(bed, at, 0) && holds(bed, moved, READ | DELEGATE));
        at = moved;
    }
    capability_audit_t audit = bed_audit(bed);
    EXPECT_EQ(audit.live, 4);
    EXPECT(audit.slots < 2000);
}
