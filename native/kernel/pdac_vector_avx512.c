// Two vectors in one register. Only called where cpu_simd_possible says so.
#include "pdac_vector.h"

#ifdef __AVX512F__
#include <immintrin.h>

static uint64_t mask_of(const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room) {
    __m512i most = _mm512_broadcast_i64x4(_mm256_load_si256((const __m256i *)(const void *)room));
    uint64_t mask = 0;
    for (size_t i = 0; i + 1 < count; i += 2) {
        unsigned fits = _mm512_cmple_epu32_mask(_mm512_loadu_si512(&vectors[i]), most);
        mask |= (uint64_t)((fits & 0xff) == 0xff) << i | (uint64_t)(fits >> 8 == 0xff) << (i + 1);
    }
    if (count % 2 != 0) {
        mask |= (uint64_t)pdac_vector_fits(&vectors[count - 1], room) << (count - 1);
    }
    return mask;
}

pdac_mask_t *const pdac_mask_avx512 = mask_of;
#else
pdac_mask_t *const pdac_mask_avx512 = NULL;
#endif
