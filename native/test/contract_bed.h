// What the contract's tests are made of: a table of their own with a seat, and its account at the end.
#pragma once

#include <string.h>

#include "capability_ops.h"
#include "expect.h"

#define READ CAPABILITY_RIGHT_READ
#define WRITE CAPABILITY_RIGHT_WRITE
#define EXECUTE CAPABILITY_RIGHT_EXECUTE
#define DELEGATE CAPABILITY_RIGHT_DELEGATE

typedef struct bed {
    const capability_ops_t *ops;
    void *table;
    void *self;
} bed_t;

static bed_t bed_make(const capability_ops_t *ops, const capability_config_t *config) {
    bed_t bed = {.ops = ops};
    EXPECT_EQ(ops->table_create(config, &bed.table), STATUS_OK);
    EXPECT_EQ(ops->thread_join(bed.table, &bed.self), STATUS_OK);
    return bed;
}

// C5 holds at the end of every test.
static capability_audit_t bed_audit(bed_t *bed) {
    bed->ops->settle(bed->self);
    capability_audit_t audit = bed->ops->audit(bed->table);
    capability_stats_t stats = bed->ops->stats(bed->table);
    EXPECT_EQ(stats.created, audit.live + stats.deleted);
    EXPECT_EQ(audit.slots, audit.live + audit.free + audit.retired + audit.linked + audit.worn);
    EXPECT_EQ(audit.retired, 0);
    EXPECT_EQ(audit.orphans, 0);
    EXPECT_EQ(audit.excesses, 0);
    return audit;
}

static void bed_end(bed_t *bed) {
    (void)bed_audit(bed);
    bed->ops->thread_leave(bed->self);
    bed->ops->table_destroy(bed->table);
}

static cap_id_t root_of(bed_t *bed, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->create(bed->self, 42, rights, &id), STATUS_OK);
    EXPECT(id != CAPABILITY_NONE);
    return id;
}

static cap_id_t child_of(bed_t *bed, cap_id_t parent, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->delegate(bed->self, parent, rights, &id), STATUS_OK);
    EXPECT(id != CAPABILITY_NONE && id != parent);
    return id;
}

static bool holds(const bed_t *bed, cap_id_t id, cap_rights_t need) { return bed->ops->check(bed->table, id, need); }
