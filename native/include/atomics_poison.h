// Back end of atomics.h for the variant poison: the doors of atomics_c11.h, but what is freed is filled with a pattern and kept back for a while. Who
// reads it meets no valid pointer and no likely number; who writes to it is found when the block is looked at again. Between the doors, and in all
// others, is the production code.
#pragma once

#include "atomics_c11.h"

#define ATOMICS_POISON 1

// Instead of shared_free; kernel/atomics_poison.c. Ends the program with a line on stderr and SIGABRT where `memory` was freed before, or
// where an earlier block, now given back, has been written to since. Looks at the blocks that are left when the program ends.
void atomics_poison_free(void *memory);

// Defined in kernel/atomics.c, with the name in parentheses.
#define shared_free(...) atomics_poison_free(__VA_ARGS__)
