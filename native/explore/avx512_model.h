// The intrinsics that kernel/capability_simd_avx512.c uses, in plain C: so that what it does with them is tested on every processor.
// What is not tested so is the compiler's translation of the real ones.
#pragma once

#include <stdint.h>
#include <string.h>

#define ATOMICS_VECTOR_BY_WORD 1

typedef struct model128 { uint64_t lane[2]; } model128_t;
typedef struct model512 { uint64_t lane[8]; } model512_t;

static inline model128_t model_set_2(long long high, long long low) {
    return (model128_t){{(uint64_t)low, (uint64_t)high}};
}
static inline model512_t model_set_8(long long h, long long g, long long f, long long e, long long d, long long c,
                                     long long b, long long a) {
    return (model512_t){{(uint64_t)a, (uint64_t)b, (uint64_t)c, (uint64_t)d, (uint64_t)e, (uint64_t)f, (uint64_t)g,
                         (uint64_t)h}};
}
static inline model512_t model_set_1(long long all) { return model_set_8(all, all, all, all, all, all, all, all); }
static inline model512_t model_load(const void *at) {
    model512_t loaded;
    memcpy(&loaded, at, sizeof loaded);
    return loaded;
}
// The upper lanes are undefined in the real one: here they are something odd.
static inline model512_t model_widen(model128_t low) {
    model512_t wide = model_set_1(0x5a5a5a5a5a5a5a5a);
    wide.lane[0] = low.lane[0];
    wide.lane[1] = low.lane[1];
    return wide;
}
static inline model512_t model_insert(model512_t into, model128_t pair, int at) {
    into.lane[2 * at] = pair.lane[0];
    into.lane[2 * at + 1] = pair.lane[1];
    return into;
}
// Within each quarter of 128 bits.
static inline model512_t model_unpack(model512_t a, model512_t b, int high) {
    model512_t mixed;
    for (int quarter = 0; quarter < 8; quarter += 2) {
        mixed.lane[quarter] = a.lane[quarter + high];
        mixed.lane[quarter + 1] = b.lane[quarter + high];
    }
    return mixed;
}
static inline model512_t model_and(model512_t a, model512_t b) {
    for (int i = 0; i < 8; i++) {
        a.lane[i] &= b.lane[i];
    }
    return a;
}
static inline uint8_t model_same(uint8_t mask, model512_t a, model512_t b) {
    unsigned same = 0;
    for (unsigned i = 0; i < 8; i++) {
        same |= (unsigned)(a.lane[i] == b.lane[i]) << i;
    }
    return (uint8_t)(same & mask);
}
static inline uint8_t model_signs(model512_t a) {
    unsigned signs = 0;
    for (unsigned i = 0; i < 8; i++) {
        signs |= (unsigned)(a.lane[i] >> 63) << i;
    }
    return (uint8_t)signs;
}

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the names of what is modelled
#define __m128i model128_t
#define __m512i model512_t
#define __mmask8 uint8_t
#define _mm_set_epi64x model_set_2
#define _mm512_set_epi64 model_set_8
#define _mm512_set1_epi64 model_set_1
#define _mm512_loadu_si512 model_load
#define _mm512_castsi128_si512 model_widen
#define _mm512_inserti64x2 model_insert
#define _mm512_unpacklo_epi64(a, b) model_unpack(a, b, 0)
#define _mm512_unpackhi_epi64(a, b) model_unpack(a, b, 1)
#define _mm512_and_si512 model_and
#define _mm512_cmpeq_epi64_mask(a, b) model_same(255, a, b)
#define _mm512_mask_cmpeq_epi64_mask model_same
#define _mm512_movepi64_mask model_signs
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
