// The only door to atomics, fences, shared plain accesses and shared memory. kernel/ and baseline/ use nothing else
// (tools/check_edges.py fails on a raw one), so that one source runs over several back ends.
//
// The memory order is part of the name, and a door exists only where someone uses it. Each ordered use carries its edge:
//
//     /* edge NAME:R — what becomes visible; :A is in FUNCTION */     a release end; its partner is the :A
//     /* edge NAME:RA — ...; :RA is in FUNCTION */                    a read-modify-write that is both ends
//     /* edge NAME:S — ...; :S is in FUNCTION */                      one of two seq_cst ends that order store and load
//     /* relaxed: why that is enough */
//
// Back ends: atomics_c11.h inlines to C11 atomics and costs nothing. Under ThreadSanitizer, which does not follow
// fences, the same file models a fence by a read-modify-write of one global word. Another back end is a header that
// offers the same names, chosen with -DORCH_ATOMICS_BACKEND='"atomics_NAME.h"'.
#pragma once

#ifdef ORCH_ATOMICS_BACKEND
#include ORCH_ATOMICS_BACKEND
#else
#include "atomics_c11.h"
#endif
