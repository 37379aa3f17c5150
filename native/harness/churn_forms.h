/* The churn bench's batches and hand-overs, with their oracles. Part of churn.h. */

enum { BATCH_MOST = 80 };

/* Of nodes whose model is exact, of graves, and of nobody: C6, each is answered as if it were alone. */
static void do_batch(state_t *s) {
    cap_id_t ids[BATCH_MOST] = {0};
    bool must[BATCH_MOST] = {false};
    uint64_t allowed[2] = {~(uint64_t)0, ~(uint64_t)0}, sum = 0;
    uint32_t count = draw(s) % (BATCH_MOST + 1);
    cap_rights_t need = draw(s) % 4 ? (cap_rights_t)1 << (draw(s) % 24) : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t dice = draw(s);
        int at = family_pick(&s->family, dice >> 8);
        ids[i] = dice % 16 ? atomic_load_explicit(&s->graves.revoked[(dice >> 8) % GRAVES], memory_order_relaxed)
                           : CAPABILITY_NONE;
        must[i] = false;
        if (dice % 4 && at >= 0 && !s->family.nodes[at].record) {
            ids[i] = s->family.nodes[at].id;
            must[i] = (need & ~s->family.nodes[at].rights) == 0;
        }
    }
    uint64_t told = CAP(check_batch)(s->table, ids, count, need, allowed);
    for (uint32_t i = 0; i < count; i++) {
        bool held = allowed[i / 64] >> i % 64 & 1;
        sum += held;
        if (held != must[i])
            run_violation(s->worker, "C6", "a batch of %u: check %u, of %#llx for %#llx, was %s", count, i, (ull)ids[i],
                          (ull)need, held ? "allowed" : "denied");
    }
    if (told != sum || (count % 64 && allowed[count / 64] >> count % 64))
        run_violation(s->worker, "C6", "a batch of %u tells %llu, has %llu bits set, and perhaps bits behind its end", count,
                      (ull)told, (ull)sum);
}

/* What the table must answer to a hand-over between nodes whose model is exact. */
static status_t transfer_answer(const state_t *s, int at, int to) {
    const node_t *node = &s->family.nodes[at];
    if (to < 0)
        return node->parent < 0 ? STATUS_OK : STATUS_DENIED;
    const node_t *above = &s->family.nodes[to];
    if (family_under(&s->family, to, at))
        return STATUS_INVALID;
    cap_rights_t need = node->rights | CAPABILITY_RIGHT_DELEGATE;
    return above->object == node->object && !(need & ~above->rights) ? STATUS_OK : STATUS_DENIED;
}

static bool is_kin(const state_t *s, int at) { return at >= 0 && s->family.nodes[at].record; }

static decline_t decline_of(const state_t *s, int at) {
    const node_t *node = &s->family.nodes[at];
    return is_kin(s, at) ? record_decline(node->record, node->sequence, node->born) : (decline_t){.ended = false};
}

/* `at` has gone to `next`, below `to`. */
static void hand_on(state_t *s, int at, int to, node_t next) {
    cap_id_t old = s->family.nodes[at].id;
    next.parent = to;
    if (is_kin(s, to)) {
        next.record = s->family.nodes[to].record;
        next.sequence = s->family.nodes[to].sequence;
        next.born = record_started(atomic_load_explicit(&next.record->word, memory_order_seq_cst));
    }
    bury(s, at);
    must_be_dead(s, "C1", old, "a transfer");
    add_node(s, at, next); /* its place is free now */
}

static void do_transfer(state_t *s) {
    int at = family_pick(&s->family, draw(s));
    int to = draw(s) % 8 ? family_pick(&s->family, draw(s)) : -1;
    if (at < 0 || is_kin(s, at) != (to >= 0 ? is_kin(s, to) : is_kin(s, at)))
        return;
    node_t next = s->family.nodes[at];
    next.depth = to < 0 ? 0 : s->family.nodes[to].depth + 1;
    if (next.depth > DEPTH_MAX)
        return;
    bool kin = is_kin(s, at);
    decline_t from = decline_of(s, at), into = to < 0 ? from : decline_of(s, to);
    next.rights &= ~from.gone; /* known to be gone before it is asked for */
    status_t want = transfer_answer(s, at, to);
    cap_id_t parent = to < 0 ? CAPABILITY_NONE : s->family.nodes[to].id;
    status_t got = CAP(transfer)(s->seat, next.id, parent, &next.id);
    if (refused(s, got))
        return;
    if (!kin && got != want)
        run_violation(s->worker, "C2", "transfer of %#llx (rights %#llx) below %#llx answered %s, not %s",
                      (ull)s->family.nodes[at].id, (ull)next.rights, (ull)parent, status_name(got), status_name(want));
    if (kin && got == STATUS_OK && (from.ended || into.ended || to < 0 || want == STATUS_INVALID))
        run_violation(s->worker, to < 0 ? "C2" : "C1", "transfer of %#llx below %#llx succeeded although %s",
                      (ull)s->family.nodes[at].id, (ull)parent,
                      to < 0 ? "it is no root" : want == STATUS_INVALID ? "that is below it" : "one of them had ended");
    if (got == STATUS_OK)
        hand_on(s, at, to, next);
}
