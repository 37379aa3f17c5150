// The memory of a run: blocks one behind the other in one stretch of address space that every run begins anew, and the locations in them
// that doors have touched. A block that was freed is poisoned, and is given out again in every other case, so that a stale pointer meets
// another object of the same kind.
#include "explore_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "atomics.h"

#define ARENA ((size_t)1 << 30)
#define LARGE ((size_t)1 << 16)
#define PAGE ((size_t)4096)
enum { BLOCKS_MAX = 4096, LOCATIONS_MAX = 1 << 15, STATIC_MAX = 256, POISON = 0xdd };

static char *arena;
static uint32_t *index_of_word; // per four bytes of the arena: location + 1
static size_t used;
static block_t blocks[BLOCKS_MAX];
static unsigned block_count;
static location_t *locations;
static unsigned location_count;
static location_t statics[STATIC_MAX]; // of static memory
static unsigned static_count;

static void *map(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        fputs("explore: there is no address space\n", stderr);
        exit(2);
    }
    return at;
}

void memory_reset(void) {
    if (arena == NULL) {
        arena = map(ARENA);
        index_of_word = map(ARENA);
        locations = map(LOCATIONS_MAX * sizeof *locations);
    }
    for (unsigned i = 0; i < location_count; i++) {
        index_of_word[(size_t)((const char *)locations[i].at - arena) / 4] = 0;
    }
    for (unsigned i = 0; i < block_count; i++) {
        if (blocks[i].bytes > LARGE) {
            (void)madvise(blocks[i].at, blocks[i].bytes, MADV_DONTNEED);
        } else {
            memset(blocks[i].at, 0, blocks[i].bytes);
        }
    }
    used = 0;
    block_count = 0;
    location_count = 0;
    static_count = 0;
}

void memory_expect_all_freed(void) {
    for (unsigned i = 0; i < block_count; i++) {
        if (!blocks[i].freed) {
            explore_fail("leak: %zu bytes at %p", blocks[i].bytes, (void *)blocks[i].at);
        }
    }
}

static bool is_in_arena(const void *at) { return (const char *)at >= arena && (const char *)at < arena + used; }

static block_t *block_of(const void *at) {
    unsigned low = 0;
    for (unsigned high = block_count; high - low > 1;) {
        unsigned middle = (low + high) / 2;
        if (blocks[middle].at <= (const char *)at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &blocks[low];
}

static location_t *static_location(const void *at) {
    for (unsigned i = 0; i < static_count; i++) {
        if (statics[i].at == at) {
            return &statics[i];
        }
    }
    if (static_count == STATIC_MAX) {
        explore_fail("wild access: %p", at);
    }
    statics[static_count] = (location_t){.at = at};
    return &statics[static_count++];
}

location_t *memory_location(const void *at, unsigned bytes) {
    if (!is_in_arena(at)) {
        return static_location(at);
    }
    uint32_t *index = &index_of_word[(size_t)((const char *)at - arena) / 4];
    if (*index == 0) {
        block_t *block = block_of(at);
        if ((const char *)at + bytes > block->at + block->bytes) {
            explore_fail("access behind the end of a block: %p", at);
        }
        if (location_count == LOCATIONS_MAX) {
            explore_fail("too many locations for the explorer");
        }
        location_t *location = &locations[location_count];
        location->at = at;
        location->block = block;
        location->stores = 0;
        memset(location->any, 0, sizeof location->any);
        memset(location->plain_write, 0, sizeof location->plain_write);
        memset(location->atomic_write, 0, sizeof location->atomic_write);
        *index = ++location_count;
    }
    return &locations[*index - 1];
}

// --- blocks -----------------------------------------------------------------------------------------------------------

static block_t *reuse(size_t bytes) {
    for (unsigned i = block_count; i > 0; i--) {
        block_t *block = &blocks[i - 1];
        if (block->freed && block->bytes == bytes) {
            return schedule_choice(2) == 0 ? block : NULL;
        }
    }
    return NULL;
}

static void *take(size_t bytes, size_t alignment) {
    size_t rounded = (bytes + 15) & ~(size_t)15;
    block_t *block = reuse(rounded);
    if (block != NULL) { // the same addresses, and no history
        for (size_t i = 0; i < rounded; i += 4) {
            uint32_t index = index_of_word[(size_t)(block->at - arena + (ptrdiff_t)i) / 4];
            if (index != 0) {
                location_t *location = &locations[index - 1];
                *location = (location_t){.at = location->at, .block = block};
            }
        }
        memset(block->at, 0, rounded);
        block->freed = false;
    } else {
        size_t from = (used + alignment - 1) & ~(alignment - 1);
        if (block_count == BLOCKS_MAX || rounded > ARENA - from) {
            return NULL;
        }
        block = &blocks[block_count++];
        *block = (block_t){.at = arena + from, .bytes = rounded};
        used = from + rounded;
    }
    block->thread = running;
    block->time = model_tick();
    return block->at;
}

static void give(void *memory) {
    if (memory == NULL) {
        return;
    }
    schedule_door();
    block_t *block = is_in_arena(memory) ? block_of(memory) : NULL;
    if (block == NULL || block->at != memory || block->freed) {
        explore_fail("%s: %p", block != NULL && block->freed ? "double free" : "free of what was not allocated", memory);
    }
    (void)model_tick();
    for (size_t i = 0; i < block->bytes; i += 4) {
        uint32_t index = index_of_word[(size_t)(block->at - arena + (ptrdiff_t)i) / 4];
        for (unsigned thread = 0; index != 0 && thread < THREADS; thread++) {
            if (locations[index - 1].any[thread] > model_threads[running].before.clock[thread]) {
                explore_fail("race: %p is freed, and nothing orders an access by thread %u", locations[index - 1].at, thread);
            }
        }
    }
    block->freed = true;
    if (block->bytes <= LARGE) {
        memset(block->at, POISON, block->bytes);
    }
    TRACE("free %p", memory);
}

void *shared_alloc(size_t bytes) { return take(bytes, 16); }
void *shared_alloc_aligned(size_t bytes) { return take(bytes, CPU_PAIR); }
void shared_free(void *memory) { give(memory); }
void *shared_reserve(size_t bytes) { return take((bytes + PAGE - 1) & ~(PAGE - 1), PAGE); }
bool shared_commit(void *at, size_t bytes, bool huge) {
    (void)at;
    (void)bytes;
    (void)huge;
    return true;
}
void shared_release(void *memory, size_t bytes) {
    (void)bytes;
    give(memory);
}
