#include "baseline_guarded.h"

static bool check(const void *table, cap_id_t id, cap_rights_t need) { return baseline_capability_check(table, id, need); }

guarded_gate_t baseline_guarded_gate_of(const baseline_table_t *table) {
    return (guarded_gate_t){.check = check, .table = table};
}
