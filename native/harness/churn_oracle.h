/* The churn bench's questions to the table: each answer is held against the model. Part of churn.h. */

static uint32_t draw(state_t *s) { return (uint32_t)(rng_next(&s->rng) >> 32); }
static cap_rights_t draw_rights(state_t *s, cap_rights_t among) { return rng_next(&s->rng) & among; }

/* A record of any worker that is neither ended nor being replaced. */
static bool glimpse_any(state_t *s, glimpse_t *seen) {
    uint32_t count = (uint32_t)(s->shared->threads * s->shared->records_count);
    return count > 0 && record_glimpse(&s->shared->records[rng_below(&s->rng, count)], seen);
}

/* `got` is `want`; or, below a record that others may end, `other`. */
static void expect(state_t *s, const char *contract, const char *what, const node_t *node, status_t got,
                   status_t want, status_t other) {
    if (got == want || (node->record && got == other))
        return;
    run_violation(s->worker, contract, "%s of %#llx (object %#llx, rights %#llx, depth %d) answered %s, not %s", what,
                  (ull)node->id, (ull)node->object, (ull)node->rights, node->depth, status_name(got),
                  status_name(want));
}

static void must_be_dead(state_t *s, const char *contract, cap_id_t id, const char *since) {
    if (id != CAPABILITY_NONE && CAP(check)(s->table, id, 0))
        run_violation(s->worker, contract, "check of %#llx succeeded after %s had returned", (ull)id, since);
}

/* Any worker's graves. */
static void check_grave(state_t *s) {
    uint32_t whose = rng_below(&s->rng, (uint32_t)s->shared->threads);
    const state_t *other = atomic_load_explicit(&s->shared->states[whose], memory_order_acquire);
    if (!other)
        return;
    uint32_t dice = draw(s);
    bool revoked = dice & 1;
    const _Atomic cap_id_t *ring = revoked ? other->graves.revoked : other->graves.deleted;
    cap_id_t id = atomic_load_explicit(&ring[(dice >> 1) % GRAVES], memory_order_acquire);
    must_be_dead(s, revoked ? "C1" : "C3", id, revoked ? "revoke" : "delete");
}

/* A shared capability itself. */
static void check_record(state_t *s) {
    glimpse_t seen;
    if (!glimpse_any(s, &seen))
        return;
    decline_t before = record_decline(seen.record, seen.sequence, 0);
    cap_rights_t need = (cap_rights_t)1 << (draw(s) % 17); /* bit 16 it never had */
    if (CAP(check)(s->table, seen.id, need) && (before.ended || (need & (before.gone | ~RIGHTS_DATA))))
        run_violation(s->worker, before.ended ? "C1" : "C2",
                      "check of %#llx for %#llx succeeded although its rights %#llx were gone and it had%s ended",
                      (ull)seen.id, (ull)need, (ull)before.gone, before.ended ? "" : " not");
}

/* One of ours below another's record: the model is an upper bound. */
static void check_kin(state_t *s, int at, cap_rights_t need) {
    const node_t *node = &s->family.nodes[at];
    decline_t before = record_decline(node->record, node->sequence, node->born);
    bool allowed = CAP(check)(s->table, node->id, need);
    if (allowed && before.ended)
        run_violation(s->worker, "C1", "check of %#llx succeeded after the shared capability above it had ended",
                      (ull)node->id);
    else if (allowed && (need & (before.gone | ~node->rights)))
        run_violation(s->worker, "C2", "check of %#llx for %#llx succeeded; it had %#llx, of which %#llx were taken above",
                      (ull)node->id, (ull)need, (ull)node->rights, (ull)before.gone);
    if (before.ended) {
        int top = at;
        while (s->family.nodes[top].parent >= 0)
            top = s->family.nodes[top].parent;
        int count = family_end(&s->family, top, s->dead);
        for (int i = 0; i < count; i++)
            graves_add(s->graves.revoked, &s->graves.next_revoked, s->dead[i]);
    }
}

/* One below a root of ours: the model is exact. */
static void check_own(state_t *s, const node_t *node, cap_rights_t need) {
    bool must = (need & ~node->rights) == 0;
    bool allowed = CAP(check)(s->table, node->id, need);
    if (allowed != must)
        run_violation(s->worker, allowed ? "C2" : "C3", "check of %#llx (rights %#llx) for %#llx was %s", (ull)node->id,
                      (ull)node->rights, (ull)need, allowed ? "allowed" : "denied");
}

static void lookup_own(state_t *s, const node_t *node) {
    capability_info_t info = {0};
    status_t got = CAP(lookup)(s->table, node->id, &info);
    cap_id_t parent = node->parent < 0 ? CAPABILITY_NONE : s->family.nodes[node->parent].id;
    if (got != STATUS_OK || info.object != node->object || info.rights != node->rights || info.parent != parent)
        run_violation(s->worker, "C3", "lookup of %#llx: %s, object %#llx, rights %#llx, parent %#llx; not %#llx, %#llx, %#llx",
                      (ull)node->id, status_name(got), (ull)info.object, (ull)info.rights, (ull)info.parent,
                      (ull)node->object, (ull)node->rights, (ull)parent);
}

static void do_check(state_t *s) {
    uint32_t dice = draw(s);
    int at = family_pick(&s->family, dice >> 8);
    if (dice % 8 == 0 || at < 0) {
        check_grave(s);
    } else if (dice % 8 == 1) {
        check_record(s);
    } else {
        const node_t *node = &s->family.nodes[at];
        /* mostly one right that it has or lost; sometimes life alone, or what it never had */
        cap_rights_t need = dice % 8 == 2 ? 0 : (cap_rights_t)1 << (draw(s) % 24);
        if (node->record)
            check_kin(s, at, need);
        else if (dice % 8 == 3)
            lookup_own(s, node);
        else
            check_own(s, node, need);
    }
}

/* ---- C5 ---- */
static void check_stats(state_t *s) {
    capability_stats_t stats = CAP(stats)(s->table);
    if (stats.deleted > stats.created)
        run_violation(s->worker, "C5", "%llu deleted of %llu created", (ull)stats.deleted, (ull)stats.created);
}

/* Everybody has ended what was theirs and left. `created` is our own count. */
static void check_balance(worker_t *worker, TABLE(table_t) *table, uint64_t created) {
    TABLE(thread_t) *seat = NULL;
    status_t status = TABLE(thread_join)(table, &seat);
    if (status != STATUS_OK) {
        run_violation(worker, "C5", "all %d threads have left and there is no seat: %s", worker->run->options->threads,
                      status_name(status));
        return;
    }
    CAP(settle)(seat);
    capability_stats_t stats = CAP(stats)(table);
    capability_audit_t audit = CAP(audit)(table);
    if (stats.created != created || stats.deleted != created)
        run_violation(worker, "C5", "%llu made and ended in all, the table counts %llu created and %llu deleted",
                      (ull)created, (ull)stats.created, (ull)stats.deleted);
    if (audit.live || audit.retired || audit.linked)
        run_violation(worker, "C5", "all have ended: %llu live, %llu retired, %llu linked", (ull)audit.live,
                      (ull)audit.retired, (ull)audit.linked);
    if (audit.slots != audit.live + audit.free + audit.retired + audit.linked + audit.worn)
        run_violation(worker, "C5", "%llu slots, of which %llu free and %llu worn: some are lost", (ull)audit.slots,
                      (ull)audit.free, (ull)audit.worn);
    if (audit.orphans || audit.excesses)
        run_violation(worker, audit.orphans ? "C1" : "C2", "%llu orphans, %llu excesses", (ull)audit.orphans,
                      (ull)audit.excesses);
    TABLE(thread_leave)(seat);
}
