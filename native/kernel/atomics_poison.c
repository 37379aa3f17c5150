// The pattern of atomics_poison.h. Compiled in the variant poison alone.
#include "atomics.h"

#ifdef ATOMICS_POISON

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATTERN = 0xdb,
    KEPT = 256,           // blocks that are kept back
    KEPT_BYTES = 64 << 10 // larger ones are filled and not kept
};

static atomic_u64_t next;       // of the slots, counted on
static atomic_u64_t kept[KEPT]; // addresses; 0: none

// Where a block has another byte than the pattern; its size: nowhere.
static size_t first_change(const unsigned char *memory, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (memory[i] != PATTERN) {
            return i;
        }
    }
    return bytes;
}

static void give_back(void *memory) {
    size_t bytes = malloc_usable_size(memory), at = first_change(memory, bytes);
    if (at < bytes) {
        fprintf(stderr, "poison: byte %zu of a block of %zu was written after the block was freed\n", at, bytes);
        abort();
    }
    free(memory);
}

void atomics_poison_free(void *memory) {
    if (memory == NULL) {
        return;
    }
    size_t bytes = malloc_usable_size(memory);
    if (first_change(memory, bytes) == bytes) {
        fprintf(stderr, "poison: a block of %zu bytes is freed twice\n", bytes);
        abort();
    }
    memset(memory, PATTERN, bytes);
    if (bytes > KEPT_BYTES) {
        free(memory);
        return;
    }
    /* relaxed: each caller gets a slot of its own until the count has gone round, and then the exchange decides */
    uint64_t slot = atomic_fetch_add_relaxed_u64(&next, 1) % KEPT;
    /* edge POISON:RA — the pattern is written before another thread looks for it; :RA is in atomics_poison_free */
    uint64_t old = atomic_exchange_acq_rel_u64(&kept[slot], (uint64_t)(uintptr_t)memory);
    if (old != 0) {
        give_back((void *)(uintptr_t)old);
    }
}

__attribute__((destructor)) static void look_at_the_rest(void) {
    for (size_t i = 0; i < KEPT; i++) {
        /* edge POISON:RA — as there, and nobody gives it back twice; :RA is in atomics_poison_free */
        uint64_t old = atomic_exchange_acq_rel_u64(&kept[i], 0);
        if (old != 0) {
            give_back((void *)(uintptr_t)old);
        }
    }
}

#endif
