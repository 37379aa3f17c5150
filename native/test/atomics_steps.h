// Back end of atomics.h for test_schedules: the C11 one, with a scheduling point in front of every door. One coroutine runs at a
// time, so what is explored is sequential consistency: atomicity, and not the memory orders.
#pragma once

#include "atomics_c11.h"

void schedule_point(void);
void schedule_wait(void); // the coroutine can do nothing but wait for another

#define STEP(door) (schedule_point(), door)
#define atomic_load_relaxed_u32(at) STEP(atomic_load_relaxed_u32(at))
#define atomic_load_acquire_u32(at) STEP(atomic_load_acquire_u32(at))
#define atomic_load_relaxed_u64(at) STEP(atomic_load_relaxed_u64(at))
#define atomic_load_acquire_u64(at) STEP(atomic_load_acquire_u64(at))
#define atomic_load_seq_cst_u64(at) STEP(atomic_load_seq_cst_u64(at))
#define atomic_store_relaxed_u32(at, value) STEP(atomic_store_relaxed_u32(at, value))
#define atomic_store_release_u32(at, value) STEP(atomic_store_release_u32(at, value))
#define atomic_store_relaxed_u64(at, value) STEP(atomic_store_relaxed_u64(at, value))
#define atomic_store_release_u64(at, value) STEP(atomic_store_release_u64(at, value))
#define atomic_cas_acq_rel_u32(at, expected, desired) STEP(atomic_cas_acq_rel_u32(at, expected, desired))
#define atomic_cas_acq_rel_u64(at, expected, desired) STEP(atomic_cas_acq_rel_u64(at, expected, desired))
#define atomic_cas_seq_cst_u64(at, expected, desired) STEP(atomic_cas_seq_cst_u64(at, expected, desired))
#define atomic_exchange_acquire_u32(at, value) STEP(atomic_exchange_acquire_u32(at, value))
#define atomic_exchange_acq_rel_u64(at, value) STEP(atomic_exchange_acq_rel_u64(at, value))
#define atomic_exchange_seq_cst_u64(at, value) STEP(atomic_exchange_seq_cst_u64(at, value))
#define atomic_store_seq_cst_u64(at, value) STEP(atomic_store_seq_cst_u64(at, value))
#define atomic_fetch_add_relaxed_u64(at, add) STEP(atomic_fetch_add_relaxed_u64(at, add))
#define atomic_fetch_add_relaxed_u32(at, add) STEP(atomic_fetch_add_relaxed_u32(at, add))
#define atomic_fetch_add_acq_rel_u64(at, add) STEP(atomic_fetch_add_acq_rel_u64(at, add))
#define atomic_fetch_add_seq_cst_u64(at, add) STEP(atomic_fetch_add_seq_cst_u64(at, add))
#define atomic_fetch_or_seq_cst_u64(at, bits) STEP(atomic_fetch_or_seq_cst_u64(at, bits))
#define atomic_fetch_sub_acq_rel_u32(at, sub) STEP(atomic_fetch_sub_acq_rel_u32(at, sub))
#define atomic_fetch_sub_acq_rel_u64(at, sub) STEP(atomic_fetch_sub_acq_rel_u64(at, sub))
#define atomic_fetch_or_acq_rel_u64(at, bits) STEP(atomic_fetch_or_acq_rel_u64(at, bits))
#define atomic_fetch_and_seq_cst_u64(at, bits) STEP(atomic_fetch_and_seq_cst_u64(at, bits))
#define atomic_exchange_seq_cst_u32(at, value) STEP(atomic_exchange_seq_cst_u32(at, value))
#define atomic_fence_light_seq_cst(asymmetric) ((void)(asymmetric))
#define atomic_fence_heavy_seq_cst(asymmetric) ((void)(asymmetric))
#define atomic_fence_seq_cst() ((void)0) // one thread at a time: every access is in order
#define spin_hint(round) ((void)(round), schedule_wait())
