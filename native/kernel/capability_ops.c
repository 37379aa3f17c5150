// The lock-free table in the shape of capability_ops.h.
#include "capability_ops.h"

static status_t table_create(const capability_config_t *config, void **table) {
    capability_table_t *made = NULL;
    status_t status = capability_table_create(config, &made);
    *table = made;
    return status;
}
static void table_destroy(void *table) { capability_table_destroy(table); }
static status_t thread_join(void *table, void **self) {
    capability_thread_t *made = NULL;
    status_t status = capability_thread_join(table, &made);
    *self = made;
    return status;
}
static void thread_leave(void *self) { capability_thread_leave(self); }
static bool check(const void *table, cap_id_t id, cap_rights_t need) { return capability_check(table, id, need); }
static status_t lookup(const void *table, cap_id_t id, capability_info_t *info) {
    return capability_lookup(table, id, info);
}
static status_t create(void *self, uint64_t object, cap_rights_t rights, cap_id_t *id) {
    return capability_create(self, object, rights, id);
}
static status_t grant(void *self, cap_id_t id, cap_rights_t add) { return capability_grant(self, id, add); }
static status_t attenuate(void *self, cap_id_t id, cap_rights_t drop) { return capability_attenuate(self, id, drop); }
static status_t delegate(void *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child) {
    return capability_delegate(self, parent, rights, child);
}
static status_t revoke(void *self, cap_id_t id) { return capability_revoke(self, id); }
static status_t delete_one(void *self, cap_id_t id) { return capability_delete(self, id); }
static capability_stats_t stats(const void *table) { return capability_stats(table); }
static void settle(void *self) { capability_settle(self); }
static capability_audit_t audit(const void *table) { return capability_audit(table); }

const capability_ops_t capability_lockfree_ops = {
    .name = "lockfree",
    .table_create = table_create,
    .table_destroy = table_destroy,
    .thread_join = thread_join,
    .thread_leave = thread_leave,
    .check = check,
    .lookup = lookup,
    .create = create,
    .grant = grant,
    .attenuate = attenuate,
    .delegate = delegate,
    .revoke = revoke,
    .delete_one = delete_one,
    .stats = stats,
    .settle = settle,
    .audit = audit,
};
