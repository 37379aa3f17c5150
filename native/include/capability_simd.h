// Many checks at once. Three forms, each in portable C, AVX2 and AVX-512, chosen once at start-up (cpu_features.h):
//
//   4 or 8 ids       capability_check_simd_4, _8: whether all of them pass, as the plan has it; mask_simd_4, _8 say which
//   any ids          capability_check_simd: one bit for each id of a list, in any order, with generation
//   a column         capability_column_check: the rights of capabilities that are checked together again and again, side by side
//
// Contract
//   C6  Every answer is the one that capability_check would give for the same id and right in the same moment, for absent, stale,
//       revoked and zero-rights ones too, and for `need` 0. Each bit has a moment of its own between call and return.
//   C1, C2, C3 hold as for capability_check, through the column as well: once revoke, delete, attenuate or grant has returned,
//       every check of a column that starts later answers accordingly.
//   C4  Checks of all forms are wait-free, write nothing shared, and are bounded by their number of ids.
//
// `allowed` has (count + 63) / 64 words: bit i % 64 of word i / 64 for the i-th; bits behind the last one are 0.
// docs/native/capability_simd.md has the arguments.
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

// As capability_check_batch, which it is a faster form of: bit i of `allowed` is check(ids[i], need); how many are set.
uint64_t capability_check_simd(const capability_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                               uint64_t *allowed);
// The same, with entries asked for `distance` ids ahead, 0: not at all. The one above takes a distance that fits the table's size.
uint64_t capability_check_simd_ahead(const capability_table_t *table, const cap_id_t *ids, uint64_t count,
                                     cap_rights_t need, unsigned distance, uint64_t *allowed);

// --- a column -----------------------------------------------------------------------------------------------------
// Places 0 .. size-1, each with an id, or none (CAPABILITY_NONE: no check passes). A capability is *bound* to one
// place of one column of its table; then its rights stand in the column, and the calls that change it change the place as well. An id that
// is bound elsewhere, dead, or not of this table can be in a place, too: then a check asks the table.
//
// Who may call what: check beside everything but destroy. set, fill and destroy of one column: one at a time. All three beside every
// operation of the table, but table_destroy: columns are destroyed before their table.

typedef struct capability_column capability_column_t; // shared

#define CAPABILITY_COLUMN_MAX ((uint64_t)1 << 27)

// `size` places, all empty. OK, INVALID or NO_MEMORY.
status_t capability_column_create(capability_table_t *table, uint64_t size, capability_column_t **column);
// Unbinds all places. The memory lives until nobody can hold it, by the table's reclamation.
void capability_column_destroy(capability_thread_t *self, capability_column_t *column);
uint64_t capability_column_size(const capability_column_t *column);

// Puts `id` into a place, and unbinds the one that was there. OK; and with `id` in place, but not bound: BUSY where it is bound
// elsewhere, STALE where it does not live, NO_MEMORY. INVALID for a place outside. After OK a check reads the column alone, but for the
// right DELEGATE, for which it asks the table.
status_t capability_column_set(capability_thread_t *self, capability_column_t *column, uint64_t place, cap_id_t id);
cap_id_t capability_column_id(const capability_column_t *column, uint64_t place);

// Places first .. first+count-1; those outside do not pass. Bits as of check_simd, bit 0 for `first`; how many are set.
uint64_t capability_column_check(const capability_column_t *column, uint64_t first, uint64_t count, cap_rights_t need,
                                 uint64_t *allowed);

// --- which code ---------------------------------------------------------------------------------------------------

// The operations of one instruction set, for tests and benches that compare them: use one only if cpu_simd_possible says so.
typedef struct capability_simd_ops {
    uint32_t (*mask_4)(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need);
    uint32_t (*mask_8)(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need);
    uint64_t (*check)(const capability_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                      unsigned distance, uint64_t *allowed); // as capability_check_simd_ahead
    // as capability_column_check, for places inside and a need without DELEGATE
    uint64_t (*column_check)(const capability_column_t *column, uint64_t first, uint64_t count, cap_rights_t need,
                             uint64_t *allowed);
} capability_simd_ops_t;

// NULL where this build has no code for it.
const capability_simd_ops_t *capability_simd_ops(cpu_simd_t simd);
// capability_column_check by one of them.
uint64_t capability_column_check_by(const capability_simd_ops_t *by, const capability_column_t *column, uint64_t first,
                         uint64_t count, cap_rights_t need, uint64_t *allowed);
