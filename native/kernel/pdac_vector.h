// The variants of comparing many vectors: up to 64 at once, one file for each instruction set.
#pragma once

#include "cpu_features.h"
#include "pdac.h"

// Bit i: whether vectors[i] <= room in every dimension. `count` at most 64.
typedef uint64_t pdac_mask_t(const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room);

// NULL where the build has no code for them. Called only where cpu_simd_possible says so.
extern pdac_mask_t *const pdac_mask_avx2;
extern pdac_mask_t *const pdac_mask_avx512;

// For tests: by a variant that is possible here.
size_t pdac_vectors_fit_by(cpu_simd_t simd, const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room,
                           uint64_t *mask);
