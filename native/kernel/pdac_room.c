// Admission: one vector of what is in use, changed as a whole.
//
// `current` names the vector that counts. Who wants to change it reads that vector, writes the sum into the spare one of his lane, and
// makes `current` name it by one compare-and-swap; the vector that counted before is his spare from then on. So every vector that ever counts
// was compared with the system's as a whole (P2), in eight lanes at once, and nobody waits for anybody: a change that fails has
// seen another one succeed. What is read while its owner writes it anew is a mixture: then `current` has changed, and nothing comes of it.
//
// Waiting for room. A worker none of whose ready nodes fits puts them aside as a chunk, in `blocked`, and looks at `current` again; who
// releases changes `current`, and looks at `blocked` (edge ROOM: store, then load, at both ends, so one sees the other). Each release lets
// one chunk go on, and a chunk that was let go on lets the next go on when it was admitted something. So as long as chunks are blocked, a body
// that runs, or a chunk on its way, is going to let one go on: if nothing is in use any node fits.
//
// Patience. A node that was refused often is put into `claimed`: then nothing else is admitted, what is in use is released in time, and
// every release tries the claimed node first. It fits when nothing is in use. Who tries marks the word; a release that comes meanwhile
// has changed `current`, which he looks at when he has taken the mark away (edge ROOM again).
#include "pdac_layout.h"

#define ROOM_SHIFT 16u
#define ROOM_INDEX (((uint64_t)1 << ROOM_SHIFT) - 1)
#define TRYING ((uint64_t)1)

static pdac_vector_t read_room(const pdac_room_t *room) {
    pdac_vector_t vector;
    for (int i = 0; i < PDAC_DIMENSIONS / 2; i++) {
        /* edge VECTOR:A — that `current` had moved on before it was written anew; :R is in write_room */
        uint64_t pair = atomic_load_acquire_u64(&room->pairs[i]);
        vector.of[(ptrdiff_t)2 * i] = (pdac_amount_t)pair;
        vector.of[(ptrdiff_t)2 * i + 1] = (pdac_amount_t)(pair >> 32);
    }
    return vector;
}

static void write_room(pdac_room_t *room, const pdac_vector_t *vector) {
    for (int i = 0; i < PDAC_DIMENSIONS / 2; i++) {
        uint64_t pair = (uint64_t)vector->of[(ptrdiff_t)2 * i + 1] << 32 | vector->of[(ptrdiff_t)2 * i];
        /* edge VECTOR:R — that `current` had moved on before; :A is in read_room */
        atomic_store_release_u64(&room->pairs[i], pair);
    }
}

// Adds `needs` to what is in use, if that stays within the system's; or takes it away. False: *seen is what left no room.
static bool change(pdac_t *engine, pdac_lane_t *lane, const pdac_vector_t *needs, bool take, uint64_t *seen) {
    /* edge ROOM:S — what is in use, before and after it is looked who waits; :S is in pdac_block */
    uint64_t current = atomic_load_seq_cst_u64(&engine->current);
    for (;;) {
        pdac_vector_t used = read_room(&engine->rooms[current & ROOM_INDEX]);
        pdac_vector_t next = pdac_vector_difference(&used, needs);
        if (take) {
            pdac_vector_t free = pdac_vector_difference(&engine->system, &used);
            next = pdac_vector_sum(&used, needs);
            if (!pdac_vector_fits(needs, &free)) {
                /* edge ROOM:S — as above; :S is in pdac_block */
                uint64_t again = atomic_load_seq_cst_u64(&engine->current);
                if (again == current) {
                    *seen = current;
                    return false;
                }
                current = again;
                continue;
            }
        }
        uint64_t desired = ((current >> ROOM_SHIFT) + 1) << ROOM_SHIFT | lane->spare;
        write_room(&engine->rooms[lane->spare], &next);
        /* edge ROOM:S — what is in use, before it is looked who waits; :S is in pdac_block */
        if (atomic_cas_seq_cst_u64(&engine->current, &current, desired)) {
            lane->spare = (uint32_t)(current & ROOM_INDEX);
            return true;
        }
    }
}

pdac_vector_t pdac_in_use(const pdac_t *engine) {
    pdac_vector_t used;
    uint64_t before = 0;
    uint64_t after = 0;
    do {
        /* edge ROOM:S — only for its value; :S is in pdac_block */
        before = atomic_load_seq_cst_u64(&engine->current);
        used = read_room(&engine->rooms[before & ROOM_INDEX]);
        /* edge ROOM:S — as above; :S is in pdac_block */
        after = atomic_load_seq_cst_u64(&engine->current);
    } while (before != after);
    return used;
}

bool pdac_admit(pdac_t *engine, pdac_lane_t *lane, const pdac_vector_t *needs, uint64_t *seen) {
    /* edge ROOM:S — before the claim is looked at: when that ends, this changes; :S is in pdac_block */
    *seen = atomic_load_seq_cst_u64(&engine->current);
    /* edge CLAIM:S — whether somebody is next; :S is in pdac_claim */
    if (atomic_load_seq_cst_u64(&engine->claimed) != 0) {
        return false;
    }
    return change(engine, lane, needs, true, seen);
}

// --- who waits ----------------------------------------------------------------------------------------------------

static void push_blocked(pdac_t *engine, pdac_chunk_t *first, pdac_chunk_t *last) {
    /* relaxed: the compare-and-swap decides */
    uint64_t head = atomic_load_relaxed_u64(&engine->blocked);
    do {
        last->next = (pdac_chunk_t *)(uintptr_t)head;
        /* edge ROOM:S — that chunks wait, before `current` is looked at again; :S is in pdac_release */
        /* edge BLOCKED:RA — the chunks; :RA is in pdac_wake */
    } while (!atomic_cas_seq_cst_u64(&engine->blocked, &head, (uint64_t)(uintptr_t)first));
}

void pdac_wake(pdac_t *engine, scheduler_cpu_t *on) {
    /* edge BLOCKED:RA — the chunks; :RA is in push_blocked */
    pdac_chunk_t *first = (pdac_chunk_t *)(uintptr_t)atomic_exchange_acq_rel_u64(&engine->blocked, 0);
    if (first == NULL) {
        return;
    }
    pdac_chunk_t *rest = first->next;
    uint64_t none = 0;
    /* edge BLOCKED:RA — the chunks again; :RA is in pdac_wake */
    if (rest != NULL && !atomic_cas_seq_cst_u64(&engine->blocked, &none, (uint64_t)(uintptr_t)rest)) {
        pdac_chunk_t *last = rest;
        while (last->next != NULL) {
            last = last->next;
        }
        push_blocked(engine, rest, last);
    }
    first->woken = true;
    pdac_chunk_spawn(first, on);
}

void pdac_block(pdac_t *engine, pdac_chunk_t *chunk, uint64_t seen, scheduler_cpu_t *on) {
    push_blocked(engine, chunk, chunk);
    /* edge ROOM:S — whether room was released meanwhile, after the chunk was put there; :S is in change */
    if (atomic_load_seq_cst_u64(&engine->current) != seen) {
        pdac_wake(engine, on);
    }
}

// --- who is next --------------------------------------------------------------------------------------------------

static const pdac_vector_t *needs_of(const pdac_chunk_t *chunk) {
    return &chunk->graph->cell_needs[ready_at(chunk->ready[0])];
}

// Tries to admit the claimed node, and sends it on its way.
static void try_claimed(pdac_t *engine, pdac_lane_t *lane, scheduler_cpu_t *on) {
    uint64_t seen = 0;
    do {
        /* edge CLAIM:S — the chunk; :S is in pdac_claim */
        uint64_t word = atomic_load_seq_cst_u64(&engine->claimed);
        /* edge CLAIM:S — that it is tried; :S is in try_claimed */
        if (word == 0 || (word & TRYING) || !atomic_cas_seq_cst_u64(&engine->claimed, &word, word | TRYING)) {
            return;
        }
        pdac_chunk_t *chunk = (pdac_chunk_t *)(uintptr_t)word;
        bool admitted = change(engine, lane, needs_of(chunk), true, &seen);
        uint64_t marked = word | TRYING;
        /* edge CLAIM:S — that it is not tried any more, before `current` is looked at; :S is in try_claimed */
        (void)atomic_cas_seq_cst_u64(&engine->claimed, &marked, admitted ? 0 : word);
        if (admitted) {
            chunk->admitted = true;
            pdac_chunk_spawn(chunk, on);
            return;
        }
        /* edge ROOM:S — whether room was released meanwhile; :S is in change */
    } while (atomic_load_seq_cst_u64(&engine->current) != seen);
}

bool pdac_claim(pdac_t *engine, pdac_lane_t *lane, pdac_chunk_t *chunk, scheduler_cpu_t *on) {
    uint64_t nobody = 0;
    /* edge CLAIM:S — the chunk; :S is in try_claimed */
    if (!atomic_cas_seq_cst_u64(&engine->claimed, &nobody, (uint64_t)(uintptr_t)chunk)) {
        return false;
    }
    try_claimed(engine, lane, on);
    return true;
}

void pdac_release(pdac_t *engine, pdac_lane_t *lane, const pdac_vector_t *needs, scheduler_cpu_t *on) {
    uint64_t seen = 0;
    (void)change(engine, lane, needs, false, &seen);
    /* edge CLAIM:S — who is next, after the room was released; :S is in pdac_claim */
    if (atomic_load_seq_cst_u64(&engine->claimed) != 0) {
        try_claimed(engine, lane, on);
        return;
    }
    /* edge ROOM:S — who waits, after the room was released; :S is in push_blocked */
    if (atomic_load_seq_cst_u64(&engine->blocked) != 0) {
        pdac_wake(engine, on);
    }
}
