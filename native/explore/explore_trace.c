// The steps of a run, kept while it is made and shown when it is told of: one column per thread, stale reads with what they missed, and
// for a race the two accesses that nothing orders.
#include "explore_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { EVENTS = 1 << 10, WIDTH = 34, LINE = 260 };

typedef struct event {
    said_t said;
    explore_order_t order;
    unsigned step, thread;
    const void *at;
    uint64_t value, other;
    bool stale;
    const explore_site_t *site;
} event_t;

bool tracing;
int trace_race_thread;
const void *trace_race_at;
static explore_line_t line_to;
static event_t events[EVENTS]; // the last of them
static unsigned event_count;

void explore_trace(explore_line_t line) {
    line_to = line;
    tracing = line != NULL;
}

void trace_reset(void) {
    event_count = 0;
    trace_race_thread = -1;
    trace_race_at = NULL;
}

void trace_note(said_t said, explore_order_t order, const void *at, uint64_t value, uint64_t other, bool stale) {
    events[event_count++ % EVENTS] = (event_t){said, order, explore_step, running, at, value, other, stale, explore_site};
}

// --- words ------------------------------------------------------------------------------------------------------------

typedef struct text {
    char at[LINE];
    size_t used;
} text_t;

static __attribute__((format(printf, 2, 3))) void put(text_t *text, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text->at + text->used, sizeof text->at - text->used, format, values);
    va_end(values);
    text->used += length > 0 ? (size_t)length : 0;
    text->used = text->used < sizeof text->at ? text->used : sizeof text->at - 1;
}

static void put_place(text_t *text, const void *at) { // b3+8: in the fourth block
    size_t offset = 0;
    int block = memory_block_number(at, &offset);
    if (block < 0) {
        put(text, "static %p", at);
    } else {
        put(text, "b%d+%zu", block, offset);
    }
}

static void put_value(text_t *text, uint64_t value) {
    size_t offset = 0;
    if (memory_block_number((const void *)(uintptr_t)value, &offset) >= 0) {
        put_place(text, (const void *)(uintptr_t)value);
    } else {
        put(text, value < 1000 ? "%" PRIu64 : "%#" PRIx64, value);
    }
}

static const char *file_of(const explore_site_t *site) {
    const char *slash = site != NULL ? strrchr(site->file, '/') : NULL;
    return slash != NULL ? slash + 1 : site != NULL ? site->file : "";
}

static void put_event(text_t *text, const event_t *event) {
    static const char *const words[] = {"load", "store", "update", "cas finds", "cas refused", "fence", "read", "write", "free",
                                        "alloc", "wait", "wake", "yield"};
    static const char *const orders[] = {"rlx", "acq", "rel", "a/r", "sc"};
    bool plain = event->said >= SAID_PLAIN_READ;
    put(text, "%s", words[event->said]);
    if (!plain) {
        put(text, " %s", orders[event->order]);
    }
    if (event->said == SAID_FENCE) {
        put(text, event->value != 0 ? " everywhere" : "");
        return;
    }
    put(text, " ");
    put_place(text, event->at);
    if (event->said == SAID_UPDATE) {
        put(text, " ");
        put_value(text, event->other);
        put(text, "->");
        put_value(text, event->value);
    } else if (event->said == SAID_GIVEN) {
        put(text, " %" PRIu64 " bytes", event->value);
    } else if (!plain) {
        put(text, "=");
        put_value(text, event->value);
    }
    if (event->stale) {
        put(text, " STALE, last is ");
        put_value(text, event->other);
    }
}

// --- lines ------------------------------------------------------------------------------------------------------------

static void show(const event_t *event, const char *mark) {
    text_t line = {.used = 0}, cell = {.used = 0};
    put(&line, "%2s%5u ", mark, event->step);
    for (unsigned i = 0; i < event->thread && event->thread < MAIN_THREAD; i++) {
        put(&line, "| %*s", WIDTH, "");
    }
    put_event(&cell, event);
    put(&line, "| %-*s", WIDTH, cell.at);
    if (event->site != NULL && event->said != SAID_GIVEN && event->said != SAID_FREE) {
        put(&line, "  %s:%u %s", file_of(event->site), event->site->line, event->site->function);
    }
    line_to(line.at);
}

static const event_t *kept(unsigned number) { return &events[number % EVENTS]; }
static unsigned first_kept(void) { return event_count > EVENTS ? event_count - EVENTS : 0; }

// The last step before `end` of a thread, or of another than that; at a place, if one is named.
static int find(unsigned end, int thread, int other_than, const void *at) {
    for (unsigned i = end; i > first_kept(); i--) {
        const event_t *event = kept(i - 1);
        bool is_he = thread < 0 || event->thread == (unsigned)thread;
        bool is_other = other_than < 0 || event->thread != (unsigned)other_than;
        if (is_he && is_other && (at == NULL || event->at == at)) {
            return (int)i - 1;
        }
    }
    return -1;
}

static void name(char *into, size_t size, int number) {
    const explore_site_t *site = number >= 0 ? kept((unsigned)number)->site : NULL;
    snprintf(into, size, "%s:%s", file_of(site), site != NULL ? site->function : "");
}

// The two steps that the finding is about: of a race the accesses; otherwise the last steps of the thread and of another.
static void find_pair(const explore_finding_t *finding, int *earlier, int *later) {
    *later = find(event_count, (int)finding->thread, -1, trace_race_at);
    *earlier = -1;
    if (trace_race_at != NULL && trace_race_thread >= 0) {
        *earlier = find(event_count, trace_race_thread, -1, trace_race_at);
        *later = *later >= 0 ? *later : find(event_count, (int)finding->thread, -1, NULL);
    } else if (*later >= 0) {
        *earlier = find((unsigned)*later, -1, (int)finding->thread, kept((unsigned)*later)->at);
        *earlier = *earlier >= 0 ? *earlier : find(event_count, -1, (int)finding->thread, NULL);
    }
}

void trace_tell(explore_finding_t *finding) {
    int earlier = -1, later = -1;
    find_pair(finding, &earlier, &later);
    name(finding->where[0], sizeof finding->where[0], earlier);
    name(finding->where[1], sizeof finding->where[1], later);
    bool race = trace_race_at != NULL && trace_race_thread >= 0;
    for (unsigned i = first_kept(); i < event_count; i++) {
        show(kept(i), (int)i == earlier && race ? "A" : (int)i == later && race ? "B" : "");
    }
    text_t line = {.used = 0};
    put(&line, "=> thread %u: %s", finding->thread, finding->message);
    line_to(line.at);
    if (race && earlier >= 0 && later >= 0) {
        line = (text_t){.used = 0};
        put(&line, "=> missing: an edge from A (thread %u, %s) to B (thread %u, %s): thread %u knows thread %u only as it was before A",
            kept((unsigned)earlier)->thread, finding->where[0], kept((unsigned)later)->thread, finding->where[1], finding->thread,
            kept((unsigned)earlier)->thread);
        line_to(line.at);
    }
}
