/* Tokens: what it takes to have a run again, as one word. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "build_id.h"
#include "program.h"

enum { PARTS = 8 };

static void put(char *text, size_t size, size_t *used, const char *what, uint64_t number) {
    int length = snprintf(text + *used, size - *used, "%s%" PRIu64, what, number);
    *used += length > 0 ? (size_t)length : 0;
    *used = *used < size ? *used : size - 1;
}

/* Threads and their operations, as masks: `0.5,1.3`. */
static void put_dropped(const explore_plan_t *plan, char *text, size_t size, size_t *used) {
    const char *before = "";
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        if (plan->dropped[i] != 0) {
            put(text, size, used, before, i);
            put(text, size, used, ".", plan->dropped[i]);
            before = ",";
        }
    }
    *used += *before == 0 ? (size_t)snprintf(text + *used, size - *used, "-") : 0;
}

/* Those that are not the usual: how many usual ones are before each, and which rank it is: `12.1,0.2`. `-`: the seed makes them. */
static void put_decisions(const explore_plan_t *plan, char *text, size_t size, size_t *used) {
    const char *before = "";
    uint64_t usual = 0;
    for (size_t i = 0; plan->replay && i < plan->decision_count; i++) {
        if (plan->decisions[i] == 0) {
            usual++;
            continue;
        }
        put(text, size, used, before, usual);
        put(text, size, used, ".", plan->decisions[i]);
        before = ",";
        usual = 0;
    }
    if (*before == 0) {
        snprintf(text + *used, size - *used, plan->replay ? "0" : "-");
    }
}

void token_write(const subject_t *subject, const explore_plan_t *plan, char *text, size_t size) {
    int length = snprintf(text, size, "%s:%s:%s:%s:%s:%" PRIu64 ":", ORCH_BUILD_ID, subject->subject, subject->scenario->name,
                          strategy_names[plan->strategy], model_names[plan->model], plan->seed);
    size_t used = (size_t)length;
    put_dropped(plan, text, size, &used);
    used += (size_t)snprintf(text + used, size - used, ":");
    put_decisions(plan, text, size, &used);
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

/* One `number.number` of a list; *at goes on behind it, and becomes NULL at the end. */
static void next_pair(char **at, uint64_t *first, uint64_t *second) {
    char *end = NULL;
    errno = 0;
    *first = strtoull(*at, &end, 10);
    bool good = **at >= '0' && **at <= '9' && *end == '.' && end[1] >= '0' && end[1] <= '9';
    *second = good ? strtoull(end + 1, &end, 10) : 0;
    if (!good || errno != 0 || (*end != ',' && *end != 0)) {
        usage_error("replay: '%.32s' in the token is no list of numbers", *at);
    }
    *at = *end == ',' ? end + 1 : NULL;
}

static void read_dropped(char *text, explore_plan_t *plan) {
    char *at = strcmp(text, "-") == 0 ? NULL : text;
    while (at != NULL) {
        uint64_t thread = 0, operations = 0;
        next_pair(&at, &thread, &operations);
        if (thread >= EXPLORE_THREADS) {
            usage_error("replay: the token names thread %" PRIu64 "; the last is %u", thread, EXPLORE_THREADS - 1);
        }
        plan->dropped[thread] = operations;
    }
}

static void read_decisions(char *text, explore_plan_t *plan) {
    static uint8_t decisions[EXPLORE_DECISIONS];
    plan->decisions = decisions;
    plan->replay = strcmp(text, "-") != 0;
    char *at = plan->replay && strcmp(text, "0") != 0 ? text : NULL;
    while (at != NULL) {
        uint64_t usual = 0, rank = 0;
        next_pair(&at, &usual, &rank);
        if (usual >= EXPLORE_DECISIONS - plan->decision_count || rank > UINT8_MAX) {
            usage_error("replay: the token has decisions that no run has");
        }
        plan->decision_count += usual;
        decisions[plan->decision_count++] = (uint8_t)rank;
    }
}

explore_plan_t token_read(const char *text, const subject_t **subject) {
    static char copy[1 << 19];
    char *part[PARTS];
    unsigned count = 0;
    size_t length = strlen(text);
    if (length >= sizeof copy) {
        usage_error("replay: the token is longer than %zu characters", sizeof copy - 1);
    }
    memcpy(copy, text, length + 1);
    for (char *at = copy; at != NULL && count < PARTS; count++) {
        part[count] = at;
        at = strchr(at, ':');
        if (at != NULL) {
            *at++ = 0;
        }
    }
    if (count != PARTS) {
        usage_error("replay: this is no token; one is build:subject:scenario:strategy:model:seed:dropped:decisions");
    }
    if (strcmp(part[0], ORCH_BUILD_ID) != 0) {
        usage_error("replay: the token is of source %.16s and this program of %s; build that source to replay it", part[0],
                    ORCH_BUILD_ID);
    }
    const bench_t *bench = bench_find(part[2]);
    *subject = (const subject_t *)bench;
    if (bench == NULL || strcmp((*subject)->subject, part[1]) != 0) {
        usage_error("replay: there is no scenario '%s' of '%s'; list shows them", part[2], part[1]);
    }
    explore_plan_t plan = {.scenario = (*subject)->scenario,
                           .strategy = name_index("strategy", part[3], strategy_names),
                           .model = name_index("model", part[4], model_names),
                           .seed = seed_of(part[5])};
    read_dropped(part[6], &plan);
    read_decisions(part[7], &plan);
    return plan;
}
