// Puts a table with the functions of capability.h into the shape of capability_ops.h. Included by one file per table, which defines
//
//   SHAPE_OPS   name of the capability_ops_t    SHAPE_NAME   what it is called, a string
//   TABLE(f)    table_create, table_destroy, thread_join, thread_leave, table_t, thread_t
//   CAP(f)      everything else
#include "capability_ops.h"

static status_t table_create(const capability_config_t *config, void **table) {
    TABLE(table_t) *made = NULL;
    status_t status = TABLE(table_create)(config, &made);
    *table = made;
    return status;
}
static void table_destroy(void *table) { TABLE(table_destroy)(table); }
static status_t thread_join(void *table, void **self) {
    TABLE(thread_t) *made = NULL;
    status_t status = TABLE(thread_join)(table, &made);
    *self = made;
    return status;
}
static void thread_leave(void *self) { TABLE(thread_leave)(self); }
static bool check(const void *table, cap_id_t id, cap_rights_t need) { return CAP(check)(table, id, need); }
static uint64_t check_batch(const void *table, const cap_id_t *ids, uint64_t count, cap_rights_t need, uint64_t *allowed) {
    return CAP(check_batch)(table, ids, count, need, allowed);
}
static status_t lookup(const void *table, cap_id_t id, capability_info_t *info) { return CAP(lookup)(table, id, info); }
static status_t create(void *self, uint64_t object, cap_rights_t rights, cap_id_t *id) {
    return CAP(create)(self, object, rights, id);
}
static status_t grant(void *self, cap_id_t id, cap_rights_t add) { return CAP(grant)(self, id, add); }
static uint64_t grant_batch(void *self, const cap_id_t *ids, uint64_t count, cap_rights_t add, status_t *answers) {
    return CAP(grant_batch)(self, ids, count, add, answers);
}
static status_t attenuate(void *self, cap_id_t id, cap_rights_t drop) { return CAP(attenuate)(self, id, drop); }
static uint64_t attenuate_batch(void *self, const cap_id_t *ids, uint64_t count, cap_rights_t drop, status_t *answers) {
    return CAP(attenuate_batch)(self, ids, count, drop, answers);
}
static status_t delegate(void *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child) {
    return CAP(delegate)(self, parent, rights, child);
}
static status_t revoke(void *self, cap_id_t id) { return CAP(revoke)(self, id); }
static status_t delete_one(void *self, cap_id_t id) { return CAP(delete)(self, id); }
static status_t transfer(void *self, cap_id_t id, cap_id_t parent, cap_id_t *moved) {
    return CAP(transfer)(self, id, parent, moved);
}
static capability_stats_t stats(const void *table) { return CAP(stats)(table); }
static void settle(void *self) { CAP(settle)(self); }
static capability_audit_t audit(const void *table) { return CAP(audit)(table); }

const capability_ops_t SHAPE_OPS = {
    .name = SHAPE_NAME,
    .table_create = table_create,
    .table_destroy = table_destroy,
    .thread_join = thread_join,
    .thread_leave = thread_leave,
    .check = check,
    .check_batch = check_batch,
    .lookup = lookup,
    .create = create,
    .grant = grant,
    .grant_batch = grant_batch,
    .attenuate = attenuate,
    .attenuate_batch = attenuate_batch,
    .delegate = delegate,
    .revoke = revoke,
    .delete_one = delete_one,
    .transfer = transfer,
    .stats = stats,
    .settle = settle,
    .audit = audit,
};
