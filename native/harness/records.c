#include "records.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Protocol: a line is at most 64 KiB. The longest we write is a hello with THREADS_MAX CPUs, about 24 KiB,
 * and `list --json`, about 10 KiB; one that does not fit is a mistake in this program. */
static char line[64 * 1024];
static size_t used;
static bool comma;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line - used) {
        fputs("orch-harness: a record does not fit into 64 KiB\n", stderr);
        end_at_once(EXIT_BAD);
    }
    used += (size_t)n;
}

static void put_string(const char *text) {
    put("\"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            put("\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7f)
            put("\\u%04x", *c);
        else
            put("%c", *c);
    }
    put("\"");
}

static void put_key(const char *key) {
    if (comma)
        put(",");
    if (key) {
        put_string(key);
        put(":");
    }
    comma = true;
}

void record_open(const char *type) {
    used = 0;
    comma = false;
    put("{");
    if (type)
        record_text("type", type);
}

void record_text(const char *key, const char *value) {
    put_key(key);
    put_string(value);
}

void record_int(const char *key, int64_t value) {
    put_key(key);
    put("%" PRId64, value);
}

void record_unsigned(const char *key, uint64_t value) {
    put_key(key);
    put("%" PRIu64, value);
}

void record_number(const char *key, double value) {
    put_key(key);
    put("%.9g", isfinite(value) ? value : 0.0);
}

void record_flag(const char *key, bool value) {
    put_key(key);
    put(value ? "true" : "false");
}

void record_null(const char *key) {
    put_key(key);
    put("null");
}

static void open_with(const char *key, const char *bracket) {
    put_key(key);
    put("%s", bracket);
    comma = false;
}

static void close_with(const char *bracket) {
    put("%s", bracket);
    comma = true;
}

void record_list(const char *key) { open_with(key, "["); }
void record_list_end(void) { close_with("]"); }
void record_object(const char *key) { open_with(key, "{"); }
void record_object_end(void) { close_with("}"); }

void record_close(void) {
    put("}\n");
    for (size_t sent = 0; sent < used;) {
        ssize_t n = write(STDOUT_FILENO, line + sent, used - sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fprintf(stderr, "orch-harness: cannot write to standard output: %s\n", strerror(errno));
            end_at_once(EXIT_BAD);
        }
        sent += (size_t)n;
    }
}
