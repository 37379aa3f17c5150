/* Where the memory of the process lies, asked of the kernel page by page. */
#ifndef ORCH_PLACED_H
#define ORCH_PLACED_H

#include "harness.h"

/* Worker 0, when all have left and before the bench gives its memory back. On a machine of several nodes with memory: a counter
 * `memory_node<K>` for each of the first nodes (bytes, from a sample of the pages of each range), and where a policy names where memory is to
 * be, `memory_placed`: the share of it that is there, in per cent. Nothing where the kernel does not tell, or there is less than a MiB. */
void placed_count(run_t *run);

#endif
