// What the stress test knows about the capabilities that it makes, and how it judges an answer.
//
// A family is a root and what was delegated from it. For every member the model keeps facts that only grow, each written so
// that an oracle can be sure whatever else is running:
//   ending, taking   set before a call that may end it or take rights; nothing may be missing without one of them
//   ended, taken     set after such a call has returned; nothing may be found in spite of one of them
// So an answer is wrong if it contradicts what was known before the question (ended, taken), or cannot be explained by what
// is known after it (ending, taking). A fact about a member holds for all below it: see *_above.
#pragma once

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "capability_ops.h"

enum { MEMBERS = 48, FAMILIES = 256, WINDOW = 3 };

// Rights by what happens to them. Low ones are granted back to roots, so they prove nothing there.
#define REGRANTED ((cap_rights_t)0xff)
#define FOR_GOOD ((cap_rights_t)0xffffffffff00)
#define NEVER_GIVEN ((cap_rights_t)0x7fff << 48)

typedef struct member {
    _Atomic(cap_id_t) id;  // 0: not made, not yet or not at all
    _Atomic(int) parent;   // index in the family; -1: the root
    cap_rights_t rights;   // asked for when it was made; before id
    _Atomic(bool) ending;
    _Atomic(bool) ended;
    _Atomic(cap_rights_t) taking;
    _Atomic(cap_rights_t) taken;
    _Atomic(uint32_t) delegations; // begun, with this as the parent
} member_t;

typedef struct family {
    _Atomic(int) count; // members begun
    uint64_t object;
    member_t members[MEMBERS];
} family_t;

#define LOAD(at) atomic_load_explicit(at, memory_order_acquire)
#define RAISE(at, bits) atomic_fetch_or_explicit(at, bits, memory_order_acq_rel)
#define SET(at, value) atomic_store_explicit(at, value, memory_order_release)

static uint64_t stress_seed;
static const char *stress_table = "";

static inline void violation(const char *contract, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
static inline void violation(const char *contract, const char *format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    fprintf(stderr, "violation %s: %s (table %s, seed %llu)\n", contract, text, stress_table,
            (unsigned long long)stress_seed);
    fflush(NULL);
    _exit(1);
}

static inline bool ended_above(const family_t *family, int m) {
    for (; m >= 0; m = LOAD(&family->members[m].parent)) {
        if (LOAD(&family->members[m].ended)) {
            return true;
        }
    }
    return false;
}

static inline bool ending_above(const family_t *family, int m) {
    for (; m >= 0; m = LOAD(&family->members[m].parent)) {
        if (LOAD(&family->members[m].ending)) {
            return true;
        }
    }
    return false;
}

// Rights that the member cannot hold: taken from it, or taken for good from one above before anything else could happen.
static inline cap_rights_t taken_above(const family_t *family, int m) {
    cap_rights_t taken = LOAD(&family->members[m].taken);
    if (m == 0) {
        taken &= ~REGRANTED;
    }
    for (m = LOAD(&family->members[m].parent); m >= 0; m = LOAD(&family->members[m].parent)) {
        taken |= LOAD(&family->members[m].taken) & ~REGRANTED;
    }
    return taken;
}

// Rights that the member may lack.
static inline cap_rights_t taking_above(const family_t *family, int m) {
    cap_rights_t taking = 0;
    for (; m >= 0; m = LOAD(&family->members[m].parent)) {
        taking |= LOAD(&family->members[m].taking);
    }
    return taking;
}

// Rights that the member can ever have.
static inline cap_rights_t bound_of(const family_t *family, int m) {
    return family->members[m].rights | (m == 0 ? REGRANTED : 0);
}

static inline bool is_below(const family_t *family, int m, int above) {
    for (; m >= 0; m = LOAD(&family->members[m].parent)) {
        if (m == above) {
            return true;
        }
    }
    return false;
}
