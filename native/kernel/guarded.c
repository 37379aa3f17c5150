#include "guarded.h"

#include <stddef.h>

static bool check_lockfree(const void *table, cap_id_t id, cap_rights_t need) {
    return capability_check(table, id, need);
}

guarded_gate_t guarded_gate_of(const capability_table_t *table) {
    return (guarded_gate_t){.check = check_lockfree, .table = table};
}

status_t guarded_init(guarded_t *task, const guarded_gate_t *gate, guarded_fn_t *body, guarded_fn_t *refusal,
                      const guard_t *guards, uint32_t count) {
    if (count > GUARDED_MAX || gate == NULL || body == NULL || (count > 0 && guards == NULL)) {
        return STATUS_INVALID;
    }
    task->gate = gate;
    task->body = body;
    task->refusal = refusal;
    task->count = count;
    for (uint32_t i = 0; i < count; i++) {
        task->guards[i] = guards[i];
    }
    return STATUS_OK;
}

bool guarded_hold(const guarded_t *task) {
    const guarded_gate_t *gate = task->gate;
    for (uint32_t i = 0; i < task->count; i++) {
        if (!gate->check(gate->table, task->guards[i].id, task->guards[i].need)) {
            return false;
        }
    }
    return true;
}

bool guarded_dispatch(guarded_t *task, void *worker) {
    bool held = guarded_hold(task);
    guarded_fn_t *chosen = held ? task->body : task->refusal;
    if (chosen != NULL) {
        chosen(task, worker);
    }
    return held;
}
