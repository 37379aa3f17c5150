// C4 with a thread that stops in the worst place: inside a critical section of the lock-free table, where no grace period
// can end. Nothing that it has retired, or others do, is used again; the others go on, in memory that grows.
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "capability.h"
#include "expect.h"

enum { CHILDREN = 400, GONE = 50000, PINNED = 1000, FREEZES_MOST = 2000 };

static capability_table_t *table;
static bool used[1 << 20]; // slots, since the freeze
static _Atomic(bool) wanted, frozen, over;

static void nap(void) { nanosleep(&(struct timespec){0, 200000}, NULL); }

static void freeze(int number) {
    (void)number;
    frozen = true;
    while (wanted) {
        nap();
    }
    frozen = false;
}

// Is nearly always inside: revoke and attenuate of a large subtree are one critical section each.
static void *victim_main(void *unused) {
    capability_thread_t *self = NULL;
    EXPECT_EQ(capability_thread_join(table, &self), STATUS_OK);
    while (!over) {
        cap_id_t root = CAPABILITY_NONE;
        cap_id_t child = CAPABILITY_NONE;
        EXPECT_EQ(capability_create(self, 1, CAPABILITY_RIGHTS_ALL, &root), STATUS_OK);
        for (int i = 0; i < CHILDREN; i++) {
            EXPECT_EQ(capability_delegate(self, root, CAPABILITY_RIGHT_READ, &child), STATUS_OK);
        }
        EXPECT_EQ(capability_attenuate(self, root, CAPABILITY_RIGHT_READ), STATUS_OK);
        EXPECT_EQ(capability_revoke(self, root), STATUS_OK);
    }
    capability_thread_leave(self);
    return unused;
}

// Whether the slot of `id` was used by an earlier one since the freeze.
static bool used_again(cap_id_t id) {
    bool *slot = &used[id & (sizeof used - 1)];
    bool before = *slot;
    *slot = true;
    return before;
}

// `count` families made, asked for and ended: each operation comes back, with the right answer. How many slots were
// used again meanwhile.
static int go_on(capability_thread_t *self, int count) {
    int again = 0;
    for (int i = 0; i < count; i++) {
        cap_id_t root = CAPABILITY_NONE;
        cap_id_t child = CAPABILITY_NONE;
        capability_info_t info;
        EXPECT_EQ(capability_create(self, 2, CAPABILITY_RIGHTS_ALL, &root), STATUS_OK);
        EXPECT_EQ(capability_delegate(self, root, CAPABILITY_RIGHT_READ, &child), STATUS_OK);
        again += used_again(root) + used_again(child);
        EXPECT(capability_check(table, child, CAPABILITY_RIGHT_READ));
        EXPECT_EQ(capability_lookup(table, child, &info), STATUS_OK);
        EXPECT_EQ(capability_attenuate(self, root, CAPABILITY_RIGHT_READ), STATUS_OK);
        EXPECT(!capability_check(table, child, CAPABILITY_RIGHT_READ));
        EXPECT_EQ(i % 2 ? capability_revoke(self, root) : capability_delete(self, child), STATUS_OK);
        EXPECT(!capability_check(table, child, 0));
        EXPECT_EQ(capability_delete(self, root), i % 2 ? STATUS_STALE : STATUS_OK);
    }
    return again;
}

static void others_go_on_while_one_is_stopped_inside(void) {
    capability_thread_t *self = NULL;
    pthread_t victim;
    bool inside = false;
    EXPECT_EQ(capability_table_create(NULL, &table), STATUS_OK);
    EXPECT_EQ(capability_thread_join(table, &self), STATUS_OK);
    signal(SIGUSR2, freeze);
    EXPECT(go_on(self, PINNED) > PINNED); // nobody is stopped: slots are used again and again
    EXPECT_EQ(pthread_create(&victim, NULL, victim_main, NULL), 0);
    for (int i = 0; i < FREEZES_MOST && !inside; i++) {
        wanted = true;
        pthread_kill(victim, SIGUSR2);
        while (!frozen) {
            nap();
        }
        memset(used, 0, sizeof used);
        inside = go_on(self, PINNED) == 0; // with nobody inside, slots come back after some dozens
        if (inside) {
            EXPECT_EQ(go_on(self, GONE), 0);
        }
        wanted = false;
        while (frozen) {
            nap();
        }
    }
    EXPECT(inside);
    over = true;
    pthread_join(victim, NULL);
    capability_settle(self); // and all of it is, once the victim has gone on
    capability_audit_t audit = capability_audit(table);
    EXPECT_EQ(audit.retired, 0);
    EXPECT_EQ(audit.live, 0);
    capability_thread_leave(self);
    capability_table_destroy(table);
}

int main(void) {
    others_go_on_while_one_is_stopped_inside();
    return 0;
}
