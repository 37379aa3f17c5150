// A chained hash table under one reader-writer lock. Ids count up and are never used again.
#include "baseline_capability.h"

#include <pthread.h>

#include "atomics.h"

#define FIRST_BUCKETS 1024u

typedef struct node {
    cap_id_t id;
    cap_rights_t rights;
    struct node *chain; // the next in the bucket
    uint64_t object;
    cap_id_t parent_id; // of the parent at birth; the parent itself is in `parent`
    struct node *parent;
    struct node *first_child;
    struct node *previous; // siblings
    struct node *next;
} node_t;

// Everything is guarded by `lock`.
struct baseline_table {
    pthread_rwlock_t lock;
    node_t **buckets;
    uint64_t bucket_count; // a power of two
    uint64_t live;
    uint64_t next_id;
    uint64_t created;
    uint64_t deleted;
};

struct baseline_thread {
    baseline_table_t *table;
};

// --- the hash table; the lock is held ---------------------------------------------------------------------------

static uint64_t bucket_of(uint64_t bucket_count, cap_id_t id) {
    uint64_t hash = id * 0x9e3779b97f4a7c15u;
    return (hash >> 32) & (bucket_count - 1);
}

static node_t *find(const baseline_table_t *table, cap_id_t id) {
    node_t *node = table->buckets[bucket_of(table->bucket_count, id)];
    while (node != NULL && node->id != id) {
        node = node->chain;
    }
    return node;
}

// Doubles the buckets. A table that cannot grow goes on with longer chains.
static void grow(baseline_table_t *table) {
    uint64_t bucket_count = table->bucket_count * 2;
    node_t **buckets = shared_alloc(bucket_count * sizeof *buckets);
    if (buckets == NULL) {
        return;
    }
    for (uint64_t b = 0; b < table->bucket_count; b++) {
        node_t *node = table->buckets[b];
        while (node != NULL) {
            node_t *next = node->chain;
            uint64_t to = bucket_of(bucket_count, node->id);
            node->chain = buckets[to];
            buckets[to] = node;
            node = next;
        }
    }
    shared_free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
}

static void insert(baseline_table_t *table, node_t *node) {
    if (table->live >= table->bucket_count) {
        grow(table);
    }
    uint64_t b = bucket_of(table->bucket_count, node->id);
    node->chain = table->buckets[b];
    table->buckets[b] = node;
    table->live++;
    table->created++;
}

// --- the tree; the lock is held for writing -----------------------------------------------------------------------

static cap_id_t make(baseline_table_t *table, node_t *parent, node_t *node, uint64_t object, cap_rights_t rights) {
    node->id = table->next_id++;
    node->object = object;
    node->rights = rights;
    node->parent = parent;
    if (parent != NULL) {
        node->parent_id = parent->id;
        node->next = parent->first_child;
        if (node->next != NULL) {
            node->next->previous = node;
        }
        parent->first_child = node;
    }
    insert(table, node);
    return node->id;
}

// A node without children.
static void remove_leaf(baseline_table_t *table, node_t *node) {
    node_t **link = &table->buckets[bucket_of(table->bucket_count, node->id)];
    while (*link != node) {
        link = &(*link)->chain;
    }
    *link = node->chain;
    if (node->previous != NULL) {
        node->previous->next = node->next;
    } else if (node->parent != NULL) {
        node->parent->first_child = node->next;
    }
    if (node->next != NULL) {
        node->next->previous = node->previous;
    }
    table->live--;
    table->deleted++;
    shared_free(node);
}

// The node after `at` in the subtree of `root`, parents first; NULL after the last.
static node_t *next_in_subtree(const node_t *root, node_t *at) {
    if (at->first_child != NULL) {
        return at->first_child;
    }
    while (at != root) {
        if (at->next != NULL) {
            return at->next;
        }
        at = at->parent;
    }
    return NULL;
}

static void remove_subtree(baseline_table_t *table, node_t *root) {
    node_t *at = root;
    for (;;) {
        while (at->first_child != NULL) {
            at = at->first_child;
        }
        node_t *parent = at->parent;
        bool last = at == root;
        remove_leaf(table, at);
        if (last) {
            return;
        }
        at = parent;
    }
}

// --- the table ----------------------------------------------------------------------------------------------------

status_t baseline_table_create(const capability_config_t *config, baseline_table_t **out) {
    if (config != NULL && config->capacity > CAPABILITY_MAX_CAPACITY) {
        return STATUS_INVALID;
    }
    baseline_table_t *table = shared_alloc(sizeof *table);
    node_t **buckets = shared_alloc(FIRST_BUCKETS * sizeof *buckets);
    if (table == NULL || buckets == NULL) {
        shared_free(table);
        shared_free(buckets);
        return STATUS_NO_MEMORY;
    }
    table->buckets = buckets;
    table->bucket_count = FIRST_BUCKETS;
    table->next_id = 1;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    // The C library's default lets readers in for ever while a writer waits: a revoke would not return under load.
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&table->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    *out = table;
    return STATUS_OK;
}

void baseline_table_destroy(baseline_table_t *table) {
    for (uint64_t b = 0; b < table->bucket_count; b++) {
        node_t *node = table->buckets[b];
        while (node != NULL) {
            node_t *next = node->chain;
            shared_free(node);
            node = next;
        }
    }
    pthread_rwlock_destroy(&table->lock);
    shared_free(table->buckets);
    shared_free(table);
}

status_t baseline_thread_join(baseline_table_t *table, baseline_thread_t **self) {
    *self = shared_alloc(sizeof **self);
    if (*self == NULL) {
        return STATUS_NO_MEMORY;
    }
    (*self)->table = table;
    return STATUS_OK;
}

void baseline_thread_leave(baseline_thread_t *self) { shared_free(self); }

// --- operations ---------------------------------------------------------------------------------------------------

// The lock is state of the table that readers change, too; the table as such is constant for them.
static pthread_rwlock_t *lock_of(const baseline_table_t *table) { return &((baseline_table_t *)table)->lock; }

bool baseline_capability_check(const baseline_table_t *table, cap_id_t id, cap_rights_t need) {
    pthread_rwlock_rdlock(lock_of(table));
    const node_t *node = find(table, id);
    bool held = node != NULL && (node->rights & need) == need;
    pthread_rwlock_unlock(lock_of(table));
    return held;
}

uint64_t baseline_capability_check_batch(const baseline_table_t *table, const cap_id_t *ids, uint64_t count,
                                         cap_rights_t need, uint64_t *allowed) {
    uint64_t sum = 0;
    for (uint64_t word = 0; word < (count + 63) / 64; word++) {
        allowed[word] = 0;
    }
    pthread_rwlock_rdlock(lock_of(table));
    for (uint64_t i = 0; i < count; i++) {
        const node_t *node = find(table, ids[i]);
        uint64_t held = node != NULL && (node->rights & need) == need;
        allowed[i / 64] |= held << i % 64;
        sum += held;
    }
    pthread_rwlock_unlock(lock_of(table));
    return sum;
}

status_t baseline_capability_lookup(const baseline_table_t *table, cap_id_t id, capability_info_t *info) {
    pthread_rwlock_rdlock(lock_of(table));
    const node_t *node = find(table, id);
    if (node != NULL) {
        *info = (capability_info_t){.object = node->object, .rights = node->rights, .parent = node->parent_id};
    }
    pthread_rwlock_unlock(lock_of(table));
    return node != NULL ? STATUS_OK : STATUS_STALE;
}

status_t baseline_capability_create(baseline_thread_t *self, uint64_t object, cap_rights_t rights, cap_id_t *id) {
    node_t *node = shared_alloc(sizeof *node);
    if (node == NULL) {
        return STATUS_NO_MEMORY;
    }
    pthread_rwlock_wrlock(&self->table->lock);
    *id = make(self->table, NULL, node, object, rights);
    pthread_rwlock_unlock(&self->table->lock);
    return STATUS_OK;
}

status_t baseline_capability_grant(baseline_thread_t *self, cap_id_t id, cap_rights_t add) {
    status_t status = STATUS_STALE;
    pthread_rwlock_wrlock(&self->table->lock);
    node_t *node = find(self->table, id);
    if (node != NULL) {
        status = node->parent == NULL ? STATUS_OK : STATUS_DENIED;
        node->rights |= node->parent == NULL ? add : 0;
    }
    pthread_rwlock_unlock(&self->table->lock);
    return status;
}

status_t baseline_capability_attenuate(baseline_thread_t *self, cap_id_t id, cap_rights_t drop) {
    pthread_rwlock_wrlock(&self->table->lock);
    node_t *root = find(self->table, id);
    for (node_t *at = root; at != NULL; at = next_in_subtree(root, at)) {
        at->rights &= ~drop;
    }
    pthread_rwlock_unlock(&self->table->lock);
    return root != NULL ? STATUS_OK : STATUS_STALE;
}

status_t baseline_capability_delegate(baseline_thread_t *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child) {
    cap_rights_t need = rights | CAPABILITY_RIGHT_DELEGATE;
    node_t *node = shared_alloc(sizeof *node);
    if (node == NULL) {
        return STATUS_NO_MEMORY;
    }
    status_t status = STATUS_STALE;
    pthread_rwlock_wrlock(&self->table->lock);
    node_t *above = find(self->table, parent);
    if (above != NULL) {
        status = (above->rights & need) == need ? STATUS_OK : STATUS_DENIED;
    }
    if (status == STATUS_OK) {
        *child = make(self->table, above, node, above->object, rights);
    }
    pthread_rwlock_unlock(&self->table->lock);
    if (status != STATUS_OK) {
        shared_free(node);
    }
    return status;
}

status_t baseline_capability_revoke(baseline_thread_t *self, cap_id_t id) {
    pthread_rwlock_wrlock(&self->table->lock);
    node_t *root = find(self->table, id);
    if (root != NULL) {
        remove_subtree(self->table, root);
    }
    pthread_rwlock_unlock(&self->table->lock);
    return root != NULL ? STATUS_OK : STATUS_STALE;
}

status_t baseline_capability_delete(baseline_thread_t *self, cap_id_t id) {
    status_t status = STATUS_STALE;
    pthread_rwlock_wrlock(&self->table->lock);
    node_t *node = find(self->table, id);
    if (node != NULL) {
        status = node->first_child == NULL ? STATUS_OK : STATUS_BUSY;
    }
    if (status == STATUS_OK) {
        remove_leaf(self->table, node);
    }
    pthread_rwlock_unlock(&self->table->lock);
    return status;
}

static status_t may_transfer(const node_t *node, cap_id_t parent, const node_t *above) {
    cap_rights_t need = node->rights | CAPABILITY_RIGHT_DELEGATE;
    if (parent == CAPABILITY_NONE) {
        return node->parent == NULL ? STATUS_OK : STATUS_DENIED;
    }
    for (const node_t *at = above; at != NULL; at = at->parent) {
        if (at == node) {
            return STATUS_INVALID;
        }
    }
    return (above->rights & need) == need && above->object == node->object ? STATUS_OK : STATUS_DENIED;
}

status_t baseline_capability_transfer(baseline_thread_t *self, cap_id_t id, cap_id_t parent, cap_id_t *moved) {
    status_t status = STATUS_STALE;
    node_t *fresh = shared_alloc(sizeof *fresh);
    if (fresh == NULL) {
        return STATUS_NO_MEMORY;
    }
    pthread_rwlock_wrlock(&self->table->lock);
    node_t *node = find(self->table, id);
    node_t *above = find(self->table, parent);
    if (node != NULL && (parent == CAPABILITY_NONE || above != NULL)) {
        status = may_transfer(node, parent, above);
    }
    if (status == STATUS_OK) {
        *moved = make(self->table, above, fresh, node->object, node->rights);
        remove_subtree(self->table, node);
    }
    pthread_rwlock_unlock(&self->table->lock);
    if (status != STATUS_OK) {
        shared_free(fresh);
    }
    return status;
}

typedef status_t change_t(baseline_thread_t *self, cap_id_t id, cap_rights_t rights);

static uint64_t change_all(baseline_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t rights,
                           status_t *answers, change_t *change) {
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        status_t answer = change(self, ids[i], rights);
        good += answer == STATUS_OK;
        if (answers != NULL) {
            answers[i] = answer;
        }
    }
    return good;
}

uint64_t baseline_capability_grant_batch(baseline_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t add,
                                         status_t *answers) {
    return change_all(self, ids, count, add, answers, baseline_capability_grant);
}

uint64_t baseline_capability_attenuate_batch(baseline_thread_t *self, const cap_id_t *ids, uint64_t count,
                                             cap_rights_t drop, status_t *answers) {
    return change_all(self, ids, count, drop, answers, baseline_capability_attenuate);
}

// --- accounts -----------------------------------------------------------------------------------------------------

capability_stats_t baseline_capability_stats(const baseline_table_t *table) {
    pthread_rwlock_rdlock(lock_of(table));
    capability_stats_t stats = {.created = table->created, .deleted = table->deleted};
    pthread_rwlock_unlock(lock_of(table));
    return stats;
}

// What is removed is freed at once.
void baseline_capability_settle(baseline_thread_t *self) { (void)self; }

capability_audit_t baseline_capability_audit(const baseline_table_t *table) {
    capability_audit_t audit = {0};
    pthread_rwlock_rdlock(lock_of(table));
    for (uint64_t b = 0; b < table->bucket_count; b++) {
        for (const node_t *node = table->buckets[b]; node != NULL; node = node->chain) {
            audit.live++;
            if (node->parent == NULL) {
                continue;
            }
            audit.orphans += find(table, node->parent_id) != node->parent;
            audit.excesses += (node->rights & ~node->parent->rights) != 0;
        }
    }
    audit.slots = audit.live;
    pthread_rwlock_unlock(lock_of(table));
    return audit;
}
