// Rights columns: how a change of a capability reaches its place before the call that changes it returns.
//
// table->members holds, for each slot, the seat that its capability is bound to. Four rules:
//
// 1. A word is made valid only by a compare-and-swap from a token that the same thread has just drawn and put there, after it has
//    read the capability. Tokens are not used twice. So when anybody has put another token there meanwhile, the word stays
//    invalid, which means: ask the table. And whoever put it there reads the capability after that.
// 2. Who changes rights changes them first, then looks for a seat, and renews its word by rule 1. Who binds puts the seat into members
//    first, and then reads the rights. In seq_cst order (edge COLUMN) one of them sees the other. So once a change has
//    returned, the word has the new rights, or a token.
// 3. Who ends a capability has closed it (slot.children); then takes the place to a token for good, then unbinds it, and only then
//    makes it dead. Who makes a word valid looks at CLOSED after it has drawn its token: it either sees it, and leaves the token, or
//    its token is older than that of who ends it, and the compare-and-swap fails. So nothing that is dead, by
//    whomever, has a valid word: no call that finds a capability dead needs to help. Who binds and finds it closed does the same:
//    a token, and then unbinds.
//    When it is dead, who ended it makes its token 0, if nobody has put another there.
//
// 4. A place changes hands in the order: the new id, a token, and then the old one is unbound; for while the old one's word may
//    become valid, its changes must come here.
//
// A seat belongs to its column's memory, which is freed after a grace period: who changes or ends a capability is inside, and so is who
// binds. A slot's next capability begins with no seat: the one who ends the last clears it while inside; and who binds to a
// capability that has died clears what it put there before it leaves.
#include "capability_column.h"

#define MEMBER_BYTES sizeof(atomic_u64_t)
#define FILL_ATTEMPTS 3 // of set, against calls that change the place at the same time

// --- the table's part: which slot is bound where --------------------------------------------------------------------

static atomic_u64_t *members_of(const capability_table_t *table) {
    /* edge COLUMN:S — whether there are columns, after what they are to learn has changed; :S is in place_fill */
    /* edge MEMBERS:A — the array; :RA is in members_make */
    return (atomic_u64_t *)(uintptr_t)atomic_load_seq_cst_u64(&table->members);
}

static status_t members_make(capability_table_t *table) {
    uint64_t none = 0;
    if (members_of(table) != NULL) {
        return STATUS_OK;
    }
    size_t bytes = (table->view.mask + 1) * MEMBER_BYTES;
    void *made = shared_reserve(bytes);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    /* edge MEMBERS:RA — the array; :A is in members_of */
    if (!atomic_cas_seq_cst_u64(&table->members, &none, (uintptr_t)made)) {
        shared_release(made, bytes); // another thread was first
    }
    return STATUS_OK;
}

void members_release(capability_table_t *table) {
    shared_release(members_of(table), (table->view.mask + 1) * MEMBER_BYTES);
}

// Makes the part of the array with `index` writable.
static bool members_commit(capability_table_t *table, uint64_t index) {
    uint64_t chunk = index / SLOT_CHUNK, first = chunk * SLOT_CHUNK, capacity = table->view.mask + 1;
    /* edge COMMIT:A — that the memory is writable; :R is in members_commit */
    if (atomic_load_acquire_u32(&table->members_committed[chunk]) != 0) {
        return true;
    }
    uint64_t slots = capacity - first < SLOT_CHUNK ? capacity - first : SLOT_CHUNK;
    if (!table_commit(table, members_of(table) + first, slots * MEMBER_BYTES, false)) {
        return false;
    }
    /* edge COMMIT:R — that the memory is writable; :A is in members_commit */
    atomic_store_release_u32(&table->members_committed[chunk], 1);
    return true;
}

static column_seat_t *seat_at(const atomic_u64_t *members, uint64_t index) {
    /* edge COLUMN:S — the seat, after the change or the close; :S is in place_fill */
    /* edge MEMBERS:A — the seat's words; :RA is in seat_bind */
    return (column_seat_t *)(uintptr_t)atomic_load_seq_cst_u64(&members[index]);
}

static bool seat_bind(const capability_table_t *table, uint64_t index, column_seat_t *seat) {
    uint64_t nobody = 0;
    /* edge COLUMN:S — the seat, before the capability is read; :S is in members_of */
    /* edge MEMBERS:RA — the seat's words; :A is in seat_at */
    return atomic_cas_seq_cst_u64(&members_of(table)[index], &nobody, (uintptr_t)seat);
}

static void seat_unbind(atomic_u64_t *members, uint64_t index, const column_seat_t *seat) {
    uint64_t bound = (uintptr_t)seat;
    if (seat_at(members, index) == seat) { // a part that was never bound is not writable
        /* edge COLUMN:S — that the slot is nobody's again; :S is in seat_at */
        (void)atomic_cas_seq_cst_u64(&members[index], &bound, 0);
    }
}

// --- a place ----------------------------------------------------------------------------------------------------------

static atomic_u64_t *word_of(const column_seat_t *seat) { return &seat->column->words[seat - seat->column->seats]; }

// From here on the table is asked for this place; the token that says so.
static uint64_t place_open(column_seat_t *seat) {
    /* relaxed: only that it is nobody else's matters */
    uint64_t token = atomic_fetch_add_relaxed_u64(&seat->token, 1) + 1;
    /* edge COLUMN:S — the token, before the capability is read; :S is in place_fill */
    (void)atomic_exchange_seq_cst_u64(word_of(seat), token);
    return token;
}

// Whether nobody has put another token there.
static bool place_settle(const column_seat_t *seat, uint64_t token, uint64_t word) {
    /* edge PLACE:RA — what was read since the token was drawn; :RA is in place_settle */
    return atomic_cas_acq_rel_u64(word_of(seat), &token, word);
}

// OK with a valid word; BUSY where somebody has put another token there; STALE where the capability is closed or dead. Then the token stays.
static status_t place_fill(const capability_table_t *table, const column_seat_t *seat, uint64_t token, cap_id_t id) {
    uint64_t index = id & table->view.mask;
    const cap_entry_t *entry = &table->view.entries[index];
    /* edge COLUMN:S — whether it is closed, after the token; :S is in revoke_inside */
    bool closed = (atomic_load_seq_cst_u64(&table->slots[index].children) & CHILDREN_CLOSED) != 0;
    /* edge COLUMN:S — the rights, after the token; :S is in members_of */
    cap_rights_t rights = atomic_load_seq_cst_u64(&entry->rights);
    /* edge LIFE:A — whose they are; :R is in capability_create */
    bool lives = atomic_load_acquire_u64(&entry->state) == id;
    if (closed || !lives) {
        return STATUS_STALE;
    }
    return place_settle(seat, token, COLUMN_VALID | rights) ? STATUS_OK : STATUS_BUSY;
}

// After a token was put there. Meanwhile the place may have become another capability's.
static cap_id_t id_at(const column_seat_t *seat) {
    /* edge COLUMN:S — whose place it is now, after the token; :S is in set_inside */
    return atomic_load_seq_cst_u64(&seat->id);
}

static void seat_renew(const capability_table_t *table, column_seat_t *seat) {
    uint64_t token = place_open(seat);
    cap_id_t id = id_at(seat);
    // Only what is bound here may be valid here: its changes would not come otherwise.
    if (id != CAPABILITY_NONE && seat_at(members_of(table), id & table->view.mask) == seat) {
        (void)place_fill(table, seat, token, id);
    }
}

void column_renew(const capability_table_t *table, uint64_t index) {
    const atomic_u64_t *members = members_of(table);
    column_seat_t *seat = members != NULL ? seat_at(members, index) : NULL;
    if (seat != NULL) {
        seat_renew(table, seat);
    }
}

column_end_t column_close(const capability_table_t *table, uint64_t index) {
    atomic_u64_t *members = members_of(table);
    column_seat_t *seat = members != NULL ? seat_at(members, index) : NULL;
    if (seat == NULL) {
        return (column_end_t){NULL, 0};
    }
    uint64_t token = place_open(seat);
    seat_unbind(members, index, seat);
    return (column_end_t){seat, token};
}

void column_end(const capability_table_t *table, column_end_t end, cap_id_t id) {
    if (end.seat == NULL) {
        return;
    }
    if (id_at(end.seat) == id) {
        (void)place_settle(end.seat, end.token, 0);
    } else {
        seat_renew(table, end.seat); // the place has become another one's, and our token is in its way
    }
}

// --- columns ----------------------------------------------------------------------------------------------------------

static void column_free(reclaim_node_t *node, void *owner) {
    (void)owner;
    capability_column_t *column = (capability_column_t *)((char *)node - offsetof(capability_column_t, limbo));
    shared_free(column->words);
    shared_free(column->seats);
    shared_free(column);
}

status_t capability_column_create(capability_table_t *table, uint64_t size, capability_column_t **out) {
    if (size == 0 || size > CAPABILITY_COLUMN_MAX) {
        return STATUS_INVALID;
    }
    capability_column_t *column = shared_alloc(sizeof *column);
    if (column == NULL) {
        return STATUS_NO_MEMORY;
    }
    column->table = table;
    column->size = size;
    column->words = shared_alloc_aligned((size + COLUMN_BLOCK) * sizeof *column->words);
    column->seats = shared_alloc(size * sizeof *column->seats);
    if (column->words == NULL || column->seats == NULL || members_make(table) != STATUS_OK) {
        column_free(&column->limbo, NULL);
        return STATUS_NO_MEMORY;
    }
    for (uint64_t place = 0; place < size; place++) {
        column->seats[place].column = column;
    }
    *out = column;
    return STATUS_OK;
}

static cap_id_t id_before(const column_seat_t *seat) {
    /* relaxed: written by this thread, or by one that was here before it */
    return atomic_load_relaxed_u64(&seat->id);
}

void capability_column_destroy(capability_thread_t *self, capability_column_t *column) {
    reclaim_enter(self->reclaim);
    for (uint64_t place = 0; place < column->size; place++) {
        const column_seat_t *seat = &column->seats[place];
        cap_id_t id = id_before(seat);
        if (id != CAPABILITY_NONE) {
            seat_unbind(members_of(column->table), id & column->table->view.mask, seat);
        }
    }
    reclaim_retire(self->reclaim, &column->limbo, column_free);
    reclaim_leave(self->reclaim);
}

uint64_t capability_column_size(const capability_column_t *column) { return column->size; }

cap_id_t capability_column_id(const capability_column_t *column, uint64_t place) {
    /* edge MEMBERS:A — the id; :R is in set_inside */
    return place < column->size ? atomic_load_acquire_u64(&column->seats[place].id) : CAPABILITY_NONE;
}

// Whether no check will ever find `id`.
static bool is_over(const capability_table_t *table, cap_id_t id) {
    uint64_t index = id & table->view.mask;
    /* edge LIFE:A — the end of the capability; :RA is in tree_kill */
    uint64_t state = atomic_load_acquire_u64(&table->view.entries[index].state);
    if (index != index_of(id) || generation_of(state) > generation_of(id)) {
        return true;
    }
    phase_t phase = phase_of(state, index);
    return generation_of(state) == generation_of(id) && (phase == PHASE_DEAD || phase == PHASE_RETIRED);
}

// Makes a bound place valid.
static status_t fill_bound(capability_table_t *table, column_seat_t *seat, uint64_t token, cap_id_t id) {
    status_t status = place_fill(table, seat, token, id);
    for (int attempt = 0; status == STATUS_BUSY && attempt < FILL_ATTEMPTS; attempt++) {
        status = place_fill(table, seat, place_open(seat), id);
    }
    if (status == STATUS_STALE) {
        (void)place_open(seat); // who renewed it before the close has made it valid, and once it is unbound no change comes here any more
        seat_unbind(members_of(table), index_of(id), seat);
    }
    return status == STATUS_BUSY ? STATUS_OK : status; // who interferes last makes it valid
}

static status_t set_inside(capability_column_t *column, uint64_t place, cap_id_t id) {
    capability_table_t *table = column->table;
    column_seat_t *seat = &column->seats[place];
    cap_id_t before = id_before(seat);
    /* edge COLUMN:S — whose place it is, before the token; :S is in id_at */
    /* edge MEMBERS:R — the id; :A is in capability_column_id */
    atomic_store_seq_cst_u64(&seat->id, id);
    uint64_t token = place_open(seat);
    if (before != CAPABILITY_NONE && before != id) {
        // Not earlier: its changes come to the place as long as the word may be made valid for it.
        seat_unbind(members_of(table), before & table->view.mask, seat);
    }
    if (id == CAPABILITY_NONE) {
        (void)place_settle(seat, token, 0);
        return STATUS_OK;
    }
    if (!is_live(table, id)) { // so that while this thread is inside, the slot gets no next capability
        if (is_over(table, id)) {
            (void)place_settle(seat, token, 0);
        }
        return STATUS_STALE;
    }
    if (!members_commit(table, index_of(id))) {
        return STATUS_NO_MEMORY;
    }
    bool bound = seat_at(members_of(table), index_of(id)) == seat || seat_bind(table, index_of(id), seat);
    return bound ? fill_bound(table, seat, token, id) : STATUS_BUSY;
}

status_t capability_column_set(capability_thread_t *self, capability_column_t *column, uint64_t place, cap_id_t id) {
    if (place >= column->size) {
        return STATUS_INVALID;
    }
    reclaim_enter(self->reclaim);
    status_t status = set_inside(column, place, id);
    reclaim_leave(self->reclaim);
    return status;
}

uint64_t column_ask(const capability_column_t *column, uint64_t first, uint64_t asked, cap_rights_t need) {
    uint64_t passes = 0;
    for (; asked != 0; asked &= asked - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(asked);
        uint64_t place = first + bit;
        /* relaxed: what it says of the place was true in the moment of the load */
        uint64_t word = place < column->size ? atomic_load_relaxed_u64(&column->words[place]) : 0;
        bool pass = false;
        if (word != 0) {
            pass = (word & COLUMN_VALID) != 0 && (need & COLUMN_VALID) == 0
                       ? (word & need) == need
                       : capability_check(column->table, capability_column_id(column, place), need);
        }
        passes |= (uint64_t)pass << bit;
    }
    return passes;
}
