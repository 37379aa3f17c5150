/* Where threads run and where memory comes from, by system calls alone (no libnuma). */
#ifndef ORCH_PLACEMENT_H
#define ORCH_PLACEMENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "harness.h"

/* false with one line in `why`: not a list, a CPU that does not exist, or one that is not ours. */
bool placement_parse_cpus(const char *text, options_t *options, char *why, size_t size);
bool placement_parse_mem(const char *text, options_t *options, char *why, size_t size);
/* Of this thread and those it starts from now on. false: refused by the kernel. */
bool placement_set_memory(const options_t *options, char *why, size_t size);
/* Worker `index` starts on its CPU. */
bool placement_pin(pthread_attr_t *attributes, const options_t *options, int index);
/* The main thread leaves the workers' CPUs where it can: it prints while they are measured. */
void placement_step_aside(const options_t *options);

#endif
