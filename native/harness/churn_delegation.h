/* Delegation in the churn bench: below a worker's own nodes, and below everybody's records. Part of churn.h. */

static cap_rights_t draw_ask(state_t *s, cap_rights_t held) {
    cap_rights_t ask = draw_rights(s, held & ~CAPABILITY_RIGHT_DELEGATE);
    if (draw(s) % 8)
        ask |= held & CAPABILITY_RIGHT_DELEGATE;
    if (draw(s) % 8 == 0)
        ask |= (cap_rights_t)1 << (draw(s) % 16); /* perhaps more than the parent has */
    return ask;
}

/* A delegation succeeded; `before` is what was known of the shared capability above when it began. */
static void judge_delegation(state_t *s, cap_id_t parent, cap_rights_t rights, decline_t before) {
    if (before.ended || (rights & before.gone))
        run_violation(s->worker, before.ended ? "C1" : "C2",
                      "delegate of %#llx below %#llx succeeded although rights %#llx were gone above and it had%s ended",
                      (ull)rights, (ull)parent, (ull)before.gone, before.ended ? "" : " not");
}

static void do_delegate_node(state_t *s, int at) {
    int from = family_pick(&s->family, draw(s));
    if (from < 0 || s->family.nodes[from].depth >= DEPTH_MAX)
        return;
    node_t parent = s->family.nodes[from];
    node_t child = parent;
    child.rights = draw_ask(s, parent.rights);
    child.parent = from;
    child.depth++;
    bool fits = (parent.rights & CAPABILITY_RIGHT_DELEGATE) && !(child.rights & ~parent.rights);
    decline_t before = {.ended = false};
    if (parent.record)
        before = record_decline(parent.record, parent.sequence, parent.born);
    status_t got = CAP(delegate)(s->seat, parent.id, child.rights, &child.id);
    if (refused(s, got))
        return;
    if (parent.record && fits && got == STATUS_DENIED)
        return; /* the record lost a right that we do not know of yet */
    expect(s, "C2", "delegate", &parent, got, fits ? STATUS_OK : STATUS_DENIED, STATUS_STALE);
    if (got != STATUS_OK)
        return;
    if (child.record)
        child.born = record_started(atomic_load_explicit(&child.record->word, memory_order_seq_cst));
    judge_delegation(s, parent.id, child.rights, before);
    add_node(s, at, child);
}

static void do_delegate_record(state_t *s, int at) {
    glimpse_t seen;
    if (!glimpse_any(s, &seen))
        return;
    decline_t before = record_decline(seen.record, seen.sequence, 0);
    node_t child = {.parent = -1, .depth = 1, .record = seen.record, .sequence = seen.sequence};
    child.rights = draw_rights(s, RIGHTS_DATA) | (draw(s) % 8 ? CAPABILITY_RIGHT_DELEGATE : 0);
    if (draw(s) % 4) /* mostly what can succeed */
        child.rights &= ~before.gone;
    status_t got = CAP(delegate)(s->seat, seen.id, child.rights, &child.id);
    if (refused(s, got) || got == STATUS_STALE || got == STATUS_DENIED)
        return;
    child.born = record_started(atomic_load_explicit(&seen.record->word, memory_order_seq_cst));
    if (got == STATUS_OK) {
        judge_delegation(s, seen.id, child.rights, before);
        add_node(s, at, child);
    } else {
        run_violation(s->worker, "C2", "delegate below %#llx answered %s", (ull)seen.id, status_name(got));
    }
}

static void do_delegate(state_t *s) {
    int at = family_free(&s->family, draw(s));
    if (at < 0)
        do_revoke_node(s, family_pick(&s->family, draw(s)));
    else if (s->shared->records_count && draw(s) % 2)
        do_delegate_record(s, at);
    else
        do_delegate_node(s, at);
}
