/* Private to tuned_*.c. */
#ifndef ORCH_TUNED_STEALS_H
#define ORCH_TUNED_STEALS_H

#include "scheduler.h"
#include "tuned_world.h"

typedef struct tuned_steals tuned_steals_t;

/* One for all contenders of a worker. False where memory is exhausted; free what was made all the same. */
bool tuned_steals_make(tuned_steals_t **made);
void tuned_steals_free(tuned_steals_t *steals);
/* The contender's settings, from now on: at the beginning of its turn, and as it changes them. */
void tuned_steals_set(contender_t *contender);
uint64_t tuned_steals_chunk(contender_t *contender);

#endif
