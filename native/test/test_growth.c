// Growth without a pause: several threads make capabilities until so many live at once, while others ask all the time, and never
// get a wrong answer.
//
//     test_growth [capabilities]      default: 400000, some chunks; 67108864 is 2^26, and takes 6 GB
//
// Exit status 0; 1 with what was wrong; 77 where there is no memory for so many.
#include <pthread.h>
#include <stdlib.h>

#include "capability.h"
#include "atomics.h"
#include "expect.h"

enum { MAKERS = 2, SPOTS = 1024, NO_MEMORY = 77 };

typedef struct maker {
    capability_table_t *table;
    uint64_t count;
    cap_id_t *ids; // `count` of them
    status_t status;
} maker_t;

static atomic_u64_t spots[SPOTS]; // ids that live
static atomic_u32_t over;
static capability_table_t *table;

static void *make_them(void *argument) {
    maker_t *maker = argument;
    capability_thread_t *self = NULL;
    EXPECT_EQ(capability_thread_join(maker->table, &self), STATUS_OK);
    for (uint64_t i = 0; i < maker->count; i++) {
        maker->status = capability_create(self, i, i, &maker->ids[i]);
        if (maker->status != STATUS_OK) {
            break;
        }
        if (i % 64 == 0) {
            atomic_store_release_u64(&spots[i / 64 % SPOTS], maker->ids[i]);
        }
    }
    capability_thread_leave(self);
    return NULL;
}

static void *ask_them(void *unused) {
    (void)unused;
    uint64_t random = 1;
    while (atomic_load_acquire_u32(&over) == 0) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        cap_id_t id = atomic_load_acquire_u64(&spots[random >> 33 & (SPOTS - 1)]);
        EXPECT_EQ(capability_check(table, id, 0), id != CAPABILITY_NONE);
        EXPECT(!capability_check(table, random | (cap_id_t)1 << 63, 0)); // an index that may come into use just now
    }
    return NULL;
}

static void check_all(const maker_t *maker) {
    for (uint64_t i = 0; i < maker->count; i++) {
        EXPECT(capability_check(table, maker->ids[i], i));
        EXPECT(!capability_check(table, maker->ids[i], i | (cap_rights_t)1 << 40));
    }
}

static bool grow(maker_t *makers) {
    pthread_t threads[MAKERS + 1];
    EXPECT_EQ(pthread_create(&threads[MAKERS], NULL, ask_them, NULL), 0);
    for (int i = 0; i < MAKERS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, make_them, &makers[i]), 0);
    }
    bool made = true;
    for (int i = 0; i < MAKERS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
        EXPECT(makers[i].status == STATUS_OK || makers[i].status == STATUS_NO_MEMORY);
        made &= makers[i].status == STATUS_OK;
    }
    atomic_store_release_u32(&over, 1);
    EXPECT_EQ(pthread_join(threads[MAKERS], NULL), 0);
    return made;
}

int main(int count, char **arguments) {
    char *end = NULL;
    uint64_t wanted = count > 1 ? strtoull(arguments[1], &end, 10) : 400000;
    if (count > 2 || wanted < MAKERS || wanted > CAPABILITY_MAX_CAPACITY / 2 || (end != NULL && *end != '\0')) {
        fprintf(stderr, "usage: %s [capabilities, 2 .. %llu]\n", arguments[0],
                (unsigned long long)CAPABILITY_MAX_CAPACITY / 2);
        return 2;
    }
    // each thread may hold a batch of slots that it does not use
    capability_config_t config = {.capacity = wanted + 1024};
    EXPECT_EQ(capability_table_create(&config, &table), STATUS_OK);
    maker_t makers[MAKERS] = {0};
    for (uint64_t i = 0; i < MAKERS; i++) {
        makers[i] = (maker_t){.table = table, .count = wanted / MAKERS + (i < wanted % MAKERS)};
        makers[i].ids = malloc(makers[i].count * sizeof(cap_id_t));
    }
    bool enough = makers[0].ids != NULL && makers[1].ids != NULL && grow(makers);
    if (enough) {
        check_all(&makers[0]);
        check_all(&makers[1]);
        EXPECT_EQ(capability_audit(table).live, wanted);
        EXPECT_EQ(capability_stats(table).created, wanted);
    }
    free(makers[0].ids);
    free(makers[1].ids);
    capability_table_destroy(table);
    puts(enough ? "ok growth: all live, and none was ever missing" : "left out: no memory for so many");
    return enough ? 0 : NO_MEMORY;
}
