// The operations of the capability table. capability_layout.h says what the words mean, capability_tree.c how subtrees
// end, docs/native/capability.md puts the arguments together.
//
// check reads two words and writes none. It reads the rights first and the state second, both with acquire: who knows an
// id got it from create or delegate, so when the check starts, the slot is in that generation or in a later one. If the state
// still shows the id after the rights were read, the rights are that generation's. A later generation's rights are
// stored after the state has left the earlier one, so a check that reads them does not find the id in the state any more.
//
// Everything else runs inside the reclamation domain. A slot found live inside stays its capability's slot until the thread
// leaves: it may die meanwhile, and then what is written to its rights is seen by nobody. So grant and attenuate
// need no compare-and-swap loop, and their effect comes before the end of the capability.
//
// attenuate and delegate meet as a store and a load of two words each, in seq_cst order: attenuate takes rights from the parent,
// then reads the list of children; delegate pushes the child, then reads the parent's rights again. So the child is found,
// or the child's maker sees that the rights are gone, and undoes the delegation.
#include "capability_layout.h"

static cap_entry_t *entry_of(const capability_table_t *table, cap_id_t id) { return &table->view.entries[id & table->view.mask]; }

// --- reading ------------------------------------------------------------------------------------------------------

bool capability_check(const capability_table_t *table, cap_id_t id, cap_rights_t need) {
    const cap_entry_t *entry = entry_of(table, id);
    /* edge RIGHTS:A — that the state has left the generation before; :R is in publish_words */
    cap_rights_t rights = atomic_load_acquire_u64(&entry->rights);
    /* edge LIFE:A — the capability, or its end; :R is in capability_create */
    uint64_t state = atomic_load_acquire_u64(&entry->state);
    return ((unsigned)(state == id) & (unsigned)((rights & need) == need)) != 0;
}

bool capability_check_delegated(const capability_t *capability, cap_rights_t need) {
    return capability_entry_holds(capability->entry, capability->id, need);
}

status_t capability_lookup(const capability_table_t *table, cap_id_t id, capability_info_t *info) {
    const cap_entry_t *entry = entry_of(table, id);
    const cap_slot_t *slot = &table->slots[id & table->view.mask];
    capability_info_t found;
    /* edge RIGHTS:A — as in check; :R is in publish_words */
    found.rights = atomic_load_acquire_u64(&entry->rights);
    /* edge RIGHTS:A — as in check; :R is in publish_words */
    found.object = atomic_load_acquire_u64(&slot->object);
    /* edge RIGHTS:A — as in check; :R is in publish_words */
    found.parent = atomic_load_acquire_u64(&slot->parent);
    /* edge LIFE:A — the capability, or its end; :R is in capability_create */
    if (atomic_load_acquire_u64(&entry->state) != id) {
        return STATUS_STALE;
    }
    *info = found;
    return STATUS_OK;
}

// --- making -------------------------------------------------------------------------------------------------------

void publish_words(capability_table_t *table, uint64_t index, uint64_t object, cap_rights_t rights, cap_id_t parent) {
    cap_slot_t *slot = &table->slots[index];
    /* relaxed: nobody looks at these before the slot is in a tree, which the state or the parent's list publishes */
    atomic_store_relaxed_u64(&slot->children, 0);
    /* relaxed: as above */
    atomic_store_relaxed_u32(&slot->next, 0);
    /* relaxed: as above */
    atomic_store_relaxed_u32(&slot->dead, 0);
    /* relaxed: as above */
    atomic_store_relaxed_u32(&slot->sweep_at, SWEEP_AT_LEAST);
    /* edge RIGHTS:R — that the state has left the generation before; :A is in capability_lookup */
    atomic_store_release_u64(&slot->object, object);
    /* edge RIGHTS:R — likewise; :A is in capability_lookup */
    atomic_store_release_u64(&slot->parent, parent);
    /* edge RIGHTS:R — likewise; :A is in capability_check */
    atomic_store_release_u64(&table->view.entries[index].rights, rights);
}

status_t capability_create(capability_thread_t *self, uint64_t object, cap_rights_t rights, cap_id_t *id) {
    capability_table_t *table = self->table;
    uint64_t index = 0;
    status_t status = slot_take(self, &index);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t generation = slot_next_generation(table, index);
    publish_words(table, index, object, rights, CAPABILITY_NONE);
    count(&self->created, 1); // before anybody can delete it
    cap_id_t made = state_of(generation, index, PHASE_LIVE);
    /* edge LIFE:R — the capability's words; :A is in capability_check */
    atomic_store_release_u64(&table->view.entries[index].state, made);
    *id = made;
    return STATUS_OK;
}

bool is_live(const capability_table_t *table, cap_id_t id) {
    /* edge LIFE:A — the capability's words; :R is in capability_create */
    return atomic_load_acquire_u64(&entry_of(table, id)->state) == id;
}

bool may_delegate(cap_rights_t held, cap_rights_t rights) {
    cap_rights_t need = rights | CAPABILITY_RIGHT_DELEGATE;
    return (held & need) == need;
}

void undo_child(capability_thread_t *self, uint64_t index) {
    /* edge CHILD:RA — that nothing is below; :A is in is_ended */
    (void)atomic_fetch_or_acq_rel_u64(&self->table->slots[index].children, CHILDREN_CLOSED);
    tree_kill(self, index);
    tree_finish(self, index);
}

// The child is in its parent's list. Makes it live, or ends it.
static status_t activate(capability_thread_t *self, cap_id_t parent, cap_id_t child, cap_rights_t rights) {
    capability_table_t *table = self->table;
    uint64_t index = index_of(child);
    /* edge TREE:S — the parent's rights, after the child was pushed; :S is in attenuate_inside */
    if (!may_delegate(atomic_load_seq_cst_u64(&entry_of(table, parent)->rights), rights)) {
        undo_child(self, index);
        return STATUS_DENIED;
    }
    count(&self->created, 1); // before anybody can delete it
    uint64_t pending = state_of(generation_of(child), index, PHASE_PENDING);
    /* edge LIFE:RA — the capability's words; :A is in capability_check */
    if (!atomic_cas_acq_rel_u64(&table->view.entries[index].state, &pending, child)) {
        count(&self->created, -1);
        return STATUS_STALE; // an ancestor's revoke has ended it, and takes it out of use
    }
    return STATUS_OK;
}

status_t help_end(capability_thread_t *self, cap_id_t id) {
    tree_kill(self, index_of(id));
    epoch_raise(self->table, index_of(id));
    return STATUS_STALE;
}

static status_t delegate_inside(capability_thread_t *self, cap_id_t parent, cap_rights_t rights, uint64_t index,
                                cap_id_t *child) {
    capability_table_t *table = self->table;
    uint64_t generation = slot_next_generation(table, index);
    /* relaxed: the object and the rights are read again below, or constant while the slot is the parent's */
    cap_rights_t held = atomic_load_relaxed_u64(&entry_of(table, parent)->rights);
    bool live = is_live(table, parent);
    if (!live || !may_delegate(held, rights)) {
        slot_untake(self, index);
        return live ? STATUS_DENIED : STATUS_STALE;
    }
    /* relaxed: constant while the slot is the parent's, and is_live has acquired it */
    uint64_t object = atomic_load_relaxed_u64(&table->slots[index_of(parent)].object);
    publish_words(table, index, object, rights, parent);
    /* edge LIFE:R — the slot's words; :A is in tree_kill */
    atomic_store_release_u64(&table->view.entries[index].state, state_of(generation, index, PHASE_PENDING));
    if (!tree_push(table, index_of(parent), index)) {
        slot_untake(self, index);
        return help_end(self, parent);
    }
    cap_id_t made = state_of(generation, index, PHASE_LIVE);
    status_t status = activate(self, parent, made, rights);
    if (status == STATUS_OK) {
        *child = made;
    }
    return status;
}

status_t capability_delegate(capability_thread_t *self, cap_id_t parent, cap_rights_t rights, cap_id_t *child) {
    uint64_t index = 0;
    status_t status = slot_take(self, &index);
    if (status != STATUS_OK) {
        return status;
    }
    reclaim_enter(self->reclaim);
    status = delegate_inside(self, parent, rights, index, child);
    reclaim_leave(self->reclaim);
    return status;
}

// --- changing -----------------------------------------------------------------------------------------------------

status_t grant_inside(capability_table_t *table, cap_id_t id, cap_rights_t add) {
    if (!is_live(table, id)) {
        return STATUS_STALE;
    }
    /* relaxed: constant while the slot is this capability's, and is_live has acquired it */
    if (atomic_load_relaxed_u64(&table->slots[index_of(id)].parent) != CAPABILITY_NONE) {
        return STATUS_DENIED;
    }
    /* edge RIGHTS:RA — nothing but the rights themselves; :A is in capability_check */
    /* edge KEPT:S — the rights, before it is asked who keeps answers; :S is in capability_cache_create */
    /* edge COLUMN:S — and before a column's place is looked for; :S is in place_fill */
    (void)atomic_fetch_or_seq_cst_u64(&entry_of(table, id)->rights, add);
    epoch_raise(table, index_of(id));
    column_renew(table, index_of(id));
    return STATUS_OK;
}

status_t capability_grant(capability_thread_t *self, cap_id_t id, cap_rights_t add) {
    reclaim_enter(self->reclaim);
    status_t status = grant_inside(self->table, id, add);
    reclaim_leave(self->reclaim);
    return status;
}

status_t attenuate_inside(capability_table_t *table, cap_id_t id, cap_rights_t drop) {
    uint64_t root = index_of(id);
    if (!is_live(table, id)) {
        return STATUS_STALE;
    }
    for (uint64_t at = root; at != 0; at = tree_next(table, root, at)) {
        /* edge TREE:S — that the rights are gone, before the children are looked for; :S is in activate */
        /* edge KEPT:S — and before it is asked who keeps answers; :S is in capability_cache_create */
        /* edge COLUMN:S — and before a column's place is looked for; :S is in place_fill */
        (void)atomic_fetch_and_seq_cst_u64(&table->view.entries[at].rights, ~drop);
        epoch_raise(table, at);
        column_renew(table, at);
    }
    return STATUS_OK;
}

status_t capability_attenuate(capability_thread_t *self, cap_id_t id, cap_rights_t drop) {
    reclaim_enter(self->reclaim);
    status_t status = attenuate_inside(self->table, id, drop);
    reclaim_leave(self->reclaim);
    return status;
}

// --- ending -------------------------------------------------------------------------------------------------------

static status_t revoke_inside(capability_thread_t *self, cap_id_t id) {
    capability_table_t *table = self->table;
    uint64_t index = index_of(id);
    if (generation_of(id) == 0) {
        return STATUS_STALE; // no id; and entry 0 and a slot never used would look like the dead ones of these
    }
    /* edge LIFE:A — the capability, or its end; :RA is in tree_kill */
    uint64_t state = atomic_load_acquire_u64(&entry_of(table, id)->state);
    if (state == state_of(generation_of(id), index, PHASE_DEAD)) {
        tree_end(self, index); // another call ends it, and may not be through with the subtree
        return STATUS_STALE;
    }
    if (state != id) {
        return STATUS_STALE;
    }
    /* edge CHILD:RA — no child from here on, and those before; :RA is in tree_push */
    /* edge COLUMN:S — the close, before its place in a column is looked for; :S is in place_fill */
    uint64_t before = atomic_fetch_or_seq_cst_u64(&table->slots[index].children, CHILDREN_CLOSED);
    tree_end(self, index);
    if ((before & CHILDREN_CLOSED) != 0) {
        return STATUS_STALE;
    }
    tree_finish(self, index);
    return STATUS_OK;
}

status_t capability_revoke(capability_thread_t *self, cap_id_t id) {
    reclaim_enter(self->reclaim);
    status_t status = revoke_inside(self, id);
    reclaim_leave(self->reclaim);
    return status;
}

static status_t delete_inside(capability_thread_t *self, cap_id_t id) {
    capability_table_t *table = self->table;
    uint64_t index = index_of(id);
    if (!is_live(table, id)) {
        return STATUS_STALE;
    }
    atomic_u64_t *word = &table->slots[index].children;
    /* edge CHILD:A — the children; :RA is in tree_push */
    uint64_t children = atomic_load_acquire_u64(word);
    do {
        if ((children & CHILDREN_CLOSED) != 0) {
            return help_end(self, id);
        }
        // Who is dead stays dead, so if the list is the same when it is closed, no child lives then. What lives below a dead
        // child is being revoked; tree_end goes through it as well, so the delete waits for nobody.
        if (!tree_all_dead(table, children)) {
            return STATUS_BUSY;
        }
        /* edge CHILD:RA — no child from here on, and none that lives; :RA is in tree_push */
        /* edge COLUMN:S — the close, before its place in a column is looked for; :S is in place_fill */
    } while (!atomic_cas_seq_cst_u64(word, &children, children | CHILDREN_CLOSED));
    tree_end(self, index);
    tree_finish(self, index);
    return STATUS_OK;
}

status_t capability_delete(capability_thread_t *self, cap_id_t id) {
    reclaim_enter(self->reclaim);
    status_t status = delete_inside(self, id);
    reclaim_leave(self->reclaim);
    return status;
}
