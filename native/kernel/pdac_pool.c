// Chunks for one graph, all made when it is sealed: a run allocates nothing.
//
// ABA: the word of the list counts its changes in 32 bits. Who pops has read a chunk's `free_next` that may be out of date; then the
// count has moved on and the compare-and-swap fails. Chunks are never unmapped before the graph is destroyed.
#include "pdac_layout.h"

bool pdac_pool_create(pdac_pool_t *pool, uint32_t size, pdac_graph_t *graph) {
    *pool = (pdac_pool_t){.size = size, .graph = graph};
    pool->chunks = shared_reserve((size_t)size * sizeof *pool->chunks);
    return pool->chunks != NULL && shared_commit(pool->chunks, (size_t)size * sizeof *pool->chunks, false);
}

void pdac_pool_destroy(pdac_pool_t *pool) {
    shared_release(pool->chunks, (size_t)pool->size * sizeof *pool->chunks);
    pool->chunks = NULL;
}

static pdac_chunk_t *take_fresh(pdac_pool_t *pool) {
    /* relaxed: a look; the addition below decides, and what it gives out nobody has ever used */
    if (atomic_load_relaxed_u32(&pool->fresh) >= pool->size) {
        return NULL;
    }
    /* relaxed: as above */
    uint32_t index = atomic_fetch_add_relaxed_u32(&pool->fresh, 1);
    if (index >= pool->size) {
        return NULL;
    }
    pdac_chunk_t *chunk = &pool->chunks[index];
    chunk->graph = pool->graph;
    chunk->pool = pool;
    chunk->index = index;
    return chunk;
}

pdac_chunk_t *pdac_pool_take(pdac_pool_t *pool) {
    /* edge CHUNK:A — what its last user did with the first of the list; :RA is in pdac_pool_give */
    uint64_t head = atomic_load_acquire_u64(&pool->free);
    while ((uint32_t)head != 0) {
        pdac_chunk_t *chunk = &pool->chunks[(uint32_t)head - 1];
        /* relaxed: where it is out of date, the compare-and-swap fails */
        uint32_t next = atomic_load_relaxed_u32(&chunk->free_next);
        /* edge CHUNK:RA — what its last user did with it; :RA is in pdac_pool_give */
        if (atomic_cas_acq_rel_u64(&pool->free, &head, ((head >> 32) + 1) << 32 | next)) {
            return chunk;
        }
    }
    return take_fresh(pool);
}

void pdac_pool_give(pdac_chunk_t *chunk) {
    pdac_pool_t *pool = chunk->pool;
    /* relaxed: the compare-and-swap decides */
    uint64_t head = atomic_load_relaxed_u64(&pool->free);
    uint64_t desired = 0;
    do {
        /* relaxed: published by the compare-and-swap */
        atomic_store_relaxed_u32(&chunk->free_next, (uint32_t)head);
        desired = ((head >> 32) + 1) << 32 | (chunk->index + 1);
        /* edge CHUNK:RA — that it is not in use any more; :RA is in pdac_pool_take */
    } while (!atomic_cas_acq_rel_u64(&pool->free, &head, desired));
}
