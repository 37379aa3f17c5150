// Resource vectors. Eight lanes of 32 bits: written as plain loops, which compilers turn into two or one vector instruction each.
#include "pdac_layout.h"

pdac_vector_t pdac_vector_sum(const pdac_vector_t *a, const pdac_vector_t *b) {
    pdac_vector_t sum;
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        pdac_amount_t low = a->of[d] + b->of[d];
        sum.of[d] = low < a->of[d] ? PDAC_AMOUNT_MAX : low;
    }
    return sum;
}

pdac_vector_t pdac_vector_difference(const pdac_vector_t *a, const pdac_vector_t *b) {
    pdac_vector_t rest;
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        rest.of[d] = a->of[d] > b->of[d] ? a->of[d] - b->of[d] : 0;
    }
    return rest;
}

pdac_vector_t pdac_vector_max(const pdac_vector_t *a, const pdac_vector_t *b) {
    pdac_vector_t most;
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        most.of[d] = a->of[d] > b->of[d] ? a->of[d] : b->of[d];
    }
    return most;
}

bool pdac_vector_fits(const pdac_vector_t *a, const pdac_vector_t *b) {
    uint32_t above = 0;
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        above |= a->of[d] > b->of[d];
    }
    return above == 0;
}
