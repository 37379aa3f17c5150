// Which vector instructions this process may use: what the processor has and the kernel saves (XCR0), and what the build has code for.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "status.h"

typedef enum cpu_simd {
    CPU_SIMD_PORTABLE = 0, // no more than the compiler's baseline
    CPU_SIMD_AVX2,
    CPU_SIMD_AVX512, // F, VL and DQ
    CPU_SIMD_COUNT
} cpu_simd_t;

// What CPUID and XCR0 say, as four registers' worth of facts; tests make up their own.
typedef struct cpu_facts {
    bool xsave; // the kernel has switched XSAVE on, so that XCR0 can be read
    bool avx2, avx512f, avx512vl, avx512dq;
    unsigned long long xcr0;
} cpu_facts_t;

cpu_facts_t cpu_facts(void); // of the processor that it runs on
bool cpu_simd_possible(const cpu_facts_t *facts, cpu_simd_t simd);
// The widest that is possible.
cpu_simd_t cpu_simd_widest(const cpu_facts_t *facts);

const char *cpu_simd_name(cpu_simd_t simd); // "portable", "avx2", "avx512"
// What a name (of ORCH_SIMD) asks for: NULL or "" the widest. OK; INVALID for an unknown name or one that is not possible here, with one
// line in `why`. *simd is then portable.
status_t cpu_simd_parse(const char *name, const cpu_facts_t *facts, cpu_simd_t *simd, char *why, size_t size);

// The choice of this process, made once, before main, from the environment's ORCH_SIMD. Where that asks for what cannot
// be, the choice is portable and cpu_simd_refusal says why; else it is NULL. A program that obeys ORCH_SIMD prints it and exits with 2.
cpu_simd_t cpu_simd_chosen(void);
const char *cpu_simd_refusal(void);
