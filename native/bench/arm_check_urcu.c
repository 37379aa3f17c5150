/* op_check: userspace-rcu's lock-free hash table, keyed by the id, as one would use it for the same purpose: the rights lie in
 * the node, and a check is a lookup inside a read-side section. */
#define _LGPL_SOURCE 1
#define URCU_API_MAP 1
#include <urcu/urcu-memb.h>

#include <urcu/rculfhash.h>

#include <stdlib.h>

#include "capability.h"

typedef struct {
    struct cds_lfht_node node;
    cap_id_t id;
    cap_rights_t rights;
} entry_t;

typedef struct {
    struct cds_lfht *hash;
    entry_t *entries;
} check_table_t;

static unsigned long hash_of(cap_id_t id) { return (unsigned long)((id + 1) * 0x9e3779b97f4a7c15u >> 7); }

static int is_of(struct cds_lfht_node *node, const void *id) {
    return caa_container_of(node, entry_t, node)->id == *(const cap_id_t *)id;
}

static status_t check_fill(check_table_t **table, uint32_t count, cap_id_t *ids) {
    unsigned long buckets = 64;
    while (buckets < count)
        buckets *= 2;
    check_table_t *made = calloc(1, sizeof *made);
    entry_t *entries = calloc(count, sizeof *entries);
    struct cds_lfht *hash = cds_lfht_new_flavor(buckets, buckets, 0, 0, &urcu_memb_flavor, NULL);
    if (!made || !entries || !hash)
        return STATUS_NO_MEMORY; /* the run ends with it */
    urcu_memb_register_thread();
    urcu_memb_read_lock();
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = (uint64_t)1 << 26 | i;
        entries[i].id = ids[i];
        entries[i].rights = CAPABILITY_RIGHT_READ | CAPABILITY_RIGHT_WRITE;
        cds_lfht_node_init(&entries[i].node);
        cds_lfht_add(hash, hash_of(ids[i]), &entries[i].node);
    }
    urcu_memb_read_unlock();
    urcu_memb_unregister_thread();
    *made = (check_table_t){hash, entries};
    *table = made;
    return STATUS_OK;
}

__attribute__((noinline)) static bool check_one(const check_table_t *table, cap_id_t id, cap_rights_t need) {
    struct cds_lfht_iter at;
    bool allowed = false;
    urcu_memb_read_lock();
    cds_lfht_lookup(table->hash, hash_of(id), is_of, &id, &at);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&at);
    if (node)
        allowed = (caa_container_of(node, entry_t, node)->rights & need) == need;
    urcu_memb_read_unlock();
    return allowed;
}

static void check_clear(check_table_t *table, uint32_t count, const cap_id_t *ids) {
    urcu_memb_register_thread();
    urcu_memb_read_lock();
    for (uint32_t i = 0; i < count; i++) {
        struct cds_lfht_iter at;
        cds_lfht_lookup(table->hash, hash_of(ids[i]), is_of, &ids[i], &at);
        cds_lfht_del(table->hash, cds_lfht_iter_get_node(&at));
    }
    urcu_memb_read_unlock();
    urcu_memb_unregister_thread();
    cds_lfht_destroy(table->hash, NULL);
    free(table->entries);
    free(table);
}

typedef const check_table_t check_view_t;
static check_view_t *check_open(const check_table_t *table, uint32_t count) {
    (void)count;
    urcu_memb_register_thread();
    return table;
}
static void check_close(check_view_t *view) {
    (void)view;
    urcu_memb_unregister_thread();
}

#define ARM_BENCH "op_check"
#define ARM_NAME "urcu"
#define ARM_KIND ARM_PEER
#define ARM_SCALES false
#include "arm_check.h"
