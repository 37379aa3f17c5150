// transfer: one capability ends and another begins with its rights. It is delegate and revoke, put together so that the old one
// ends only when the new one can begin, and the new one begins only when the old one and all below have ended.
//
// The new one is pushed pending below its parent, as by delegate, before anything is ended: whatever can refuse the transfer does so
// then, and is undone without a trace. Then the old one is closed. CLOSED is set by one caller alone, so of two transfers,
// or a transfer and a revoke, one has it; the others undo what they pushed. Then the subtree ends (tree_end), and
// the rights of the old one are read again: no attenuate that came before its end is missed. The new one is found by
// everyone who attenuates or ends above it from the moment it was pushed, as a delegated child is: C1 and C2 hold for it as for one.
// Where its parent ends meanwhile, it has begun and ended: the answer is OK, with an id that is stale already.
#include "capability_layout.h"

static cap_id_t parent_of(const capability_table_t *table, cap_id_t id) {
    /* relaxed: constant while the slot is the capability's, and is_live has acquired it, or a child of it */
    return atomic_load_relaxed_u64(&table->slots[index_of(id)].parent);
}

// `at` lives: nobody above it can be taken out of use.
static bool is_at_or_below(const capability_table_t *table, cap_id_t at, cap_id_t above) {
    while (at != CAPABILITY_NONE && at != above) {
        at = parent_of(table, at);
    }
    return at == above;
}

static uint64_t object_of(const capability_table_t *table, cap_id_t id) {
    /* relaxed: constant while the slot is the capability's, and is_live has acquired it */
    return atomic_load_relaxed_u64(&table->slots[index_of(id)].object);
}

static cap_rights_t rights_of(const capability_table_t *table, cap_id_t id) {
    /* edge TREE:S — a parent's rights, after the child was pushed; :S is in attenuate_inside */
    return atomic_load_seq_cst_u64(&table->view.entries[index_of(id)].rights);
}

// Puts the rights of `id` into *rights when it lives.
static status_t may_transfer(const capability_table_t *table, cap_id_t id, cap_id_t parent, cap_rights_t *rights) {
    if (!is_live(table, id) || (parent != CAPABILITY_NONE && !is_live(table, parent))) {
        return STATUS_STALE;
    }
    *rights = rights_of(table, id);
    if (parent == CAPABILITY_NONE) {
        return parent_of(table, id) == CAPABILITY_NONE ? STATUS_OK : STATUS_DENIED;
    }
    if (is_at_or_below(table, parent, id)) {
        return STATUS_INVALID;
    }
    bool fits = object_of(table, parent) == object_of(table, id) && may_delegate(rights_of(table, parent), *rights);
    return fits ? STATUS_OK : STATUS_DENIED;
}

// Links the pending slot `index` below `parent`. On another answer than OK the slot is not the caller's any more.
static status_t push_pending(capability_thread_t *self, uint64_t index, cap_id_t pending, cap_id_t parent,
                             cap_rights_t rights) {
    capability_table_t *table = self->table;
    /* edge LIFE:R — the slot's words; :A is in tree_kill */
    atomic_store_release_u64(&table->view.entries[index].state, pending);
    if (!tree_push(table, index_of(parent), index)) {
        slot_untake(self, index);
        return help_end(self, parent);
    }
    if (!may_delegate(rights_of(table, parent), rights)) {
        undo_child(self, index);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

// Ends `id` and its subtree, for the one caller who closes it.
static bool end_old(capability_thread_t *self, cap_id_t id) {
    uint64_t index = index_of(id);
    /* edge CHILD:RA — no child from here on, and those before; :RA is in tree_push */
    /* edge COLUMN:S — the close, before its place in a column is looked for; :S is in place_fill */
    uint64_t before = atomic_fetch_or_seq_cst_u64(&self->table->slots[index].children, CHILDREN_CLOSED);
    tree_end(self, index);
    return (before & CHILDREN_CLOSED) == 0;
}

static void begin_new(capability_thread_t *self, uint64_t index, cap_id_t pending, cap_id_t made, cap_rights_t still) {
    cap_entry_t *entry = &self->table->view.entries[index];
    /* edge RIGHTS:RA — the rights that the old one had to its end; :A is in capability_check */
    (void)atomic_fetch_and_seq_cst_u64(&entry->rights, still);
    count(&self->created, 1); // before anybody can end it
    /* edge LIFE:RA — the capability's words; :A is in capability_check */
    if (!atomic_cas_acq_rel_u64(&entry->state, &pending, made)) {
        count(&self->deleted, 1); // with its parent, whose revoke takes it out of use
    }
}

static status_t transfer_inside(capability_thread_t *self, cap_id_t id, cap_id_t parent, uint64_t index,
                                cap_id_t *moved) {
    capability_table_t *table = self->table;
    cap_rights_t rights = 0;
    status_t status = may_transfer(table, id, parent, &rights);
    if (status != STATUS_OK) {
        slot_untake(self, index);
        return status;
    }
    uint64_t generation = slot_next_generation(table, index);
    /* relaxed: the slot is the caller's */
    cap_id_t waiting = atomic_load_relaxed_u64(&table->view.entries[index].state);
    publish_words(table, index, object_of(table, id), rights, parent);
    if (parent != CAPABILITY_NONE) {
        waiting = state_of(generation, index, PHASE_PENDING);
        status = push_pending(self, index, waiting, parent, rights);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (!end_old(self, id)) {
        if (parent != CAPABILITY_NONE) {
            undo_child(self, index);
        } else {
            slot_untake(self, index);
        }
        return STATUS_STALE;
    }
    *moved = state_of(generation, index, PHASE_LIVE);
    begin_new(self, index, waiting, *moved, rights_of(table, id));
    tree_finish(self, index_of(id));
    return STATUS_OK;
}

status_t capability_transfer(capability_thread_t *self, cap_id_t id, cap_id_t parent, cap_id_t *moved) {
    uint64_t index = 0;
    if (generation_of(id) == 0) {
        return STATUS_STALE; // no id, as in revoke
    }
    status_t status = slot_take(self, &index);
    if (status != STATUS_OK) {
        return status;
    }
    reclaim_enter(self->reclaim);
    status = transfer_inside(self, id, parent, index, moved);
    reclaim_leave(self->reclaim);
    return status;
}
