// The lottery: a period of turns, dealt out in advance.
//
// A class with t of T tickets gets its k-th turn in [floor((k-1)T/t), ceil(kT/t)): the windows between Beatty numbers of T/t. The
// windows of all classes together fill every stretch at most (their rates add up to 1), so earliest end first finds a turn inside its
// window for each; and a turn inside its window means that after n turns a class has had n*t/T, within fewer than 1.
#include "pdac_layout.h"

static uint32_t greatest_divisor(uint32_t a, uint32_t b) {
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// Splitmix64.
static uint64_t draw(uint64_t *seed) {
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

// The classes in the order in which equal windows are served.
static void shuffle(uint8_t *rank, uint32_t classes, uint64_t *seed) {
    for (uint32_t i = 0; i < classes; i++) {
        rank[i] = (uint8_t)i;
    }
    for (uint32_t i = classes; i > 1; i--) {
        uint32_t other = (uint32_t)(draw(seed) % i);
        uint8_t kept = rank[i - 1];
        rank[i - 1] = rank[other];
        rank[other] = kept;
    }
}

static void deal(pdac_lottery_t *lottery, const uint64_t *tickets, uint32_t classes, const uint8_t *rank) {
    uint64_t total = lottery->period;
    uint64_t had[PDAC_CLASSES] = {0};
    for (uint64_t turn = 0; turn < total; turn++) {
        uint32_t best = classes;
        uint64_t best_end = UINT64_MAX;
        for (uint32_t r = 0; r < classes; r++) {
            uint32_t class = rank[r];
            uint64_t begin = had[class] * total / tickets[class];
            uint64_t end = ((had[class] + 1) * total + tickets[class] - 1) / tickets[class];
            if (had[class] < tickets[class] && begin <= turn && end < best_end) {
                best = class;
                best_end = end;
            }
        }
        lottery->turns[turn] = (uint8_t)best;
        had[best]++;
    }
}

status_t pdac_lottery_create(const uint32_t *tickets, uint32_t classes, uint64_t seed, pdac_lottery_t **lottery) {
    if (tickets == NULL || classes == 0 || classes > PDAC_CLASSES) {
        return STATUS_INVALID;
    }
    uint32_t divisor = 0;
    for (uint32_t i = 0; i < classes; i++) {
        divisor = greatest_divisor(divisor, tickets[i]);
        if (tickets[i] == 0) {
            return STATUS_INVALID;
        }
    }
    uint64_t reduced[PDAC_CLASSES];
    uint64_t total = 0;
    for (uint32_t i = 0; i < classes; i++) {
        reduced[i] = tickets[i] / divisor;
        total += reduced[i];
    }
    if (total > PDAC_TICKETS_MAX) {
        return STATUS_INVALID;
    }
    pdac_lottery_t *made = shared_alloc(sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    uint8_t rank[PDAC_CLASSES];
    shuffle(rank, classes, &seed);
    made->period = (uint32_t)total;
    made->start = (uint32_t)(draw(&seed) % total);
    deal(made, reduced, classes, rank);
    *lottery = made;
    return STATUS_OK;
}

void pdac_lottery_destroy(pdac_lottery_t *lottery) { shared_free(lottery); }

uint32_t pdac_lottery_period(const pdac_lottery_t *lottery) { return lottery->period; }

uint32_t pdac_lottery_class(const pdac_lottery_t *lottery, uint64_t turn) {
    return lottery->turns[(turn % lottery->period + lottery->start) % lottery->period];
}
