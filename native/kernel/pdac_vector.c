// Resource vectors. Eight lanes of 32 bits: written as plain loops, which compilers turn into two or one vector instruction each.
#include "pdac_vector.h"

#include "cpu_features.h"

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

// --- many at once -------------------------------------------------------------------------------------------------

static uint64_t mask_portable(const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room) {
    uint64_t mask = 0;
    for (size_t i = 0; i < count; i++) {
        mask |= (uint64_t)pdac_vector_fits(&vectors[i], room) << i;
    }
    return mask;
}

// NULL where the build has no code for it.
static pdac_mask_t *mask_of(cpu_simd_t simd) {
    switch (simd) {
    case CPU_SIMD_AVX512: return pdac_mask_avx512;
    case CPU_SIMD_AVX2: return pdac_mask_avx2;
    case CPU_SIMD_PORTABLE:
    case CPU_SIMD_COUNT: break;
    }
    return mask_portable;
}

size_t pdac_vectors_fit_by(cpu_simd_t simd, const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room,
                           uint64_t *mask) {
    pdac_mask_t *chosen = mask_of(simd) != NULL ? mask_of(simd) : mask_portable;
    size_t fit = 0;
    for (size_t first = 0; first < count; first += 64) {
        size_t here = count - first < 64 ? count - first : 64;
        uint64_t bits = chosen(vectors + first, here, room);
        mask[first / 64] = bits;
        fit += (size_t)__builtin_popcountll(bits);
    }
    return fit;
}

size_t pdac_vectors_fit(const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room, uint64_t *mask) {
    return pdac_vectors_fit_by(cpu_simd_chosen(), vectors, count, room, mask);
}
