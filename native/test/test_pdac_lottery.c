// Lotteries and vectors alone: exact shares, bounded strays, and arithmetic that stops at its ends.
#include "../kernel/pdac_vector.h"
#include "expect.h"

#include <string.h>

static uint64_t draws = 12345;

static uint32_t draw(uint32_t below) {
    draws = draws * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((draws >> 33) % below);
}

// --- the lottery --------------------------------------------------------------------------------------------------

// In every stretch that begins at `from`, each class has n * tickets / total, within fewer than 2.
static void expect_shares(const pdac_lottery_t *lottery, const uint32_t *tickets, uint32_t classes, uint64_t from) {
    int64_t total = 0;
    int64_t had[PDAC_CLASSES] = {0};
    for (uint32_t i = 0; i < classes; i++) {
        total += tickets[i];
    }
    int64_t period = pdac_lottery_period(lottery);
    for (int64_t n = 1; n <= 2 * period; n++) {
        uint32_t class = pdac_lottery_class(lottery, from + (uint64_t)n - 1);
        EXPECT(class < classes);
        had[class]++;
        for (uint32_t i = 0; i < classes; i++) {
            int64_t stray = had[i] * total - n * (int64_t)tickets[i];
            EXPECT(stray < 2 * total && stray > -2 * total);
            EXPECT(n % period != 0 || stray == 0); // exact over whole periods
        }
    }
}

static void shares_are_exact_over_a_period_and_stray_by_fewer_than_two(void) {
    for (int round = 0; round < 200; round++) {
        uint32_t tickets[PDAC_CLASSES];
        uint32_t classes = 1 + draw(PDAC_CLASSES);
        pdac_lottery_t *lottery = NULL;
        for (uint32_t i = 0; i < classes; i++) {
            tickets[i] = 1 + draw(round % 2 ? 4 : 60);
        }
        EXPECT_EQ(pdac_lottery_create(tickets, classes, (uint64_t)round, &lottery), STATUS_OK);
        expect_shares(lottery, tickets, classes, 0);
        expect_shares(lottery, tickets, classes, draw(1000));
        pdac_lottery_destroy(lottery);
    }
}

static void a_rare_class_is_spread_and_not_bunched(void) {
    static const uint32_t tickets[2] = {97, 3};
    pdac_lottery_t *lottery = NULL;
    EXPECT_EQ(pdac_lottery_create(tickets, 2, 7, &lottery), STATUS_OK);
    uint32_t since = 0;
    uint32_t seen = 0;
    for (uint64_t turn = 0; turn < 1000; turn++, since++) {
        if (pdac_lottery_class(lottery, turn) == 1) {
            EXPECT(seen == 0 || (since >= 33 - 2 && since <= 34 + 33)); // two windows next to each other
            since = 0;
            seen++;
        }
    }
    EXPECT_EQ(seen, 30);
    pdac_lottery_destroy(lottery);
}

static void the_same_seed_gives_the_same_turns_and_another_seed_others(void) {
    static const uint32_t tickets[4] = {10, 10, 7, 5};
    pdac_lottery_t *lotteries[3];
    int differ = 0;
    for (uint64_t i = 0; i < 3; i++) {
        EXPECT_EQ(pdac_lottery_create(tickets, 4, i == 2 ? 99 : 5, &lotteries[i]), STATUS_OK);
    }
    for (uint64_t turn = 0; turn < 64; turn++) {
        EXPECT_EQ(pdac_lottery_class(lotteries[0], turn), pdac_lottery_class(lotteries[1], turn));
        differ += pdac_lottery_class(lotteries[0], turn) != pdac_lottery_class(lotteries[2], turn);
    }
    EXPECT(differ > 0);
    for (int i = 0; i < 3; i++) {
        pdac_lottery_destroy(lotteries[i]);
    }
}

static void tickets_are_divided_and_what_is_no_lottery_is_refused(void) {
    static const uint32_t large[2] = {3000000000u, 1000000000u};
    static const uint32_t empty[2] = {1, 0};
    static const uint32_t coprime[2] = {4096, 1};
    pdac_lottery_t *lottery = NULL;
    EXPECT_EQ(pdac_lottery_create(large, 2, 1, &lottery), STATUS_OK);
    EXPECT_EQ(pdac_lottery_period(lottery), 4);
    pdac_lottery_destroy(lottery);
    lottery = NULL;
    EXPECT_EQ(pdac_lottery_create(empty, 2, 1, &lottery), STATUS_INVALID);
    EXPECT_EQ(pdac_lottery_create(coprime, 2, 1, &lottery), STATUS_INVALID);
    EXPECT_EQ(pdac_lottery_create(large, 0, 1, &lottery), STATUS_INVALID);
    EXPECT_EQ(pdac_lottery_create(large, PDAC_CLASSES + 1, 1, &lottery), STATUS_INVALID);
    EXPECT_EQ(pdac_lottery_create(NULL, 1, 1, &lottery), STATUS_INVALID);
    EXPECT(lottery == NULL);
}

// --- vectors ------------------------------------------------------------------------------------------------------

static pdac_vector_t random_vector(void) {
    pdac_vector_t vector;
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        vector.of[d] = draw(3) ? draw(8) : draw(2) ? PDAC_AMOUNT_MAX - draw(8) : draw(1u << 31) * 2;
    }
    return vector;
}

static void vectors_stop_at_their_ends_in_every_dimension(void) {
    for (int round = 0; round < 20000; round++) {
        pdac_vector_t a = random_vector();
        pdac_vector_t b = random_vector();
        pdac_vector_t sum = pdac_vector_sum(&a, &b);
        pdac_vector_t rest = pdac_vector_difference(&a, &b);
        pdac_vector_t most = pdac_vector_max(&a, &b);
        bool fits = true;
        for (int d = 0; d < PDAC_DIMENSIONS; d++) {
            uint64_t exact = (uint64_t)a.of[d] + b.of[d];
            EXPECT_EQ(sum.of[d], exact > PDAC_AMOUNT_MAX ? PDAC_AMOUNT_MAX : exact);
            EXPECT_EQ(rest.of[d], a.of[d] > b.of[d] ? a.of[d] - b.of[d] : 0);
            EXPECT_EQ(most.of[d], a.of[d] > b.of[d] ? a.of[d] : b.of[d]);
            fits = fits && a.of[d] <= b.of[d];
        }
        EXPECT_EQ(pdac_vector_fits(&a, &b), fits);
        EXPECT(pdac_vector_fits(&a, &most) && pdac_vector_fits(&b, &most));
    }
}

static void one_dimension_is_enough_not_to_fit(void) {
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        pdac_vector_t a = {{0}};
        pdac_vector_t b = {{0}};
        a.of[d] = 1;
        EXPECT(!pdac_vector_fits(&a, &b) && pdac_vector_fits(&b, &a) && pdac_vector_fits(&a, &a));
    }
}

enum { BATCH_MOST = 200 };

static void every_variant_says_the_same_of_many(void) {
    static pdac_vector_t vectors[BATCH_MOST];
    cpu_facts_t facts = cpu_facts();
    for (int round = 0; round < 300; round++) {
        size_t count = draw(BATCH_MOST + 1);
        pdac_vector_t room = random_vector();
        for (size_t i = 0; i < count; i++) {
            vectors[i] = random_vector();
            for (int d = 0; d < PDAC_DIMENSIONS && draw(3); d++) { // so that many fit, or nearly
                vectors[i].of[d] = room.of[d] - (room.of[d] > 0 && draw(2));
            }
        }
        for (unsigned simd = 0; simd < CPU_SIMD_COUNT; simd++) {
            uint64_t mask[BATCH_MOST / 64 + 1] = {0};
            size_t fit = 0;
            if (!cpu_simd_possible(&facts, (cpu_simd_t)simd)) {
                continue;
            }
            size_t said = pdac_vectors_fit_by((cpu_simd_t)simd, vectors, count, &room, mask);
            for (size_t i = 0; i < BATCH_MOST; i++) {
                bool fits = i < count && pdac_vector_fits(&vectors[i], &room);
                EXPECT_EQ(mask[i / 64] >> i % 64 & 1, fits);
                fit += fits;
            }
            EXPECT_EQ(said, fit);
        }
    }
}

int main(void) {
    shares_are_exact_over_a_period_and_stray_by_fewer_than_two();
    a_rare_class_is_spread_and_not_bunched();
    the_same_seed_gives_the_same_turns_and_another_seed_others();
    tickets_are_divided_and_what_is_no_lottery_is_refused();
    vectors_stop_at_their_ends_in_every_dimension();
    one_dimension_is_enough_not_to_fit();
    every_variant_says_the_same_of_many();
    return 0;
}
