// Eight dimensions in one register. Only called where cpu_simd_possible says so.
#include "pdac_vector.h"

#ifdef __AVX2__
#include <immintrin.h>

static uint64_t mask_of(const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room) {
    __m256i most = _mm256_load_si256((const __m256i *)(const void *)room);
    uint64_t mask = 0;
    for (size_t i = 0; i < count; i++) {
        __m256i needs = _mm256_load_si256((const __m256i *)(const void *)&vectors[i]);
        // unsigned: needs <= most where the greater of both is `most`
        __m256i fits = _mm256_cmpeq_epi32(_mm256_max_epu32(needs, most), most);
        mask |= (uint64_t)(_mm256_movemask_epi8(fits) == -1) << i;
    }
    return mask;
}

pdac_mask_t *const pdac_mask_avx2 = mask_of;
#else
pdac_mask_t *const pdac_mask_avx2 = NULL;
#endif
