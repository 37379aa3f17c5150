// The table that one would write first: a chained hash table under one reader-writer lock. It is the Before column of
// the measurements, and the second implementation that the tests hold against the same contract.
//
// The functions mean what those of the same name in capability.h mean (C1, C2, C3 and C5; C4 does not hold: every
// call may wait for another). All calls may run beside each other, but table_create, table_destroy and audit.
#pragma once

#include "capability.h"

typedef struct baseline_table baseline_table_t;
typedef struct baseline_thread baseline_thread_t;

status_t baseline_table_create(const capability_config_t *config, baseline_table_t **table);
void baseline_table_destroy(baseline_table_t *table);
status_t baseline_thread_join(baseline_table_t *table, baseline_thread_t **self);
void baseline_thread_leave(baseline_thread_t *self);

bool baseline_capability_check(const baseline_table_t *table, cap_id_t id, cap_rights_t need);
uint64_t baseline_capability_check_batch(const baseline_table_t *table, const cap_id_t *ids, uint64_t count,
                                         cap_rights_t need, uint64_t *allowed);
status_t baseline_capability_lookup(const baseline_table_t *table, cap_id_t id, capability_info_t *info);

status_t baseline_capability_create(baseline_thread_t *self, uint64_t object, cap_rights_t rights, cap_id_t *id);
status_t baseline_capability_grant(baseline_thread_t *self, cap_id_t id, cap_rights_t add);
status_t baseline_capability_attenuate(baseline_thread_t *self, cap_id_t id, cap_rights_t drop);
status_t baseline_capability_delegate(baseline_thread_t *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child);
status_t baseline_capability_revoke(baseline_thread_t *self, cap_id_t id);
status_t baseline_capability_delete(baseline_thread_t *self, cap_id_t id);
status_t baseline_capability_transfer(baseline_thread_t *self, cap_id_t id, cap_id_t parent, cap_id_t *moved);
uint64_t baseline_capability_grant_batch(baseline_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t add,
                                         status_t *answers);
uint64_t baseline_capability_attenuate_batch(baseline_thread_t *self, const cap_id_t *ids, uint64_t count,
                                             cap_rights_t drop, status_t *answers);

capability_stats_t baseline_capability_stats(const baseline_table_t *table);
void baseline_capability_settle(baseline_thread_t *self);
capability_audit_t baseline_capability_audit(const baseline_table_t *table);
