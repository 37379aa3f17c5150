// Many checks at once. Three forms, each in portable C, AVX2 and AVX-512, chosen once at start-up (cpu_features.h):
//
//   4 or 8 ids       capability_check_simd_4, _8: whether all of them pass, as the plan has it; mask_simd_4, _8 say which
//   any ids          capability_check_batch: one bit for each id of a list, in any order, with generation
//   a column         capability_column_check: the rights of capabilities that are checked together again and again, side by side
//
// Contract
//   C6  Every answer is the one that capability_check would give for the same id and right in the same moment, for absent, stale,
//       revoked and zero-rights ones too, and for `need` 0. Each bit has a moment of its own between call and return.
//   C1, C2, C3 hold as for capability_check, through the column as well: once revoke, delete, attenuate or grant has returned,
//       every check of a column that starts later answers accordingly.
//   C4  Checks of all forms are wait-free, write nothing shared, and are bounded by their number of ids.
//
// A bit mask has bit i % 64 of word i / 64 for the i-th id; bits behind the last one are 0. docs/native/capability_simd.md has the
// arguments.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capability.h"
#include "cpu_features.h"

// --- ids ----------------------------------------------------------------------------------------------------------

// Whether all of them pass.
bool capability_check_simd_4(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need);
bool capability_check_simd_8(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need);
// Bit i: whether ids[i] passes.
uint32_t capability_mask_simd_4(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need);
uint32_t capability_mask_simd_8(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need);

// Fills (count + 63) / 64 words of `mask`, and answers how many pass.
size_t capability_check_batch(const capability_table_t *table, const cap_id_t *ids, size_t count, cap_rights_t need,
                              uint64_t *mask);
// The same, with entries asked for `distance` ids ahead; 0: not at all. For lists whose entries are in no near cache.
size_t capability_check_batch_ahead(const capability_table_t *table, const cap_id_t *ids, size_t count,
                                    cap_rights_t need, unsigned distance, uint64_t *mask);

// --- a column -----------------------------------------------------------------------------------------------------
// Places 0 .. size-1, each with an id, or none (CAPABILITY_NONE: no check passes). A capability is *bound* to one
// place of one column of its table; then its rights stand in the column, and the calls that change it change the place as well. An id that
// is bound elsewhere, dead, or not of this table can be in a place, too: then a check asks the table.
//
// Who may call what: check beside everything but destroy. set, fill and destroy of one column: one at a time. All three beside every
// operation of the table, but table_destroy: columns are destroyed before their table.

typedef struct capability_column capability_column_t; // shared

#define CAPABILITY_COLUMN_MAX ((size_t)1 << 26)

// `size` places, all empty. OK, INVALID or NO_MEMORY.
status_t capability_column_create(capability_table_t *table, size_t size, capability_column_t **column);
// Unbinds all places. The memory lives until nobody can hold it, by the table's reclamation.
void capability_column_destroy(capability_thread_t *self, capability_column_t *column);
size_t capability_column_size(const capability_column_t *column);

// Puts `id` into a place, and unbinds the one that was there. OK; BUSY where the id is in place, but bound elsewhere; STALE where
// it is in place, but does not live; INVALID for a place outside. After OK a check of the place reads the column alone, except for
// the right DELEGATE, for which it asks the table.
status_t capability_column_set(capability_thread_t *self, capability_column_t *column, size_t place, cap_id_t id);
cap_id_t capability_column_id(const capability_column_t *column, size_t place);

// Places first .. first+count-1, of which those outside do not pass. Fills the mask as check_batch does, from bit 0 for `first`;
// answers how many pass.
size_t capability_column_check(const capability_column_t *column, size_t first, size_t count, cap_rights_t need,
                               uint64_t *mask);

// --- which code ---------------------------------------------------------------------------------------------------

// The operations of one instruction set, for tests and benches that compare them: use one only if cpu_simd_possible says so.
typedef struct capability_simd_ops {
    const char *name;
    uint32_t (*mask_4)(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need);
    uint32_t (*mask_8)(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need);
    // as capability_check_batch_ahead
    size_t (*check_batch)(const capability_table_t *table, const cap_id_t *ids, size_t count, cap_rights_t need,
                          unsigned distance, uint64_t *mask);
    size_t (*column_check)(const capability_column_t *column, size_t first, size_t count, cap_rights_t need,
                           uint64_t *mask);
} capability_simd_ops_t;

// NULL where this build has no code for it.
const capability_simd_ops_t *capability_simd_ops(cpu_simd_t simd);
