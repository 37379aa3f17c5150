/* Private to tuned_*.c. */
#ifndef ORCH_TUNED_STEALS_H
#define ORCH_TUNED_STEALS_H

#include "scheduler.h"
#include "tuned_world.h"

typedef struct tuned_steals tuned_steals_t;

/* False where memory is exhausted; free what was made all the same. */
bool tuned_steals_make(contender_t *contender, tuned_steals_t **made);
void tuned_steals_free(tuned_steals_t *steals);
void tuned_steals_set(tuned_steals_t *steals, uint64_t victim, uint64_t bundle);
uint64_t tuned_steals_chunk(tuned_steals_t *steals);

#endif
