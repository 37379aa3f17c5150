// The cache: what is kept, what is not given any more, and room that changes while it is used.
#include <pthread.h>
#include <stdlib.h>

#include "capability_cache.h"
#include "expect.h"
#include "memory_limits.h"

#define READ CAPABILITY_RIGHT_READ
#define WRITE CAPABILITY_RIGHT_WRITE
#define DELEGATE CAPABILITY_RIGHT_DELEGATE

typedef struct bed {
    capability_table_t *table;
    capability_thread_t *self;
    capability_cache_t *cache;
} bed_t;

static bed_t bed_make(uint64_t entries) {
    bed_t bed;
    EXPECT_EQ(capability_table_create(NULL, &bed.table), STATUS_OK);
    EXPECT_EQ(capability_thread_join(bed.table, &bed.self), STATUS_OK);
    EXPECT_EQ(capability_cache_create(bed.table, entries, &bed.cache), STATUS_OK);
    return bed;
}

static void bed_end(bed_t *bed) {
    capability_cache_destroy(bed->cache);
    capability_thread_leave(bed->self);
    capability_table_destroy(bed->table);
}

static cap_id_t root_of(bed_t *bed, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(capability_create(bed->self, 1, rights, &id), STATUS_OK);
    return id;
}

static cap_id_t child_of(bed_t *bed, cap_id_t parent, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(capability_delegate(bed->self, parent, rights, &id), STATUS_OK);
    return id;
}

static bool kept(bed_t *bed, cap_id_t id, cap_rights_t need) { return capability_cache_check(bed->cache, id, need); }

static void the_second_check_is_a_hit_whatever_is_asked(void) {
    bed_t bed = bed_make(64);
    cap_id_t id = root_of(&bed, READ | WRITE);
    EXPECT(kept(&bed, id, READ));
    EXPECT(kept(&bed, id, READ) && kept(&bed, id, WRITE) && kept(&bed, id, 0) && !kept(&bed, id, DELEGATE));
    capability_cache_stats_t stats = capability_cache_stats(bed.cache);
    EXPECT_EQ(stats.misses, 1);
    EXPECT_EQ(stats.hits, 4);
    EXPECT_EQ(stats.entries, 64);
    capability_cache_forget(bed.cache);
    EXPECT(kept(&bed, id, READ));
    EXPECT_EQ(capability_cache_stats(bed.cache).misses, 2);
    bed_end(&bed);
}

static void what_does_not_live_is_not_kept(void) {
    bed_t bed = bed_make(64);
    cap_id_t id = root_of(&bed, READ);
    EXPECT_EQ(capability_delete(bed.self, id), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        EXPECT(!kept(&bed, id, 0) && !kept(&bed, CAPABILITY_NONE, 0) && !kept(&bed, ~(cap_id_t)0, 0));
    }
    EXPECT_EQ(capability_cache_stats(bed.cache).hits, 0);
    EXPECT_EQ(capability_cache_stats(bed.cache).misses, 9);
    bed_end(&bed);
}

static void every_change_is_seen_after_it_has_returned(void) {
    bed_t bed = bed_make(64);
    cap_id_t root = root_of(&bed, READ | WRITE | DELEGATE);
    cap_id_t child = child_of(&bed, root, READ | WRITE | DELEGATE);
    cap_id_t grandchild = child_of(&bed, child, READ | WRITE);
    EXPECT(kept(&bed, root, READ) && kept(&bed, child, READ | WRITE) && kept(&bed, grandchild, WRITE));
    EXPECT(!kept(&bed, root, 1 << 9));
    EXPECT_EQ(capability_grant(bed.self, root, 1 << 9), STATUS_OK);
    EXPECT(kept(&bed, root, 1 << 9));
    EXPECT_EQ(capability_attenuate(bed.self, root, WRITE), STATUS_OK);
    EXPECT(!kept(&bed, root, WRITE) && !kept(&bed, child, WRITE) && !kept(&bed, grandchild, WRITE));
    EXPECT(kept(&bed, grandchild, READ));
    cap_id_t moved = CAPABILITY_NONE;
    EXPECT_EQ(capability_transfer(bed.self, child, root, &moved), STATUS_OK);
    EXPECT(!kept(&bed, child, 0) && !kept(&bed, grandchild, 0) && kept(&bed, moved, READ));
    EXPECT_EQ(capability_revoke(bed.self, root), STATUS_OK);
    EXPECT(!kept(&bed, root, 0) && !kept(&bed, moved, 0));
    cap_id_t single = root_of(&bed, READ);
    EXPECT(kept(&bed, single, READ));
    EXPECT_EQ(capability_delete(bed.self, single), STATUS_OK);
    EXPECT(!kept(&bed, single, 0));
    bed_end(&bed);
}

// C6, over ids that share lines of the cache, in every size.
static void every_size_answers_as_the_table_does(void) {
    enum { IDS = 500 };
    bed_t bed = bed_make(0);
    cap_id_t ids[IDS];
    cap_id_t root = root_of(&bed, CAPABILITY_RIGHTS_ALL);
    for (int i = 0; i < IDS; i++) {
        ids[i] = i % 5 == 0 ? root_of(&bed, (cap_rights_t)i) : child_of(&bed, root, (cap_rights_t)i | DELEGATE);
    }
    uint64_t random = 1;
    for (uint64_t entries = 0; entries <= 1024; entries = entries == 0 ? 1 : entries * 2) {
        EXPECT_EQ(capability_cache_resize(bed.cache, entries), STATUS_OK);
        for (int i = 0; i < 20000; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            cap_id_t *id = &ids[(random >> 33) % IDS];
            cap_rights_t need = random >> 20 & 0x1ff;
            EXPECT_EQ(kept(&bed, *id, need), capability_check(bed.table, *id, need));
            if (i % 64 == 0) {
                EXPECT_EQ(capability_revoke(bed.self, *id), STATUS_OK);
                EXPECT(!kept(&bed, *id, 0));
                *id = root_of(&bed, need);
            }
        }
        EXPECT_EQ(capability_cache_stats(bed.cache).entries, entries);
        uint64_t allowed[(IDS + 63) / 64];
        uint64_t plain[(IDS + 63) / 64];
        for (int round = 0; round < 2; round++) {
            EXPECT_EQ(capability_cache_check_batch(bed.cache, ids, IDS, 3, allowed),
                      capability_check_batch(bed.table, ids, IDS, 3, plain));
            for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
                EXPECT_EQ(allowed[i], plain[i]);
            }
        }
    }
    bed_end(&bed);
}

static void sizes_are_rounded_up_and_bounded(void) {
    bed_t bed = bed_make(65);
    EXPECT_EQ(capability_cache_stats(bed.cache).entries, 128);
    EXPECT_EQ(capability_cache_resize(bed.cache, CAPABILITY_CACHE_MAX + 1), STATUS_INVALID);
    EXPECT_EQ(capability_cache_stats(bed.cache).entries, 128);
    EXPECT_EQ(capability_cache_resize(bed.cache, 0), STATUS_OK); // heard: nobody looked at it in between
    EXPECT_EQ(capability_cache_resize(bed.cache, 3), STATUS_OK);
    EXPECT_EQ(capability_cache_stats(bed.cache).entries, 4);
    cap_id_t id = root_of(&bed, READ);
    EXPECT(kept(&bed, id, READ) && kept(&bed, id, READ));
    EXPECT_EQ(capability_cache_stats(bed.cache).hits, 1);
    capability_cache_t *other = NULL;
    EXPECT_EQ(capability_cache_create(bed.table, CAPABILITY_CACHE_MAX + 1, &other), STATUS_INVALID);
    bed_end(&bed);
}

// --- several threads ------------------------------------------------------------------------------------------------

enum { ROUNDS = 20000, RESIZES = 300 };

typedef struct shared {
    bed_t bed;
    cap_id_t steady; // lives to the end
    atomic_u32_t over;
} shared_t;

static void *resize_all_the_time(void *argument) {
    shared_t *shared = argument;
    static const uint64_t sizes[] = {0, 1, 2, 64, 256};
    for (int i = 0; i < RESIZES; i++) {
        EXPECT_EQ(capability_cache_resize(shared->bed.cache, sizes[i % 5]), STATUS_OK);
        capability_cache_stats_t stats = capability_cache_stats(shared->bed.cache);
        EXPECT(stats.entries <= 256);
    }
    return NULL;
}

static void room_changes_while_it_is_used(void) {
    shared_t shared = {.bed = bed_make(16)};
    pthread_t threads[2];
    shared.steady = root_of(&shared.bed, READ);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, resize_all_the_time, &shared), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT(kept(&shared.bed, shared.steady, READ) && !kept(&shared.bed, shared.steady, WRITE));
        cap_id_t id = root_of(&shared.bed, WRITE);
        EXPECT(kept(&shared.bed, id, WRITE));
        EXPECT_EQ(capability_delete(shared.bed.self, id), STATUS_OK);
        EXPECT(!kept(&shared.bed, id, 0));
    }
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    bed_end(&shared.bed);
}

// One thread makes, publishes and revokes; others ask through caches of their own, and may not find what was revoked before they
// asked. Also after long hits: a cache that was full of answers before.
typedef struct relay {
    capability_table_t *table;
    atomic_u64_t id;      // lives, or is about to end
    atomic_u64_t revoked; // the last one whose revoke has returned
    atomic_u32_t over;
} relay_t;

static void *ask_all_the_time(void *argument) {
    relay_t *relay = argument;
    capability_cache_t *cache = NULL;
    EXPECT_EQ(capability_cache_create(relay->table, 64, &cache), STATUS_OK);
    while (atomic_load_acquire_u32(&relay->over) == 0) {
        cap_id_t id = atomic_load_acquire_u64(&relay->id);
        for (int i = 0; i < 8; i++) {
            (void)capability_cache_check(cache, id, READ);
            cap_id_t revoked = atomic_load_acquire_u64(&relay->revoked);
            EXPECT(!capability_cache_check(cache, revoked, 0));
        }
    }
    capability_cache_destroy(cache);
    return NULL;
}

static void nothing_revoked_is_found_through_any_cache(void) {
    bed_t bed = bed_make(0);
    relay_t relay = {.table = bed.table};
    pthread_t threads[2];
    cap_id_t root = root_of(&bed, READ | DELEGATE);
    cap_id_t id = child_of(&bed, root, READ);
    atomic_store_release_u64(&relay.id, id);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, ask_all_the_time, &relay), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        cap_id_t next = child_of(&bed, root, READ);
        EXPECT_EQ(capability_revoke(bed.self, id), STATUS_OK);
        atomic_store_release_u64(&relay.revoked, id);
        atomic_store_release_u64(&relay.id, next);
        id = next;
    }
    atomic_store_release_u32(&relay.over, 1);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    bed_end(&bed);
}

// --- memory exhausted -------------------------------------------------------------------------------------------------

// In a child, so that the limit is nobody else's.
static int without_memory(void) {
    bed_t bed = bed_make(16);
    cap_id_t id = root_of(&bed, READ);
    EXPECT(kept(&bed, id, READ));
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    EXPECT_EQ(capability_cache_resize(bed.cache, CAPABILITY_CACHE_MAX), STATUS_NO_MEMORY);
    capability_cache_t *other = NULL;
    EXPECT_EQ(capability_cache_create(bed.table, CAPABILITY_CACHE_MAX, &other), STATUS_NO_MEMORY);
    EXPECT(kept(&bed, id, READ));
    EXPECT_EQ(capability_cache_stats(bed.cache).hits, 1);
    EXPECT_EQ(capability_cache_stats(bed.cache).entries, 16);
    bed_end(&bed);
    return 0;
}

static void memory_that_is_refused_is_an_answer(void) {
    if (!memory_limits_hold()) {
        puts("left out: limits on memory do not hold here");
        return;
    }
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        _exit(without_memory());
    }
    int status = 1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

int main(void) {
    memory_that_is_refused_is_an_answer();
    the_second_check_is_a_hit_whatever_is_asked();
    what_does_not_live_is_not_kept();
    every_change_is_seen_after_it_has_returned();
    every_size_answers_as_the_table_does();
    sizes_are_rounded_up_and_bounded();
    room_changes_while_it_is_used();
    nothing_revoked_is_found_through_any_cache();
    puts("ok cache: hits, changes, sizes, threads");
    return 0;
}
