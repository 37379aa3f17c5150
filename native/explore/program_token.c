/* Tokens: what it takes to have a run again, as one word. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "build_id.h"
#include "program.h"

enum { PARTS = 7 };

void token_write(const token_t *token, char *text, size_t size) {
    snprintf(text, size, "%s:%s:%s:%s:%s:%" PRIu64 ":-", ORCH_BUILD_ID, token->subject->subject,
             token->subject->scenario->name, strategy_names[token->strategy], model_names[token->model], token->seed);
}

static unsigned name_index(const char *what, const char *given, const char *const *names) {
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        if (strcmp(names[count], given) == 0) {
            return (unsigned)count;
        }
    }
    char label[48];
    snprintf(label, sizeof label, "%s in the token:", what);
    usage_unknown(label, given, names, count);
}

static uint64_t seed_of(const char *text) {
    char *end = NULL;
    errno = 0;
    uint64_t seed = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0) {
        usage_error("replay: '%s' is not a seed", text);
    }
    return seed;
}

token_t token_read(const char *text) {
    static char copy[1 << 17];
    char *part[PARTS];
    unsigned count = 0;
    if (strlen(text) >= sizeof copy) {
        usage_error("replay: the token is longer than %zu characters", sizeof copy - 1);
    }
    strcpy(copy, text);
    for (char *at = copy; at != NULL && count < PARTS; count++) {
        part[count] = at;
        at = strchr(at, ':');
        if (at != NULL) {
            *at++ = 0;
        }
    }
    if (count != PARTS) {
        usage_error("replay: this is no token; one is build:subject:scenario:strategy:model:seed:decisions");
    }
    if (strcmp(part[0], ORCH_BUILD_ID) != 0) {
        usage_error("replay: the token is of source %.16s and this program of %s; build that source to replay it", part[0],
                    ORCH_BUILD_ID);
    }
    const bench_t *bench = bench_find(part[2]);
    if (bench == NULL || strcmp(((const subject_t *)bench)->subject, part[1]) != 0) {
        usage_error("replay: there is no scenario '%s' of '%s'; list shows them", part[2], part[1]);
    }
    if (strcmp(part[6], "-") != 0) {
        usage_error("replay: '%.32s' is not a list of decisions", part[6]);
    }
    return (token_t){.subject = (const subject_t *)bench,
                     .strategy = name_index("strategy", part[3], strategy_names),
                     .model = name_index("model", part[4], model_names),
                     .seed = seed_of(part[5])};
}
