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
#define ARENA_AT ((uintptr_t)0x10000000000) // the same in every process, so that a run is the same
#define LARGE ((size_t)1 << 16)
#define PAGE ((size_t)4096)
#define UNIT ((size_t)MEMORY_UNIT)
enum { BLOCKS_MAX = 4096, LOCATIONS_MAX = 1 << 15, STATIC_MAX = 256, POISON = 0xdd };

char *memory_arena;
size_t memory_used;
uint32_t *memory_index;
uint8_t *memory_state;
location_t *memory_locations;
static uint16_t *owner; // per 16 bytes of the arena: number of the block, where one is
static block_t blocks[BLOCKS_MAX];
static unsigned block_count, freed_count;
static unsigned location_count;
static location_t statics[STATIC_MAX]; // of static memory
static unsigned static_count;

static void *map(uintptr_t at, size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *made = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0); // a wish: where it is taken, another
    if (made == MAP_FAILED) {
        fputs("explore: there is no address space\n", stderr);
        exit(2);
    }
    return made;
}

// Memory in units.
static inline void fill(char *at, int byte, size_t bytes) {
    if (bytes > 16 * UNIT) {
        memset(at, byte, bytes);
        return;
    }
    __m128i all = _mm_set1_epi8((char)byte);
    for (size_t i = 0; i < bytes; i += UNIT) {
        _mm_store_si128((__m128i *)(void *)(at + i), all);
    }
}
// Eight at a time: behind the block nothing is anybody's yet.
static inline void set_owner(const block_t *block) {
    uint16_t *at = owner + (size_t)(block->at - memory_arena) / UNIT;
    __m128i all = _mm_set1_epi16((int16_t)(block - blocks));
    for (size_t i = 0; i < block->bytes / UNIT; i += 8) {
        _mm_storeu_si128((__m128i *)(void *)(at + i), all);
    }
}
static inline void set_state(const block_t *block, uint8_t state) {
    uint8_t *at = memory_state + (size_t)(block->at - memory_arena) / UNIT;
    size_t count = block->bytes / UNIT;
    if (count > 16) {
        memset(at, state, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        at[i] = state;
    }
}

void memory_reset(void) {
    if (memory_arena == NULL) {
        memory_arena = map(ARENA_AT, ARENA);
        memory_index = map(0, ARENA);
        memory_state = map(0, ARENA / UNIT + PAGE);
        owner = map(0, ARENA / UNIT * sizeof *owner + PAGE);
        memory_locations = map(0, LOCATIONS_MAX * sizeof *memory_locations);
    }
    for (unsigned i = 0; i < location_count; i++) {
        memory_index[(size_t)((const char *)memory_locations[i].at - memory_arena) / 4] = 0;
    }
    for (unsigned i = 0; i < block_count; i++) {
        if (blocks[i].bytes > LARGE) {
            (void)madvise(blocks[i].at, blocks[i].bytes, MADV_DONTNEED);
        } else {
            fill(blocks[i].at, 0, blocks[i].bytes);
        }
    }
    memory_used = 0;
    block_count = 0;
    freed_count = 0;
    location_count = 0;
    static_count = 0;
}

void memory_expect_all_freed(void) {
    for (unsigned i = 0; freed_count < block_count && i < block_count; i++) {
        if (!blocks[i].freed) {
            explore_fail("leak: %zu bytes at %p", blocks[i].bytes, (void *)blocks[i].at);
        }
    }
}

static bool is_in_arena(const void *at) { return (size_t)((const char *)at - memory_arena) < memory_used; }

static inline uint8_t state_of(const void *at) { return memory_state[(size_t)((const char *)at - memory_arena) / UNIT]; }
static inline block_t *block_of(const void *at) { return &blocks[owner[(size_t)((const char *)at - memory_arena) / UNIT]]; }

int memory_block_number(const void *at, size_t *offset) {
    if (!is_in_arena(at) || state_of(at) == NOT_GIVEN) {
        return -1;
    }
    const block_t *block = block_of(at);
    *offset = (size_t)((const char *)at - block->at);
    return (int)(block - blocks);
}

static void begin_location(location_t *location, const void *at, block_t *block) {
    location->at = at;
    location->block = block;
    location->stores = 0;
    location->heads = 0;
    location->any.all = location->plain_write.all = location->atomic_write.all = _mm_setzero_si128();
    if (block != NULL) { // nobody comes to it who does not know of its allocation
        location->plain_write.clock[block->thread] = block->time;
    }
}

location_t *memory_static(const void *at) {
    for (unsigned i = 0; i < static_count; i++) {
        if (statics[i].at == at) {
            return &statics[i];
        }
    }
    if (static_count == STATIC_MAX || (uintptr_t)at < PAGE) {
        explore_fail("wild access: %p", at);
    }
    begin_location(&statics[static_count], at, NULL);
    return &statics[static_count++];
}

location_t *memory_new_location(const void *at, unsigned bytes) {
    block_t *block = block_of(at);
    if (state_of(at) == NOT_GIVEN || (const char *)at + bytes > block->at + block->asked) {
        explore_fail("out of bounds: %p is behind the end of a block", at);
    }
    if (location_count == LOCATIONS_MAX) {
        explore_fail("limit: too many locations for the explorer");
    }
    location_t *location = &memory_locations[location_count];
    begin_location(location, at, block);
    memory_index[(size_t)((const char *)at - memory_arena) / 4] = ++location_count;
    return location;
}

void memory_tell_main(const void *at) {
    explore_fail("%s: %p", state_of(at) == TAKEN_BACK ? "use after free" : "out of bounds", at);
}

// --- blocks -----------------------------------------------------------------------------------------------------------

static block_t *reuse(size_t bytes) {
    for (unsigned i = block_count; freed_count > 0 && i > 0; i--) {
        block_t *block = &blocks[i - 1];
        if (block->freed && block->bytes == bytes) {
            return running == MAIN_THREAD || schedule_decide(2, 2) != 0 ? block : NULL;
        }
    }
    return NULL;
}

static void note_giver(block_t *block) {
    block->thread = running;
    block->time = model_time();
}

static void begin_again(block_t *block) { // the same addresses, and no history
    note_giver(block);
    for (size_t i = 0; i < block->bytes; i += 4) {
        uint32_t index = memory_index[(size_t)(block->at - memory_arena + (ptrdiff_t)i) / 4];
        if (index != 0) {
            begin_location(&memory_locations[index - 1], block->at + i, block);
        }
    }
    fill(block->at, 0, block->bytes);
    block->freed = false;
    freed_count--;
}

static void *take(size_t bytes, size_t alignment) {
    size_t rounded = (bytes + UNIT - 1) & ~(UNIT - 1);
    block_t *block = reuse(rounded);
    if (block != NULL) {
        begin_again(block);
    } else {
        size_t from = (memory_used + UNIT + alignment - 1) & ~(alignment - 1); // never one at the end of another
        if (block_count == BLOCKS_MAX || rounded > ARENA - from) {
            return NULL;
        }
        for (size_t i = memory_used / UNIT; i < from / UNIT; i += 16) { // as set_owner
            _mm_storeu_si128((__m128i *)(void *)(memory_state + i), _mm_set1_epi8(NOT_GIVEN));
        }
        block = &blocks[block_count++];
        *block = (block_t){.at = memory_arena + from, .bytes = rounded};
        memory_used = from + rounded;
        set_owner(block);
        note_giver(block);
    }
    set_state(block, GIVEN);
    block->asked = bytes;
    TRACE(SAID_GIVEN, ORDER_RELAXED, block->at, bytes, 0, false);
    return block->at;
}

// Whoever accessed the block must be known to have done so before.
static void look_for_users(const block_t *block) {
    __m128i before = model_threads[running].before.all;
    for (size_t i = 0; i < block->bytes; i += 4) {
        uint32_t index = memory_index[(size_t)(block->at - memory_arena + (ptrdiff_t)i) / 4];
        if (index == 0) {
            continue;
        }
        const location_t *location = &memory_locations[index - 1];
        unsigned later = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi16(location->any.all, before));
        if (later != 0) {
            trace_race_thread = __builtin_ctz(later) / 2;
            trace_race_at = location->at;
            explore_fail("race: %p is freed, and nothing orders an access by thread %d", location->at, trace_race_thread);
        }
    }
}

static void give(void *memory) {
    if (memory == NULL) {
        return;
    }
    schedule_door(DOOR_ANY, memory, false);
    TRACE(SAID_FREE, ORDER_RELAXED, memory, 0, 0, false);
    block_t *block = is_in_arena(memory) && state_of(memory) != NOT_GIVEN ? block_of(memory) : NULL;
    if (block == NULL || block->at != memory || block->freed) {
        explore_fail("%s: %p", block != NULL && block->at == memory ? "double free" : "free of what was not allocated", memory);
    }
    if (running != MAIN_THREAD) {
        look_for_users(block);
    }
    block->freed = true;
    freed_count++;
    set_state(block, TAKEN_BACK);
    if (block->bytes <= LARGE) {
        fill(block->at, POISON, block->bytes);
    }
}

void *shared_alloc(size_t bytes) { return take(bytes, UNIT); }
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
