// Back end of atomics.h for the variant noise: the doors of atomics_c11.h, and before some of them the thread loses time. It spins, gives the
// processor away or sleeps, so that other threads get between two accesses that are next to each other in the source. How often is drawn anew every
// few hundred doors, from never to every other one: noise finds faults of atomicity, and hides those where a store is late.
//
// Between the doors is the production code, but for the vector doors, which go word by word. Fewer of the compiler's reorderings are left, for it knows
// nothing of the call.
// A door that is missing here would be silent: tests/native/test_doors.py compares the two lists.
#pragma once

#include "atomics_c11.h"

#define ATOMICS_NOISE 1

// One door; kernel/atomics_noise.c.
void atomics_noise(void);
// Everything that is drawn from now on, by threads that begin later, follows from `seed` and the order in which they come to their first door.
void atomics_noise_seed(uint64_t seed);
// How often a thread lost time so far; in all threads.
uint64_t atomics_noise_count(void);

// A macro does not expand itself again: inside, the name is the door's.
#define atomic_load_relaxed_u32(...) (atomics_noise(), atomic_load_relaxed_u32(__VA_ARGS__))
#define atomic_load_acquire_u32(...) (atomics_noise(), atomic_load_acquire_u32(__VA_ARGS__))
#define atomic_load_relaxed_u64(...) (atomics_noise(), atomic_load_relaxed_u64(__VA_ARGS__))
#define atomic_load_acquire_u64(...) (atomics_noise(), atomic_load_acquire_u64(__VA_ARGS__))
#define atomic_load_seq_cst_u64(...) (atomics_noise(), atomic_load_seq_cst_u64(__VA_ARGS__))
#define atomic_store_relaxed_u32(...) (atomics_noise(), atomic_store_relaxed_u32(__VA_ARGS__))
#define atomic_store_release_u32(...) (atomics_noise(), atomic_store_release_u32(__VA_ARGS__))
#define atomic_store_relaxed_u64(...) (atomics_noise(), atomic_store_relaxed_u64(__VA_ARGS__))
#define atomic_store_release_u64(...) (atomics_noise(), atomic_store_release_u64(__VA_ARGS__))
#define atomic_store_seq_cst_u64(...) (atomics_noise(), atomic_store_seq_cst_u64(__VA_ARGS__))
#define atomic_cas_acq_rel_u32(...) (atomics_noise(), atomic_cas_acq_rel_u32(__VA_ARGS__))
#define atomic_cas_acq_rel_u64(...) (atomics_noise(), atomic_cas_acq_rel_u64(__VA_ARGS__))
#define atomic_cas_seq_cst_u64(...) (atomics_noise(), atomic_cas_seq_cst_u64(__VA_ARGS__))
#define atomic_exchange_acquire_u32(...) (atomics_noise(), atomic_exchange_acquire_u32(__VA_ARGS__))
#define atomic_exchange_acq_rel_u64(...) (atomics_noise(), atomic_exchange_acq_rel_u64(__VA_ARGS__))
#define atomic_exchange_seq_cst_u64(...) (atomics_noise(), atomic_exchange_seq_cst_u64(__VA_ARGS__))
#define atomic_fetch_add_relaxed_u32(...) (atomics_noise(), atomic_fetch_add_relaxed_u32(__VA_ARGS__))
#define atomic_fetch_add_relaxed_u64(...) (atomics_noise(), atomic_fetch_add_relaxed_u64(__VA_ARGS__))
#define atomic_fetch_add_acq_rel_u64(...) (atomics_noise(), atomic_fetch_add_acq_rel_u64(__VA_ARGS__))
#define atomic_fetch_sub_acq_rel_u32(...) (atomics_noise(), atomic_fetch_sub_acq_rel_u32(__VA_ARGS__))
#define atomic_fetch_sub_acq_rel_u64(...) (atomics_noise(), atomic_fetch_sub_acq_rel_u64(__VA_ARGS__))
#define atomic_fetch_add_seq_cst_u64(...) (atomics_noise(), atomic_fetch_add_seq_cst_u64(__VA_ARGS__))
#define atomic_fetch_or_acq_rel_u64(...) (atomics_noise(), atomic_fetch_or_acq_rel_u64(__VA_ARGS__))
#define atomic_fetch_or_seq_cst_u64(...) (atomics_noise(), atomic_fetch_or_seq_cst_u64(__VA_ARGS__))
#define atomic_fetch_and_seq_cst_u64(...) (atomics_noise(), atomic_fetch_and_seq_cst_u64(__VA_ARGS__))
#define atomic_fence_seq_cst(...) (atomics_noise(), atomic_fence_seq_cst(__VA_ARGS__))
#define atomic_fence_light_seq_cst(...) (atomics_noise(), atomic_fence_light_seq_cst(__VA_ARGS__))
#define atomic_fence_heavy_seq_cst(...) (atomics_noise(), atomic_fence_heavy_seq_cst(__VA_ARGS__))
#define plain_load_u32(...) (atomics_noise(), plain_load_u32(__VA_ARGS__))
#define plain_store_u32(...) (atomics_noise(), plain_store_u32(__VA_ARGS__))
#define plain_load_ptr(...) (atomics_noise(), plain_load_ptr(__VA_ARGS__))
#define plain_store_ptr(...) (atomics_noise(), plain_store_ptr(__VA_ARGS__))
// Defined in kernel/atomics.c, with the name in parentheses.
#define shared_free(...) (atomics_noise(), shared_free(__VA_ARGS__))
#define park_wait(...) (atomics_noise(), park_wait(__VA_ARGS__))
#define park_wake(...) (atomics_noise(), park_wake(__VA_ARGS__))
