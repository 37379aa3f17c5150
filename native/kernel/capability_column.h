// Inside rights columns. For kernel/capability_column.c and kernel/capability_simd*.c.
//
// A word of the column says of its place:
//   VALID | rights   the id there lives, is bound to the place, and has these rights; DELEGATE, which has VALID's bit, left out
//   0                no check of the place passes: it is empty, or its id has ended
//   else             a token: the table is to be asked. Each token is written into the word once.
#pragma once

#include "capability_layout.h"
#include "capability_simd.h"

#define COLUMN_VALID CAPABILITY_RIGHT_DELEGATE
#define COLUMN_BLOCK 64u // places of one word of answers

// What is looked at only when something changes, or the table is asked.
typedef struct column_seat {
    atomic_u64_t id;             // written by set
    atomic_u64_t token;          // the last one; by set, and who changes or ends the capability that is bound here
    capability_column_t *column; // constant
} column_seat_t;

struct capability_column {
    // Constant.
    atomic_u64_t *words; // size, and then zeroes up to the end of any block that starts inside
    column_seat_t *seats;
    capability_table_t *table;
    uint64_t size;
    reclaim_node_t limbo;
};

// Of the places first .. first+63 that are `asked`, those that pass: as the table says.
uint64_t column_ask(const capability_column_t *column, uint64_t first, uint64_t asked, cap_rights_t need);

// The answers of a block: those that pass by their words, and where `all_valid` is not set, those for which the table is asked.
static inline uint64_t column_answers(const capability_column_t *column, uint64_t first, uint64_t passes, bool all_valid,
                                      uint64_t inside, cap_rights_t need) {
    if (__builtin_expect(all_valid, 1)) {
        return passes & inside;
    }
    return (passes & inside) | column_ask(column, first, ~passes & inside, need);
}

// The bits of a block that lie below `left` places.
static inline uint64_t column_inside(uint64_t left) { return left >= COLUMN_BLOCK ? UINT64_MAX : ((uint64_t)1 << left) - 1; }
