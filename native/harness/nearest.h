/* The name that was probably meant. */
#ifndef ORCH_NEAREST_H
#define ORCH_NEAREST_H

#include <stddef.h>

/* The one of `names` with the smallest edit distance to `given`; NULL where there are none. */
const char *nearest_name(const char *given, const char *const *names, size_t count);

#endif
