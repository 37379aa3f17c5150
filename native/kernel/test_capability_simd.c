// Vector checks answer what scalar ones do: every variant that this processor can run, and AVX-512 over a model of its intrinsics
// everywhere, for every kind of input; and columns follow what happens to their capabilities.
#define ORCH_AVX512_MODEL "../explore/avx512_model.h"
#define capability_simd_avx512 capability_simd_avx512_model
#include "capability_simd_avx512.c"
#undef capability_simd_avx512

#include <pthread.h>
#include <string.h>

#include "expect.h"
#include "memory_limits.h"

#define CANARY 0xdeadbeefcafef00dull

static struct { const char *name; const capability_simd_ops_t *ops; } variants[CPU_SIMD_COUNT + 1];
static unsigned variant_count;

static void find_variants(void) {
    cpu_facts_t facts = cpu_facts();
    for (cpu_simd_t simd = CPU_SIMD_PORTABLE; simd < CPU_SIMD_COUNT; simd++) {
        if (capability_simd_ops(simd) != NULL && cpu_simd_possible(&facts, simd)) {
            variants[variant_count].name = cpu_simd_name(simd);
            variants[variant_count++].ops = capability_simd_ops(simd);
        }
    }
    variants[variant_count].name = "avx512 model";
    variants[variant_count++].ops = capability_simd_avx512_model;
    EXPECT(variant_count >= 2);
}

static uint64_t random_state = 1;
static uint64_t draw(uint64_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return below == 0 ? random_state : (random_state * 0x2545f4914f6cdd1du >> 32) % below;
}

typedef struct bed {
    capability_table_t *table;
    capability_thread_t *self;
} bed_t;

static bed_t bed_make(uint64_t first_generation) {
    bed_t bed = {0};
    capability_config_t config = {.capacity = 1 << 12, .first_generation = first_generation};
    EXPECT_EQ(capability_table_create(&config, &bed.table), STATUS_OK);
    EXPECT_EQ(capability_thread_join(bed.table, &bed.self), STATUS_OK);
    return bed;
}

static void bed_end(bed_t *bed) {
    capability_thread_leave(bed->self);
    capability_table_destroy(bed->table);
}

static cap_rights_t some_rights(void) {
    switch (draw(6)) {
    case 0: return 0;
    case 1: return CAPABILITY_RIGHTS_ALL;
    case 2: return (cap_rights_t)1 << draw(64);
    case 3: return draw(0) & (draw(0) | 1);
    case 4: return CAPABILITY_RIGHTS_ALL & ~((cap_rights_t)1 << draw(64));
    default: return draw(16);
    }
}

// --- ids ----------------------------------------------------------------------------------------------------------------

enum { KNOWN = 300, LIST = 200 };

// Live, attenuated, revoked, deleted and reused capabilities; children of ended ones.
static void make_known(bed_t *bed, cap_id_t *known) {
    for (int i = 0; i < KNOWN; i++) {
        bool child = i > 0 && draw(3) == 0 &&
                     capability_delegate(bed->self, known[draw((uint64_t)i)], draw(4), &known[i]) == STATUS_OK;
        if (!child) {
            EXPECT_EQ(capability_create(bed->self, 7, some_rights(), &known[i]), STATUS_OK);
        }
        cap_id_t victim = known[draw((uint64_t)i + 1)];
        switch (draw(8)) {
        case 0: (void)capability_revoke(bed->self, victim); break;
        case 1: (void)capability_delete(bed->self, victim); break;
        case 2: (void)capability_attenuate(bed->self, victim, some_rights()); break;
        case 3: (void)capability_grant(bed->self, victim, some_rights()); break;
        case 4: capability_settle(bed->self); break;
        default: break;
        }
    }
}

static cap_id_t some_id(const cap_id_t *known) {
    cap_id_t id = known[draw(KNOWN)];
    switch (draw(12)) {
    case 0: return CAPABILITY_NONE;
    case 1: return draw(0);
    case 2: return id ^ (1 + draw(3));                // what the state of another phase would look like
    case 3: return id + ((cap_id_t)1 << INDEX_BITS);  // the next generation
    case 4: return id - ((cap_id_t)1 << INDEX_BITS);  // the one before
    case 5: return id ^ ((cap_id_t)1 << 20);          // the same entry, from a larger table
    case 6: return draw(1 << 12);                     // generation 0: of slots never used, too
    default: return id;
    }
}

static void expect_list(const bed_t *bed, const cap_id_t *ids, uint64_t count, cap_rights_t need, unsigned distance) {
    uint64_t wanted[LIST / 64 + 2] = {0}, sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        bool passes = capability_check(bed->table, ids[i], need);
        wanted[i / 64] |= (uint64_t)passes << i % 64;
        sum += passes;
    }
    uint64_t words = (count + 63) / 64;
    for (unsigned v = 0; v < variant_count; v++) {
        uint64_t allowed[LIST / 64 + 2];
        memset(allowed, 0xa5, sizeof allowed);
        allowed[words] = CANARY;
        EXPECT_EQ(variants[v].ops->check(bed->table, ids, count, need, distance, allowed), sum);
        EXPECT(memcmp(allowed, wanted, words * sizeof *allowed) == 0);
        EXPECT_EQ(allowed[words], CANARY);
        if (count >= 8) {
            EXPECT_EQ(variants[v].ops->mask_4(bed->table, ids, need), wanted[0] & 15);
            EXPECT_EQ(variants[v].ops->mask_8(bed->table, ids, need), wanted[0] & 255);
        }
    }
    uint64_t allowed[LIST / 64 + 1] = {0};
    EXPECT_EQ(capability_check_simd(bed->table, ids, count, need, allowed), sum);
    EXPECT(memcmp(allowed, wanted, words * sizeof *allowed) == 0);
    EXPECT_EQ(capability_check_simd_ahead(bed->table, ids, count, need, distance, allowed), sum);
    if (count >= 8) {
        EXPECT_EQ(capability_check_simd_4(bed->table, ids, need), (wanted[0] & 15) == 15);
        EXPECT_EQ(capability_check_simd_8(bed->table, ids, need), (wanted[0] & 255) == 255);
        EXPECT_EQ(capability_mask_simd_4(bed->table, ids, need), wanted[0] & 15);
        EXPECT_EQ(capability_mask_simd_8(bed->table, ids, need), wanted[0] & 255);
    }
}

static void every_variant_answers_as_the_scalar_check_does(void) {
    static const uint64_t generations[] = {0, 2, GENERATION_MAX - 3};
    for (int round = 0; round < 30; round++) {
        bed_t bed = bed_make(generations[round % 3]);
        cap_id_t known[KNOWN], ids[LIST];
        make_known(&bed, known);
        for (int list = 0; list < 40; list++) {
            bool live_alone = draw(4) == 0;
            for (int i = 0; i < LIST; i++) {
                ids[i] = live_alone ? known[draw(KNOWN)] : some_id(known);
            }
            static const unsigned distances[] = {0, 1, 7, 64, 1000};
            expect_list(&bed, ids, draw(LIST + 1), draw(3) == 0 ? 0 : some_rights(), distances[draw(5)]);
        }
        bed_end(&bed);
    }
}

// The fault of the code that this one succeeds: no right was asked for, so every id passed.
static void asking_for_no_right_asks_for_life(void) {
    bed_t bed = bed_make(0);
    cap_id_t ids[8] = {0};
    expect_list(&bed, ids, 8, 0, 0);
    for (unsigned v = 0; v < variant_count; v++) {
        EXPECT_EQ(variants[v].ops->mask_8(bed.table, ids, 0), 0);
        EXPECT_EQ(variants[v].ops->mask_4(bed.table, ids, 0), 0);
    }
    for (int i = 0; i < 8; i++) {
        EXPECT_EQ(capability_create(bed.self, 1, 0, &ids[i]), STATUS_OK);
    }
    EXPECT(capability_check_simd_8(bed.table, ids, 0));
    EXPECT(!capability_check_simd_8(bed.table, ids, 1));
    EXPECT_EQ(capability_revoke(bed.self, ids[2]), STATUS_OK);
    EXPECT(!capability_check_simd_4(bed.table, ids, 0));
    expect_list(&bed, ids, 8, 0, 0);
    bed_end(&bed);
}

// --- columns ------------------------------------------------------------------------------------------------------------

enum { PLACES = 200, WORDS = 6 };

static void expect_column(const bed_t *bed, const capability_column_t *column, uint64_t first, uint64_t count,
                          cap_rights_t need) {
    uint64_t wanted[WORDS] = {0}, sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        bool passes = capability_check(bed->table, capability_column_id(column, first + i), need);
        wanted[i / 64] |= (uint64_t)passes << i % 64;
        sum += passes;
    }
    uint64_t words = (count + 63) / 64;
    for (unsigned v = 0; v <= variant_count; v++) {
        uint64_t allowed[WORDS];
        memset(allowed, 0xa5, sizeof allowed);
        allowed[words] = CANARY;
        uint64_t got = v == variant_count
                           ? capability_column_check(column, first, count, need, allowed)
                           : capability_column_check_by(variants[v].ops, column, first, count, need, allowed);
        EXPECT_EQ(got, sum);
        EXPECT(memcmp(allowed, wanted, words * sizeof *allowed) == 0);
        EXPECT_EQ(allowed[words], CANARY);
    }
}

static void expect_any(const bed_t *bed, const capability_column_t *column) {
    uint64_t size = capability_column_size(column);
    uint64_t first = draw(3) == 0 ? 0 : draw(size + 80);
    uint64_t count = draw(3) == 0 ? size : draw(64 * (WORDS - 1));
    expect_column(bed, column, first, count, draw(3) == 0 ? 0 : some_rights());
}

static bool is_valid(const capability_column_t *column, uint64_t place) {
    return (atomic_load_relaxed_u64(&column->words[place]) & COLUMN_VALID) != 0;
}

static void change_one(const bed_t *bed, cap_id_t *id) {
    switch (draw(8)) {
    case 0: (void)capability_revoke(bed->self, *id); break;
    case 1: (void)capability_delete(bed->self, *id); break;
    case 2: (void)capability_attenuate(bed->self, *id, some_rights()); break;
    case 3: (void)capability_grant(bed->self, *id, some_rights()); break;
    case 4: (void)capability_transfer(bed->self, *id, CAPABILITY_NONE, id); break;
    case 5: (void)capability_create(bed->self, 1, some_rights(), id); break;
    default: (void)capability_delegate(bed->self, *id, draw(4), id); break;
    }
}

static void a_column_follows_every_change(void) {
    for (int round = 0; round < 12; round++) {
        bed_t bed = bed_make(round % 3 == 0 ? GENERATION_MAX - 40 : 0);
        cap_id_t known[KNOWN];
        capability_column_t *columns[2] = {NULL, NULL};
        make_known(&bed, known);
        EXPECT_EQ(capability_column_create(bed.table, 1 + draw(PLACES), &columns[0]), STATUS_OK);
        EXPECT_EQ(capability_column_create(bed.table, PLACES, &columns[1]), STATUS_OK);
        expect_any(&bed, columns[0]);
        for (int step = 0; step < 600; step++) {
            capability_column_t *column = columns[draw(2)];
            if (draw(2) == 0) {
                uint64_t place = draw(capability_column_size(column));
                cap_id_t id = draw(4) == 0 ? some_id(known) : known[draw(KNOWN)];
                status_t status = capability_column_set(bed.self, column, place, id);
                EXPECT_EQ(capability_column_id(column, place), id);
                EXPECT_EQ(is_valid(column, place), status == STATUS_OK && id != CAPABILITY_NONE);
                EXPECT(status != STATUS_BUSY || capability_check(bed.table, id, 0));
                EXPECT(status != STATUS_STALE || !capability_check(bed.table, id, 0));
            } else {
                change_one(&bed, &known[draw(KNOWN)]);
            }
            expect_any(&bed, column);
            if (step % 100 == 99) {
                capability_settle(bed.self);
                capability_column_destroy(bed.self, columns[0]);
                EXPECT_EQ(capability_column_create(bed.table, 1 + draw(PLACES), &columns[0]), STATUS_OK);
            }
        }
        capability_column_destroy(bed.self, columns[0]);
        capability_column_destroy(bed.self, columns[1]);
        bed_end(&bed);
    }
}

static void a_capability_is_bound_to_one_place(void) {
    bed_t bed = bed_make(0);
    capability_column_t *first = NULL, *second = NULL;
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(capability_create(bed.self, 1, 5, &id), STATUS_OK);
    EXPECT_EQ(capability_column_create(bed.table, 3, &first), STATUS_OK);
    EXPECT_EQ(capability_column_create(bed.table, 1, &second), STATUS_OK);
    EXPECT_EQ(capability_column_set(bed.self, first, 1, id), STATUS_OK);
    EXPECT_EQ(capability_column_set(bed.self, first, 1, id), STATUS_OK); // again, to where it is
    EXPECT_EQ(capability_column_set(bed.self, first, 2, id), STATUS_BUSY);
    EXPECT_EQ(capability_column_set(bed.self, second, 0, id), STATUS_BUSY);
    EXPECT_EQ(capability_column_set(bed.self, first, 3, id), STATUS_INVALID);
    expect_column(&bed, first, 0, 3, 4); // places 1 and 2 pass, bound or not
    expect_column(&bed, second, 0, 1, 4);
    capability_column_destroy(bed.self, first);
    EXPECT_EQ(capability_column_set(bed.self, second, 0, id), STATUS_OK);
    EXPECT_EQ(capability_attenuate(bed.self, id, 4), STATUS_OK);
    EXPECT(is_valid(second, 0)); // it has followed, and need not ask
    expect_column(&bed, second, 0, 1, 4);
    EXPECT_EQ(capability_revoke(bed.self, id), STATUS_OK);
    EXPECT_EQ(atomic_load_relaxed_u64(&second->words[0]), 0); // nobody passes, without asking
    capability_column_destroy(bed.self, second);
    bed_end(&bed);
}

static void sizes_are_checked_and_missing_memory_is_an_answer(void) {
    bed_t bed = bed_make(0);
    capability_column_t *column = NULL;
    EXPECT_EQ(capability_column_create(bed.table, 0, &column), STATUS_INVALID);
    EXPECT_EQ(capability_column_create(bed.table, CAPABILITY_COLUMN_MAX + 1, &column), STATUS_INVALID);
    if (memory_limits_hold()) {
        struct rlimit before, small = {.rlim_cur = 64 << 20, .rlim_max = 64 << 20};
        EXPECT_EQ(getrlimit(RLIMIT_AS, &before), 0);
        small.rlim_max = before.rlim_max;
        EXPECT_EQ(setrlimit(RLIMIT_AS, &small), 0);
        EXPECT_EQ(capability_column_create(bed.table, CAPABILITY_COLUMN_MAX, &column), STATUS_NO_MEMORY);
        EXPECT_EQ(setrlimit(RLIMIT_AS, &before), 0);
    }
    EXPECT(column == NULL);
    bed_end(&bed);
}

// --- beside each other --------------------------------------------------------------------------------------------------

enum { WORKERS = 3, ROUNDS = 40, SHARED_PLACES = 96, STEPS = 60 };

static struct {
    bed_t bed;
    capability_column_t *column;
    pthread_barrier_t barrier;
    cap_id_t ids[SHARED_PLACES];
    atomic_u64_t taken[SHARED_PLACES]; // rights that are gone for good; all: it has ended. Written after the call has returned
} common;

// What had been taken before the checks started does not pass, whichever variant answers.
static void check_shared(unsigned variant, cap_rights_t need) {
    uint64_t gone[2] = {0}, allowed[2];
    for (unsigned place = 0; place < SHARED_PLACES; place++) {
        cap_rights_t taken = atomic_load_acquire_u64(&common.taken[place]);
        bool lost = (need & taken) != 0 || taken == CAPABILITY_RIGHTS_ALL;
        gone[place / 64] |= (uint64_t)lost << place % 64;
    }
    (void)capability_column_check_by(variants[variant].ops, common.column, 0, SHARED_PLACES, need, allowed);
    EXPECT_EQ(gone[0] & allowed[0], 0);
    EXPECT_EQ(gone[1] & allowed[1], 0);
    (void)variants[variant].ops->check(common.bed.table, common.ids, SHARED_PLACES, need, 8, allowed);
    EXPECT_EQ(gone[0] & allowed[0], 0);
    EXPECT_EQ(gone[1] & allowed[1], 0);
}

static void *work(void *seed) {
    capability_thread_t *seat = NULL;
    uint64_t state = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15u;
    EXPECT_EQ(capability_thread_join(common.bed.table, &seat), STATUS_OK);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&common.barrier); // the column is filled
        for (unsigned step = 0; step < STEPS; step++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            unsigned place = (unsigned)(state >> 33) % SHARED_PLACES, pick = (unsigned)(state >> 60);
            cap_rights_t right = (cap_rights_t)1 << (state >> 40 & 7);
            if (pick < 4) {
                (void)capability_revoke(seat, common.ids[place]);
                (void)atomic_fetch_or_seq_cst_u64(&common.taken[place], CAPABILITY_RIGHTS_ALL);
            } else if (pick < 10) {
                if (capability_attenuate(seat, common.ids[place], right) == STATUS_OK) {
                    (void)atomic_fetch_or_seq_cst_u64(&common.taken[place], right);
                }
            } else {
                (void)capability_grant(seat, common.ids[place], (cap_rights_t)1 << 8); // one that nobody takes
            }
            check_shared(step % variant_count, pick % 2 == 0 ? right : 0);
        }
        pthread_barrier_wait(&common.barrier); // all have changed what they wanted
    }
    capability_thread_leave(seat);
    return NULL;
}

static void fill_shared(void) {
    for (uint64_t place = 0; place < SHARED_PLACES; place++) {
        (void)capability_revoke(common.bed.self, common.ids[place]);
        EXPECT_EQ(capability_create(common.bed.self, 1, 255, &common.ids[place]), STATUS_OK);
        EXPECT_EQ(capability_column_set(common.bed.self, common.column, place, common.ids[place]), STATUS_OK);
        atomic_store_relaxed_u64(&common.taken[place], 0);
    }
}

static void what_is_taken_is_gone_for_everybody(void) {
    pthread_t threads[WORKERS];
    common.bed = bed_make(0);
    EXPECT_EQ(capability_column_create(common.bed.table, SHARED_PLACES, &common.column), STATUS_OK);
    EXPECT_EQ(pthread_barrier_init(&common.barrier, NULL, WORKERS + 1), 0);
    for (uintptr_t i = 0; i < WORKERS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        fill_shared();
        pthread_barrier_wait(&common.barrier);
        for (uint64_t i = 0; i < STEPS; i++) { // beside them: places that are emptied and filled again
            uint64_t place = i % SHARED_PLACES;
            (void)capability_column_set(common.bed.self, common.column, place, CAPABILITY_NONE);
            (void)capability_column_set(common.bed.self, common.column, place, common.ids[place]);
        }
        pthread_barrier_wait(&common.barrier);
        for (unsigned v = 0; v < variant_count; v++) {
            check_shared(v, 0);
        }
        expect_column(&common.bed, common.column, 0, SHARED_PLACES, 1);
        expect_column(&common.bed, common.column, 0, SHARED_PLACES, 256);
    }
    for (int i = 0; i < WORKERS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    pthread_barrier_destroy(&common.barrier);
    capability_column_destroy(common.bed.self, common.column);
    bed_end(&common.bed);
}

int main(void) {
    find_variants();
    every_variant_answers_as_the_scalar_check_does();
    asking_for_no_right_asks_for_life();
    a_column_follows_every_change();
    a_capability_is_bound_to_one_place();
    sizes_are_checked_and_missing_memory_is_an_answer();
    what_is_taken_is_gone_for_everybody();
    printf("ok vector checks:");
    for (unsigned v = 0; v < variant_count; v++) {
        printf(" %s%s", variants[v].name, v + 1 < variant_count ? "," : "\n");
    }
    return 0;
}
