/* orch-harness: list what there is, run one bench. Contract: docs/reference/harness-protocol.md. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "atomics.h"
#include "build_id.h"
#include "cpu_features.h"
#include "harness.h"
#include "records.h"
#include "stall.h"
#include "window.h"

#define TEXT_OF(X) #X
#define TEXT(X) TEXT_OF(X)
#if defined(__clang__)
#define COMPILER "clang " TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__)
#else
#define COMPILER "gcc " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__) "." TEXT(__GNUC_PATCHLEVEL__)
#endif

static const char usage[] =
    "usage: orch-harness list [--json]\n"
    "       orch-harness run BENCH [--threads N] [--cpus LIST] [--mem local|interleave|node:K]\n"
    "                    [--seconds S] [--warmup S] [--seed X] [--interval S] [--stutter MS] [--set key=value ...]\n";

/* ---- the benches, in order of names ---- */
static bench_t *benches;

void bench_register(bench_t *bench) {
    bench_t **at = &benches;
    while (*at && strcmp((*at)->name, bench->name) < 0)
        at = &(*at)->next;
    bench->next = *at;
    *at = bench;
}

const bench_t *bench_first(void) { return benches; }

const bench_t *bench_find(const char *name) {
    for (const bench_t *b = benches; b; b = b->next)
        if (strcmp(b->name, name) == 0)
            return b;
    return NULL;
}

static struct {
    const char *name, *usage;
    int (*command)(int argc, char **argv);
} own_command; /* of this variant */

void command_register(const char *name, const char *own_usage, int (*command)(int argc, char **argv)) {
    own_command.name = name;
    own_command.usage = own_usage;
    own_command.command = command;
}

/* ---- settings as JSON ---- */
static void put_value(const char *key, const setting_t *s, setting_value_t value) {
    switch (s->type) {
    case SETTING_INT: record_int(key, value.i); return;
    case SETTING_FLOAT: record_number(key, value.f); return;
    case SETTING_BOOL: record_flag(key, value.i != 0); return;
    case SETTING_CHOICE: record_text(key, s->choices[value.i]); return;
    }
}

static void put_setting(const setting_t *s) {
    static const char *const types[] = {
        [SETTING_INT] = "int", [SETTING_FLOAT] = "float", [SETTING_BOOL] = "bool", [SETTING_CHOICE] = "choice"};
    record_object(NULL);
    record_text("name", s->name);
    record_text("type", types[s->type]);
    put_value("default", s, s->standard);
    if (s->type == SETTING_INT || s->type == SETTING_FLOAT) {
        put_value("min", s, s->min);
        put_value("max", s, s->max);
    }
    if (s->type == SETTING_CHOICE) {
        record_list("choices");
        for (size_t i = 0; s->choices[i]; i++)
            record_text(NULL, s->choices[i]);
        record_list_end();
    }
    record_text("help", s->help);
    record_object_end();
}

/* Those that this run would report. */
static void put_contracts(const options_t *options) {
    const bench_t *bench = options->bench;
    record_list("contracts");
    for (const char *c = bench->contracts; c && *c;) {
        char name[16];
        size_t length = strcspn(c, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, c);
        if (strcmp(name, "C4") != 0 || stall_planned(options))
            record_text(NULL, name);
        c += length + (c[length] == ',');
    }
    record_list_end();
}

/* A run as it is when nothing is asked for but a second thread. */
static void standard_options(const bench_t *bench, options_t *options) {
    options->bench = bench;
    options->threads = 2;
    options->seconds = 10;
    for (size_t i = 0; i < bench->settings_count; i++)
        options->settings[i] = bench->settings[i].standard;
}

static void list_json(void) {
    static options_t options; /* 16 KiB of CPUs */
    record_open(NULL);
    record_int("protocol", HARNESS_PROTOCOL);
    record_text("build", ORCH_BUILD_ID);
    record_text("variant", ORCH_VARIANT);
    record_text("compiler", COMPILER);
    record_list("benches");
    for (const bench_t *b = benches; b; b = b->next) {
        record_object(NULL);
        record_text("name", b->name);
        if (b->subject)
            record_text("subject", b->subject);
        record_text("summary", b->summary);
        record_text("unit_of_work", b->unit_of_work);
        standard_options(b, &options);
        put_contracts(&options);
        record_list("settings");
        for (size_t i = 0; i < b->settings_count; i++)
            put_setting(&b->settings[i]);
        record_list_end();
        record_object_end();
    }
    record_list_end();
    record_close();
}

static void print_default(const setting_t *s) {
    switch (s->type) {
    case SETTING_INT: printf("%lld", (long long)s->standard.i); return;
    case SETTING_FLOAT: printf("%g", s->standard.f); return;
    case SETTING_BOOL: printf("%s", s->standard.i ? "true" : "false"); return;
    case SETTING_CHOICE: printf("%s", s->choices[s->standard.i]); return;
    }
}

static void list_text(void) {
    for (const bench_t *b = benches; b; b = b->next) {
        printf("%s: %s\n", b->name, b->summary);
        for (size_t i = 0; i < b->settings_count; i++) {
            printf("    %s=", b->settings[i].name);
            print_default(&b->settings[i]);
            printf("  %s\n", b->settings[i].help);
        }
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("orch-harness: cannot write to standard output");
        exit(EXIT_BAD);
    }
}

/* ---- run ---- */
static void put_features(void) {
    record_list("features");
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        record_text(NULL, "sse4.2");
    if (__builtin_cpu_supports("avx2"))
        record_text(NULL, "avx2");
    if (__builtin_cpu_supports("avx512f"))
        record_text(NULL, "avx512f");
#endif
    char simd[32]; /* what vector checks run */
    snprintf(simd, sizeof simd, "simd=%s", cpu_simd_name(cpu_simd_chosen()));
    record_text(NULL, simd);
    record_list_end();
}

static void print_hello(const options_t *options) {
    char node[32];
    snprintf(node, sizeof node, "node:%d", options->mem_node);
    record_open("hello");
    record_int("protocol", HARNESS_PROTOCOL);
    record_text("build", ORCH_BUILD_ID);
    record_text("variant", ORCH_VARIANT);
    record_text("compiler", COMPILER);
    put_features();
    put_contracts(options);
    record_text("bench", options->bench->name);
    record_int("threads", options->threads);
    record_list("cpus");
    for (int i = 0; i < options->cpus_count; i++)
        record_int(NULL, options->cpus[i]);
    record_list_end();
    record_text("mem", options->mem == MEM_LOCAL        ? "local"
                       : options->mem == MEM_INTERLEAVE ? "interleave"
                                                        : node);
    record_unsigned("seed", options->seed);
    record_number("warmup_s", options->warmup_s);
    record_number("seconds", options->seconds);
    record_object("settings");
    for (size_t i = 0; i < options->bench->settings_count; i++)
        put_value(options->bench->settings[i].name, &options->bench->settings[i], options->settings[i]);
    record_object_end();
    record_close();
}

static int run_command(int argc, char **argv) {
    static options_t options; /* 16 KiB of CPUs */
    window_block_signals();
    arguments_parse(argc, argv, &options);
#ifdef ATOMICS_NOISE
    atomics_noise_seed(options.seed);
#endif
    print_hello(&options);
    return window_run(&options);
}

static int list_command(int argc, char **argv) {
    bool json = argc == 1 && strcmp(argv[0], "--json") == 0;
    if (argc > (json ? 1 : 0)) {
        static const char *const names[] = {"--json"};
        usage_unknown("option of list", argv[json ? 1 : 0], names, 1);
    }
    signal(SIGPIPE, SIG_IGN);
    if (json)
        list_json();
    else
        list_text();
    return EXIT_GOOD;
}

static void print_usage(void) {
    fputs(usage, stdout);
    if (own_command.name)
        fputs(own_command.usage, stdout);
    fputs("exit: 0 ok or stopped, 1 violated or error, 2 wrong usage\n", stdout);
}

int main(int argc, char **argv) {
    const char *const commands[] = {"list", "run", own_command.name};
    size_t count = own_command.name ? 3 : 2;
    if (argc < 2)
        usage_error("no command given; there are: list, run%s%s", count > 2 ? ", " : "", count > 2 ? commands[2] : "");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage();
        return EXIT_GOOD;
    }
    if (cpu_simd_refusal() != NULL)
        usage_error("%s", cpu_simd_refusal());
    if (strcmp(argv[1], "list") == 0)
        return list_command(argc - 2, argv + 2);
    if (strcmp(argv[1], "run") == 0)
        return run_command(argc - 2, argv + 2);
    if (count > 2 && strcmp(argv[1], commands[2]) == 0)
        return own_command.command(argc - 2, argv + 2);
    usage_unknown("command", argv[1], commands, count);
}
