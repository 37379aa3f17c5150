// A capability table whose checks all go through a cache of the thread that asks: the lock-free table in the shape in which the
// contract, the stress test and the churn bench run over it, so that C1 to C6 are tested through capability_cache.h.
//
// The functions mean what those of the same name in capability.h and capability_cache.h mean. A thread's cache is made in its first
// check of a table, and ends with the table; where there is no memory for one, the check goes to the table.
#pragma once

#include "capability.h"

typedef struct kept_table kept_table_t;
typedef capability_thread_t kept_thread_t;

#define KEPT_ENTRIES 64u // of a new cache

status_t kept_table_create(const capability_config_t *config, kept_table_t **table);
void kept_table_destroy(kept_table_t *table); // also: no thread checks
status_t kept_thread_join(kept_table_t *table, kept_thread_t **self);
void kept_thread_leave(kept_thread_t *self);

bool kept_capability_check(const kept_table_t *table, cap_id_t id, cap_rights_t need);
uint64_t kept_capability_check_batch(const kept_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                                     uint64_t *allowed);
status_t kept_capability_lookup(const kept_table_t *table, cap_id_t id, capability_info_t *info);

status_t kept_capability_create(kept_thread_t *self, uint64_t object, cap_rights_t rights, cap_id_t *id);
status_t kept_capability_grant(kept_thread_t *self, cap_id_t id, cap_rights_t add);
status_t kept_capability_attenuate(kept_thread_t *self, cap_id_t id, cap_rights_t drop);
status_t kept_capability_delegate(kept_thread_t *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child);
status_t kept_capability_revoke(kept_thread_t *self, cap_id_t id);
status_t kept_capability_delete(kept_thread_t *self, cap_id_t id);
status_t kept_capability_transfer(kept_thread_t *self, cap_id_t id, cap_id_t parent, cap_id_t *moved);
uint64_t kept_capability_grant_batch(kept_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t add,
                                     status_t *answers);
uint64_t kept_capability_attenuate_batch(kept_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t drop,
                                         status_t *answers);

capability_stats_t kept_capability_stats(const kept_table_t *table);
void kept_capability_settle(kept_thread_t *self);
capability_audit_t kept_capability_audit(const kept_table_t *table);

// Other room for every cache that there is now. Any thread, while all of them are used.
status_t kept_table_resize(const kept_table_t *table, uint64_t entries);
// Sums over all caches.
void kept_table_hits(const kept_table_t *table, uint64_t *hits, uint64_t *misses);
