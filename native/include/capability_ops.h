// One shape for every implementation of the capability table, so that one test suite and one oracle run over all of
// them. Through these pointers a table is a `void *`, and so is a thread's seat. What the functions do, ask for and
// answer is written in capability.h. Benches call the functions themselves, not these pointers.
#pragma once

#include "capability.h"

typedef struct capability_ops {
    const char *name;
    status_t (*table_create)(const capability_config_t *config, void **table);
    void (*table_destroy)(void *table);
    status_t (*thread_join)(void *table, void **self);
    void (*thread_leave)(void *self);
    bool (*check)(const void *table, cap_id_t id, cap_rights_t need);
    status_t (*lookup)(const void *table, cap_id_t id, capability_info_t *info);
    status_t (*create)(void *self, uint64_t object, cap_rights_t rights, cap_id_t *id);
    status_t (*grant)(void *self, cap_id_t id, cap_rights_t add);
    status_t (*attenuate)(void *self, cap_id_t id, cap_rights_t drop);
    status_t (*delegate)(void *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child);
    status_t (*revoke)(void *self, cap_id_t id);
    status_t (*delete_one)(void *self, cap_id_t id);
    capability_stats_t (*stats)(const void *table);
    void (*settle)(void *self);
    capability_audit_t (*audit)(const void *table);
    // NULL where the table lacks them.
    status_t (*transfer)(void *self, cap_id_t id, cap_id_t parent, cap_id_t *moved);
    uint64_t (*check_batch)(const void *table, const cap_id_t *ids, uint64_t count, cap_rights_t need, uint64_t *allowed);
    uint64_t (*grant_batch)(void *self, const cap_id_t *ids, uint64_t count, cap_rights_t add, status_t *answers);
    uint64_t (*attenuate_batch)(void *self, const cap_id_t *ids, uint64_t count, cap_rights_t drop, status_t *answers);
} capability_ops_t;

extern const capability_ops_t capability_lockfree_ops; // kernel/capability_ops.c
extern const capability_ops_t capability_kept_ops;     // kernel/capability_kept.c: checks through a cache per thread
extern const capability_ops_t capability_baseline_ops; // baseline/baseline_ops.c
