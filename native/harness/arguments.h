/* The command line of `run`. Every mistake is one line on standard error and exit status 2. */
#ifndef ORCH_ARGUMENTS_H
#define ORCH_ARGUMENTS_H

#include "harness.h"

__attribute__((noreturn, format(printf, 1, 2))) void usage_error(const char *format, ...);
__attribute__((noreturn)) void usage_unknown(const char *what, const char *given, const char *const *names,
                                             size_t count);
/* argv[0] is what follows `run`. */
void arguments_parse(int argc, char **argv, options_t *options);

#endif
