// CPUID says what the processor has, XCR0 what the kernel keeps over a change of context: both are needed.
#include "cpu_features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XCR0_AVX 0x6u     // XMM and YMM
#define XCR0_AVX512 0xe6u // and opmask, the upper halves of ZMM 0-15, ZMM 16-31

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned long long read_xcr0(void) {
    unsigned low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

cpu_facts_t cpu_facts(void) {
    cpu_facts_t facts = {0};
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) {
        return facts;
    }
    facts.xsave = (c & bit_OSXSAVE) != 0;
    facts.xcr0 = facts.xsave ? read_xcr0() : 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
        facts.avx2 = (b & bit_AVX2) != 0;
        facts.avx512f = (b & bit_AVX512F) != 0;
        facts.avx512vl = (b & bit_AVX512VL) != 0;
        facts.avx512dq = (b & bit_AVX512DQ) != 0;
    }
    return facts;
}
#else
cpu_facts_t cpu_facts(void) { return (cpu_facts_t){0}; }
#endif

bool cpu_simd_possible(const cpu_facts_t *facts, cpu_simd_t simd) {
    switch (simd) {
    case CPU_SIMD_PORTABLE: return true;
    case CPU_SIMD_AVX2: return facts->avx2 && facts->xsave && (facts->xcr0 & XCR0_AVX) == XCR0_AVX;
    case CPU_SIMD_AVX512:
        return cpu_simd_possible(facts, CPU_SIMD_AVX2) && facts->avx512f && facts->avx512vl && facts->avx512dq &&
               (facts->xcr0 & XCR0_AVX512) == XCR0_AVX512;
    case CPU_SIMD_COUNT: break;
    }
    return false;
}

cpu_simd_t cpu_simd_widest(const cpu_facts_t *facts) {
    cpu_simd_t simd = CPU_SIMD_AVX512;
    while (!cpu_simd_possible(facts, simd)) {
        simd--;
    }
    return simd;
}

const char *cpu_simd_name(cpu_simd_t simd) {
    static const char *const names[CPU_SIMD_COUNT] = {"portable", "avx2", "avx512"};
    return simd < CPU_SIMD_COUNT ? names[simd] : "unknown";
}

status_t cpu_simd_parse(const char *name, const cpu_facts_t *facts, cpu_simd_t *simd, char *why, size_t size) {
    *simd = CPU_SIMD_PORTABLE;
    if (name == NULL || name[0] == 0) {
        *simd = cpu_simd_widest(facts);
        return STATUS_OK;
    }
    for (cpu_simd_t at = CPU_SIMD_PORTABLE; at < CPU_SIMD_COUNT; at++) {
        if (strcmp(name, cpu_simd_name(at)) != 0) {
            continue;
        }
        if (!cpu_simd_possible(facts, at)) {
            snprintf(why, size, "ORCH_SIMD: this processor and kernel have no %s; the widest they have is %s", name,
                     cpu_simd_name(cpu_simd_widest(facts)));
            return STATUS_INVALID;
        }
        *simd = at;
        return STATUS_OK;
    }
    snprintf(why, size, "ORCH_SIMD: '%.40s' is none of portable, avx2, avx512", name);
    return STATUS_INVALID;
}

// --- the choice of this process: written before main, constant from then on ---------------------------------------

static cpu_simd_t chosen;
static bool refused;
static char refusal[160];

__attribute__((constructor(101))) static void choose(void) {
    cpu_facts_t facts = cpu_facts();
    refused = cpu_simd_parse(getenv("ORCH_SIMD"), &facts, &chosen, refusal, sizeof refusal) != STATUS_OK;
}

cpu_simd_t cpu_simd_chosen(void) { return chosen; }
const char *cpu_simd_refusal(void) { return refused ? refusal : NULL; }
