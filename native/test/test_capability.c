// The lock-free table: the contract, and what only it promises (generations, growth, the bound on threads).
#include "contract_suite.h"

#include <pthread.h>

static const capability_ops_t *const ops = &capability_lockfree_ops;

static void a_slot_whose_generations_are_used_up_is_never_used_again(void) {
    uint64_t last = ((uint64_t)1 << 37) - 1;
    capability_config_t config = {.capacity = 1024, .first_generation = last - 1};
    bed_t bed = bed_make(ops, &config);
    static cap_id_t seen[2048];
    unsigned made = 0;
    cap_id_t id = CAPABILITY_NONE;
    status_t status = STATUS_OK;
    while (status == STATUS_OK) {
        for (unsigned i = 0; i < made; i++) {
            EXPECT(!holds(&bed, seen[i], 0));
        }
        status = ops->create(bed.self, 1, READ, &id);
        if (status == STATUS_OK) {
            EXPECT(made < 2048);
            seen[made++] = id;
            EXPECT_EQ(ops->delete_one(bed.self, id), STATUS_OK);
        }
    }
    EXPECT_EQ(status, STATUS_FULL);
    EXPECT_EQ(made, 2 * 1023); // two generations of every slot but 0
    EXPECT_EQ(bed_audit(&bed).worn, 1023);
    bed_end(&bed);
}

static void a_full_table_says_so_and_goes_on_when_slots_are_free_again(void) {
    capability_config_t config = {.capacity = 2000}; // rounded up to 2048
    bed_t bed = bed_make(ops, &config);
    static cap_id_t ids[2048];
    unsigned made = 0;
    while (made < 2048 && ops->create(bed.self, made, READ | DELEGATE, &ids[made]) == STATUS_OK) {
        made++;
    }
    EXPECT_EQ(made, 2047);
    cap_id_t child = 7;
    EXPECT_EQ(ops->delegate(bed.self, ids[0], READ, &child), STATUS_FULL);
    EXPECT_EQ(child, 7);
    for (unsigned i = 0; i < made; i += 2) {
        EXPECT_EQ(ops->revoke(bed.self, ids[i]), STATUS_OK);
    }
    for (unsigned i = 0; i < made; i += 2) {
        EXPECT_EQ(ops->create(bed.self, i, READ, &ids[i]), STATUS_OK);
    }
    for (unsigned i = 0; i < made; i++) {
        EXPECT(holds(&bed, ids[i], READ));
    }
    bed_end(&bed);
}

static void a_million_live_at_once(void) {
    enum { COUNT = (1 << 20) };
    capability_config_t config = {.capacity = COUNT + 1};
    bed_t bed = bed_make(ops, &config);
    cap_id_t *ids = malloc(COUNT * sizeof *ids);
    EXPECT(ids != NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(ops->create(bed.self, i, i, &ids[i]), STATUS_OK);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT(holds(&bed, ids[i], i) && !holds(&bed, ids[i], (cap_rights_t)1 << 40));
    }
    EXPECT_EQ(bed_audit(&bed).live, COUNT);
    free(ids);
    bed_end(&bed);
}

static void any_bits_may_be_asked_for_in_the_largest_table(void) {
    capability_config_t config = {.capacity = CAPABILITY_MAX_CAPACITY};
    bed_t bed = bed_make(ops, &config);
    cap_id_t live = root_of(&bed, CAPABILITY_RIGHTS_ALL);
    capability_info_t info;
    uint64_t state = 1;
    for (int i = 0; i < 1000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t id = state ^ state >> 29;
        EXPECT(id == live || !holds(&bed, id, 0));
        EXPECT(id == live || ops->lookup(bed.table, id, &info) == STATUS_STALE);
    }
    for (uint64_t id = 0; id < 200; id++) { // low indices of generation 0: slots never used
        EXPECT(!holds(&bed, id, 0));
    }
    bed_end(&bed);
}

static void seats_are_bounded_and_used_again(void) {
    bed_t bed = bed_make(ops, NULL);
    static void *seats[CAPABILITY_MAX_THREADS];
    unsigned taken = 1; // the bed's own
    void *seat = NULL;
    while (ops->thread_join(bed.table, &seat) == STATUS_OK) {
        EXPECT(taken < CAPABILITY_MAX_THREADS);
        seats[taken++] = seat;
    }
    EXPECT_EQ(taken, CAPABILITY_MAX_THREADS);
    for (unsigned i = 1; i < taken; i++) {
        ops->thread_leave(seats[i]);
    }
    EXPECT_EQ(ops->thread_join(bed.table, &seat), STATUS_OK);
    ops->thread_leave(seat);
    bed_end(&bed);
}

static void *create_and_leave(void *table) {
    void *self = NULL;
    EXPECT_EQ(ops->thread_join(table, &self), STATUS_OK);
    cap_id_t *kept = malloc(100 * sizeof *kept);
    EXPECT(kept != NULL);
    for (int i = 0; i < 300; i++) {
        cap_id_t id = CAPABILITY_NONE;
        EXPECT_EQ(ops->create(self, 1, READ, &id), STATUS_OK);
        if (i % 3 == 0) {
            kept[i / 3] = id;
        } else {
            EXPECT_EQ(ops->delete_one(self, id), STATUS_OK);
        }
    }
    ops->thread_leave(self);
    return kept;
}

static void what_a_thread_leaves_behind_is_not_lost(void) {
    bed_t bed = bed_make(ops, NULL);
    for (int round = 0; round < 50; round++) {
        pthread_t thread;
        void *kept = NULL;
        EXPECT_EQ(pthread_create(&thread, NULL, create_and_leave, bed.table), 0);
        EXPECT_EQ(pthread_join(thread, &kept), 0);
        for (int i = 0; i < 100; i++) {
            EXPECT_EQ(ops->revoke(bed.self, ((cap_id_t *)kept)[i]), STATUS_OK);
        }
        free(kept);
        capability_audit_t audit = bed_audit(&bed);
        EXPECT_EQ(audit.live, 0);
        EXPECT(audit.slots < 1200);
    }
    bed_end(&bed);
}

int main(void) {
    run_contract(ops);
    a_slot_whose_generations_are_used_up_is_never_used_again();
    a_full_table_says_so_and_goes_on_when_slots_are_free_again();
    a_million_live_at_once();
    any_bits_may_be_asked_for_in_the_largest_table();
    seats_are_bounded_and_used_again();
    what_a_thread_leaves_behind_is_not_lost();
    puts("ok lockfree: generations, capacity, growth, seats");
    return 0;
}
