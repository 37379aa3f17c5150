// Vector doors: several words of shared memory in one load. For kernel/capability_simd_*.c; each needs the flags of its
// instruction set, includes its intrinsics first, and defines ATOMICS_VECTOR_X4 or _X8.
//
//   _x2   two words side by side at a multiple of 16 bytes, as of one moment: a processor with AVX does an aligned load of 16
//         bytes as one. Elsewhere the second word is read before the first.
//   _x4, _x8   each word whole and of a moment of its own; in no order
//
// An empty asm keeps a loaded register: the compiler does not read the memory again, nor fold the load into an instruction that
// promises less. ThreadSanitizer, and back ends that watch each access, get the loads word by word.
#pragma once

#include "atomics.h"

#if !defined(ATOMICS_VECTOR_BY_WORD)
#if ATOMICS_MODEL_FENCES || defined(ORCH_ATOMICS_BACKEND)
#define ATOMICS_VECTOR_BY_WORD 1
#else
#define ATOMICS_VECTOR_BY_WORD 0
#endif
#endif

#if ATOMICS_VECTOR_BY_WORD
#define ATOMICS_WORD(at, i) ((long long)atomic_load_relaxed_u64((at) + (i)))
static inline __m128i atomic_load_acquire_x2(const atomic_u64_t *at) {
    long long second = (long long)atomic_load_acquire_u64(at + 1);
    return _mm_set_epi64x(second, (long long)atomic_load_acquire_u64(at));
}
#ifdef ATOMICS_VECTOR_X4
static inline __m256i atomic_load_relaxed_x4(const atomic_u64_t *at) {
    return _mm256_set_epi64x(ATOMICS_WORD(at, 3), ATOMICS_WORD(at, 2), ATOMICS_WORD(at, 1), ATOMICS_WORD(at, 0));
}
#endif
#ifdef ATOMICS_VECTOR_X8
static inline __m512i atomic_load_relaxed_x8(const atomic_u64_t *at) {
    return _mm512_set_epi64(ATOMICS_WORD(at, 7), ATOMICS_WORD(at, 6), ATOMICS_WORD(at, 5), ATOMICS_WORD(at, 4),
                            ATOMICS_WORD(at, 3), ATOMICS_WORD(at, 2), ATOMICS_WORD(at, 1), ATOMICS_WORD(at, 0));
}
#endif
#else
static inline __m128i atomic_load_acquire_x2(const atomic_u64_t *at) {
    __m128i words = _mm_load_si128((const __m128i *)(const void *)at);
    __asm__("" : "+x"(words) : : "memory"); // what comes later stays behind it
    return words;
}
#ifdef ATOMICS_VECTOR_X4
static inline __m256i atomic_load_relaxed_x4(const atomic_u64_t *at) {
    __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)at);
    __asm__("" : "+x"(words));
    return words;
}
#endif
#ifdef ATOMICS_VECTOR_X8
static inline __m512i atomic_load_relaxed_x8(const atomic_u64_t *at) {
    __m512i words = _mm512_loadu_si512((const void *)at);
    __asm__("" : "+v"(words));
    return words;
}
#endif
#endif
