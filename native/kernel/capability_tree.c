// The tree: who was delegated from whom, and how a subtree ends while others add to it.
//
// A node's children are a list, pushed at the front. Adding and ending meet in one word, slot.children:
//   - delegate pushes its child with a compare-and-swap that fails once CLOSED is set;
//   - who ends a node sets CLOSED first, and then walks the list: so each child was either pushed before, and is found and ended,
//     or is refused. There is no third case, and nobody has to look twice.
// The child is pushed pending and becomes live by a compare-and-swap that fails if it was ended in between. So an id is
// published only when every revoke that must end it can find it.
//
// C1 with two revokes on one path: a list keeps its nodes until everything below has ended (tree_end kills, then detaches).
// A revoke that finds a node already dead walks through it all the same, and does itself what the other has not yet done.
//
// Taking out of use. A node is ended when it is dead and its children are "CLOSED, none". Three parties unlink: tree_end
// detaches a whole list by one exchange (so one caller gets it), tree_finish retires a root, and sweep unlinks ended nodes
// from a list that goes on. slot_claim decides where two of them meet. Links of an unlinked node stay as they are until
// its grace period is over, so a walk that stands on it goes on to the rest of the list.
// sweep has one runner at a time per list; who finds it running goes on, and leaves the work to a later sweep.
//
// A walk keeps no stack: down by children, along by next, up by parent. None of these changes under a walker, but for
// lists growing in front, and losing ended nodes.
#include "capability_layout.h"

#include <assert.h>

static uint64_t first_child(const cap_slot_t *slot) {
    /* edge TREE:S — the children, after the rights of their parent were taken; :S is in activate */
    return atomic_load_seq_cst_u64(&slot->children) & INDEX_MASK;
}

uint64_t tree_next(const capability_table_t *table, uint64_t root, uint64_t at) {
    uint64_t child = first_child(&table->slots[at]);
    if (child != 0) {
        return child;
    }
    while (at != root) {
        /* edge SIBLING:A — the next node's words; :R is in unlink_node */
        uint32_t next = atomic_load_acquire_u32(&table->slots[at].next);
        if (next != 0) {
            return next;
        }
        /* relaxed: constant since the node was pushed, and the list that led here published it */
        at = index_of(atomic_load_relaxed_u64(&table->slots[at].parent));
    }
    return 0;
}

bool tree_push(capability_table_t *table, uint64_t parent, uint64_t child) {
    cap_slot_t *above = &table->slots[parent];
    /* edge CHILD:A — that the parent is closed, and why; :RA is in revoke_inside */
    uint64_t children = atomic_load_acquire_u64(&above->children);
    do {
        if ((children & CHILDREN_CLOSED) != 0) {
            return false;
        }
        /* relaxed: the compare-and-swap publishes it */
        atomic_store_relaxed_u32(&table->slots[child].next, (uint32_t)children);
        /* edge TREE:S — the child, before its parent's rights are read again; :S is in attenuate_inside */
        /* edge CHILD:RA — the child's words; :A is in is_ended */
    } while (!atomic_cas_seq_cst_u64(&above->children, &children, child));
    return true;
}

void epoch_raise(capability_table_t *table, uint64_t index) {
    /* edge KEPT:S — whether answers are kept, after what they are about has changed; :S is in capability_cache_create */
    if (atomic_load_seq_cst_u64(&table->caches) == 0) {
        return;
    }
    /* edge FRESHNESS:RA — the change; :A is in ask */
    (void)atomic_fetch_add_acq_rel_u64(capability_epoch(table->epochs, index), 1);
}

void tree_kill(capability_thread_t *self, uint64_t index) {
    atomic_u64_t *word = &self->table->view.entries[index].state;
    /* edge LIFE:A — pending or live, and for whom; :R is in capability_create */
    uint64_t state = atomic_load_acquire_u64(word);
    for (;;) {
        phase_t phase = phase_of(state, index);
        if (phase != PHASE_LIVE && phase != PHASE_PENDING) {
            return;
        }
        column_end_t end = column_close(self->table, index);
        uint64_t live = state_of(generation_of(state), index, PHASE_LIVE);
        /* edge LIFE:RA — that the capability has ended: no check that starts now finds it; :A is in capability_check */
        /* edge KEPT:S — the end, before it is asked who keeps answers; :S is in capability_cache_create */
        if (atomic_cas_seq_cst_u64(word, &state, state_of(generation_of(state), index, PHASE_DEAD))) {
            if (phase == PHASE_LIVE) {
                count(&self->deleted, 1);
            }
            column_end(self->table, end, live);
            return;
        }
    }
}

static bool is_dead(const capability_table_t *table, uint64_t index) {
    /* edge LIFE:A — the end of the capability; :RA is in tree_kill */
    phase_t phase = phase_of(atomic_load_acquire_u64(&table->view.entries[index].state), index);
    return phase == PHASE_DEAD || phase == PHASE_RETIRED;
}

static bool is_ended(const capability_table_t *table, uint64_t index) {
    if (!is_dead(table, index)) {
        return false;
    }
    /* edge CHILD:A — the end of all below; :RA is in take_list */
    return atomic_load_acquire_u64(&table->slots[index].children) == CHILDREN_CLOSED;
}

bool tree_all_dead(const capability_table_t *table, uint64_t first) {
    for (uint64_t at = first; at != 0;) {
        if (!is_dead(table, at)) {
            return false;
        }
        /* edge SIBLING:A — the next node's words; :R is in unlink_node */
        at = atomic_load_acquire_u32(&table->slots[at].next);
    }
    return true;
}

// The list of a closed node whose subtree is dead, for the one caller that gets it; 0 for the others.
static uint64_t take_list(capability_table_t *table, uint64_t index) {
    /* edge CHILD:RA — that everything below has ended; :A is in is_ended */
    return atomic_exchange_acq_rel_u64(&table->slots[index].children, CHILDREN_CLOSED) & INDEX_MASK;
}

// Claims the nodes of a detached list and puts them in front of `pending`, which it returns.
static reclaim_node_t *claim_list(capability_table_t *table, uint64_t first, reclaim_node_t *pending) {
    for (uint64_t at = first; at != 0;) {
        cap_slot_t *slot = &table->slots[at];
        if (slot_claim(table, at)) {
            plain_store_ptr(&slot->limbo.next, pending);
            pending = &slot->limbo;
        }
        /* edge SIBLING:A — the next node's words; :R is in unlink_node */
        at = atomic_load_acquire_u32(&slot->next);
    }
    return pending;
}

void tree_end(capability_thread_t *self, uint64_t root) {
    capability_table_t *table = self->table;
    for (uint64_t at = root; at != 0; at = tree_next(table, root, at)) {
        if (at != root) {
            /* edge CHILD:RA — no child from here on, and those before; :RA is in tree_push */
            /* edge COLUMN:S — the close, before its place in a column is looked for; :S is in place_fill */
            (void)atomic_fetch_or_seq_cst_u64(&table->slots[at].children, CHILDREN_CLOSED);
        }
        tree_kill(self, at);
        epoch_raise(table, at); // whoever killed it: the other one may not have come to this yet
    }
    reclaim_node_t *pending = claim_list(table, take_list(table, root), NULL);
    while (pending != NULL) {
        cap_slot_t *slot = (cap_slot_t *)((char *)pending - offsetof(cap_slot_t, limbo));
        uint64_t index = (uint64_t)(slot - table->slots);
        pending = claim_list(table, take_list(table, index), plain_load_ptr(&pending->next));
        slot_retire(self, index);
    }
}

// Unlinks `at`, whose successor is `next`. False where it stays: it is the first, and the list has changed in front.
static bool unlink_node(capability_table_t *table, uint64_t parent, uint64_t previous, uint64_t at, uint32_t next) {
    if (previous != 0) {
        /* edge SIBLING:R — the next node, as this thread has read it; :A is in tree_next */
        atomic_store_release_u32(&table->slots[previous].next, next);
        return true;
    }
    cap_slot_t *above = &table->slots[parent];
    /* edge CHILD:A — who is first now; :RA is in tree_push */
    uint64_t children = atomic_load_acquire_u64(&above->children);
    if ((children & INDEX_MASK) != at) {
        return false;
    }
    /* edge CHILD:RA — the rest of the list; :A is in is_ended */
    return atomic_cas_acq_rel_u64(&above->children, &children, (children & CHILDREN_CLOSED) | next);
}

// Unlinks the ended children of `parent`.
static void sweep(capability_thread_t *self, uint64_t parent) {
    capability_table_t *table = self->table;
    cap_slot_t *above = &table->slots[parent];
    /* edge SWEEP:A — the list as the last sweep left it; :R is in sweep */
    if (atomic_exchange_acquire_u32(&above->sweeping, 1) != 0) {
        return;
    }
    /* relaxed: a count that decides when, not what */
    atomic_store_relaxed_u32(&above->dead, 0);
    uint32_t kept = 0;
    uint64_t previous = 0;
    for (uint64_t at = first_child(above); at != 0;) {
        /* edge SIBLING:A — the next node's words; :R is in unlink_node */
        uint32_t next = atomic_load_acquire_u32(&table->slots[at].next);
        bool ended = is_ended(table, at);
        if (ended) {
            epoch_raise(table, at); // who killed it may not have come to this; and a revoke that does not find it will not
        }
        if (ended && unlink_node(table, parent, previous, at, next)) {
            if (slot_claim(table, at)) {
                slot_retire(self, at);
            }
        } else {
            previous = at;
            kept++;
        }
        at = next;
    }
    /* relaxed: as above */
    atomic_store_relaxed_u32(&above->sweep_at, kept > SWEEP_AT_LEAST ? kept : SWEEP_AT_LEAST);
    /* edge SWEEP:R — the list as this sweep leaves it; :A is in sweep */
    atomic_store_release_u32(&above->sweeping, 0);
}

void tree_finish(capability_thread_t *self, uint64_t index) {
    capability_table_t *table = self->table;
    /* relaxed: constant since the capability was made */
    cap_id_t parent = atomic_load_relaxed_u64(&table->slots[index].parent);
    if (parent == CAPABILITY_NONE) {
        if (slot_claim(table, index)) {
            slot_retire(self, index);
        }
        return;
    }
    cap_slot_t *above = &table->slots[index_of(parent)];
    /* relaxed: a count that decides when, not what */
    uint32_t dead = atomic_fetch_add_relaxed_u32(&above->dead, 1) + 1;
    /* relaxed: as above */
    if (dead >= atomic_load_relaxed_u32(&above->sweep_at)) {
        sweep(self, index_of(parent));
    }
}
