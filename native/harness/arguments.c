#include "arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"
#include "placement.h"

void usage_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("orch-harness: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(EXIT_USAGE);
}

void usage_unknown(const char *what, const char *given, const char *const *names, size_t count) {
    const char *near = nearest_name(given, names, count);
    if (near)
        usage_error("unknown %s '%s'; nearest: %s", what, given, near);
    usage_error("unknown %s '%s'; there are none", what, given);
}

/* ---- numbers: the whole text, or it is none ---- */
static bool whole_int(const char *text, int64_t *value) {
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == 0 && text[0] != ' ' && text[0] != '+';
}

static bool whole_float(const char *text, double *value) {
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    bool plain = strspn(text, "0123456789.eE+-") == strlen(text);
    return plain && end != text && *end == 0 && isfinite(*value);
}

static int64_t option_int(const char *option, const char *text, int64_t min, int64_t max) {
    int64_t value;
    if (!whole_int(text, &value))
        usage_error("%s: '%s' is not an integer", option, text);
    if (value < min || value > max)
        usage_error("%s: %s is outside %" PRId64 " .. %" PRId64, option, text, min, max);
    return value;
}

static double option_time(const char *option, const char *text, double min, double max, const char *unit) {
    double value;
    if (!whole_float(text, &value))
        usage_error("%s: '%s' is not a number of %s", option, text, unit);
    if (value < min || value > max)
        usage_error("%s: %s is outside %g .. %g %s", option, text, min, max, unit);
    return value;
}

static uint64_t option_seed(const char *text) {
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno)
        usage_error("--seed: '%s' is not an integer from 0 to 2^64-1", text);
    return value;
}

/* ---- settings ---- */
static void set_int(const setting_t *s, const char *text, setting_value_t *value) {
    if (!whole_int(text, &value->i))
        usage_error("setting %s: '%s' is not an integer", s->name, text);
    if (value->i < s->min.i || value->i > s->max.i)
        usage_error("setting %s: %s is outside %" PRId64 " .. %" PRId64, s->name, text, s->min.i, s->max.i);
}

static void set_float(const setting_t *s, const char *text, setting_value_t *value) {
    if (!whole_float(text, &value->f))
        usage_error("setting %s: '%s' is not a number", s->name, text);
    if (value->f < s->min.f || value->f > s->max.f)
        usage_error("setting %s: %s is outside %g .. %g", s->name, text, s->min.f, s->max.f);
}

static void set_choice(const setting_t *s, const char *text, setting_value_t *value) {
    size_t count = 0;
    for (; s->choices[count]; count++)
        if (strcmp(s->choices[count], text) == 0) {
            value->i = (int64_t)count;
            return;
        }
    char what[96];
    snprintf(what, sizeof what, "value for setting %s:", s->name);
    usage_unknown(what, text, s->choices, count);
}

static void set_bool(const setting_t *s, const char *text, setting_value_t *value) {
    value->i = strcmp(text, "true") == 0;
    if (!value->i && strcmp(text, "false") != 0)
        usage_error("setting %s: '%s' is neither true nor false", s->name, text);
}

static const setting_t *setting_named(const bench_t *bench, const char *name, size_t *index) {
    const char *names[SETTINGS_MAX];
    for (size_t i = 0; i < bench->settings_count; i++) {
        names[i] = bench->settings[i].name;
        if (strcmp(names[i], name) == 0) {
            *index = i;
            return &bench->settings[i];
        }
    }
    char what[96];
    snprintf(what, sizeof what, "setting of %s:", bench->name);
    usage_unknown(what, name, names, bench->settings_count);
}

static void apply_setting(options_t *options, const char *text) {
    char name[64];
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof name)
        usage_error("--set: '%s' is not key=value", text);
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = 0;
    size_t index = 0;
    const setting_t *s = setting_named(options->bench, name, &index);
    setting_value_t *value = &options->settings[index];
    switch (s->type) {
    case SETTING_INT: set_int(s, equals + 1, value); return;
    case SETTING_FLOAT: set_float(s, equals + 1, value); return;
    case SETTING_BOOL: set_bool(s, equals + 1, value); return;
    case SETTING_CHOICE: set_choice(s, equals + 1, value); return;
    }
}

/* ---- options ---- */
static const char *const option_names[] = {"--threads", "--cpus", "--mem",      "--seconds",
                                           "--warmup",  "--seed", "--interval", "--stutter", "--set"};
enum { OPTIONS = sizeof option_names / sizeof option_names[0] };

static void apply_option(options_t *options, const char *name, const char *value) {
    char why[256];
    if (strcmp(name, "--threads") == 0)
        options->threads = (int)option_int(name, value, 1, THREADS_MAX);
    else if (strcmp(name, "--seconds") == 0)
        options->seconds = option_time(name, value, 0.001, 1e8, "seconds");
    else if (strcmp(name, "--warmup") == 0)
        options->warmup_s = option_time(name, value, 0, 1e8, "seconds");
    else if (strcmp(name, "--interval") == 0)
        options->interval_s = option_time(name, value, 0, 1e8, "seconds");
    else if (strcmp(name, "--stutter") == 0)
        options->stutter_ms = option_time(name, value, 0, 100, "milliseconds");
    else if (strcmp(name, "--seed") == 0)
        options->seed = option_seed(value);
    else if (strcmp(name, "--set") == 0)
        apply_setting(options, value);
    else if (!(strcmp(name, "--cpus") == 0 ? placement_parse_cpus(value, options, why, sizeof why)
                                           : placement_parse_mem(value, options, why, sizeof why)))
        usage_error("%s", why);
}

/* Each argument is `--name value` or `--name=value`; returns how many it took. */
static int take_option(int argc, char **argv, options_t *options) {
    char name[64];
    size_t length = strcspn(argv[0], "=");
    if (strncmp(argv[0], "--", 2) != 0)
        usage_error("unexpected argument '%s' after the bench", argv[0]);
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), argv[0]);
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(option_names[i], name) != 0)
            continue;
        if (argv[0][length] == '=') {
            apply_option(options, name, argv[0] + length + 1);
            return 1;
        }
        if (argc < 2)
            usage_error("%s needs a value", name);
        apply_option(options, name, argv[1]);
        return 2;
    }
    usage_unknown("option", name, option_names, OPTIONS);
}

static const bench_t *bench_named(const char *name) {
    const bench_t *bench = bench_find(name);
    if (bench)
        return bench;
    const char *names[256];
    size_t count = 0;
    for (const bench_t *b = bench_first(); b && count < 256; b = b->next)
        names[count++] = b->name;
    usage_unknown("bench", name, names, count);
}

void arguments_parse(int argc, char **argv, options_t *options) {
    if (argc < 1)
        usage_error("run needs the name of a bench; orch-harness list shows them");
    *options = (options_t){.bench = bench_named(argv[0]),
                           .threads = 1,
                           .mem = MEM_LOCAL,
                           .seconds = 5,
                           .warmup_s = 1,
                           .interval_s = 1,
                           .seed = 1};
    for (size_t i = 0; i < options->bench->settings_count; i++)
        options->settings[i] = options->bench->settings[i].standard;
    for (int i = 1; i < argc;)
        i += take_option(argc - i, argv + i, options);
    if (options->interval_s > 0 && options->interval_s < 0.01)
        usage_error("--interval: %g is outside 0.01 .. 1e+08 seconds (0: none)", options->interval_s);
    if (options->cpus_count > 0 && options->cpus_count < options->threads)
        usage_error("--cpus: %d CPUs for %d threads", options->cpus_count, options->threads);
    if (options->cpus_count > options->threads)
        options->cpus_count = options->threads;
    char why[256];
    const bench_t *bench = options->bench;
    run_t run = {.options = options};
    if (bench->check && !bench->check(&run, why, sizeof why))
        usage_error("%s: %s", bench->name, why);
}
