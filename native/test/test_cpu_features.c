// Which vector instructions may be used: of processors and kernels that we do not have, of this one, and by name.
#include "cpu_features.h"

#include <string.h>

#include "expect.h"

#define XCR0_ALL 0xe7ull

static const cpu_facts_t everything = {
    .xsave = true, .avx2 = true, .avx512f = true, .avx512vl = true, .avx512dq = true, .xcr0 = XCR0_ALL};

static void each_fact_is_needed(void) {
    EXPECT_EQ(cpu_simd_widest(&everything), CPU_SIMD_AVX512);
    cpu_facts_t facts = everything;
    facts.avx512f = false;
    EXPECT_EQ(cpu_simd_widest(&facts), CPU_SIMD_AVX2);
    facts = everything;
    facts.avx512vl = false;
    EXPECT_EQ(cpu_simd_widest(&facts), CPU_SIMD_AVX2);
    facts = everything;
    facts.avx512dq = false;
    EXPECT_EQ(cpu_simd_widest(&facts), CPU_SIMD_AVX2);
    facts = everything;
    facts.avx2 = false;
    EXPECT_EQ(cpu_simd_widest(&facts), CPU_SIMD_PORTABLE);
    EXPECT(!cpu_simd_possible(&facts, CPU_SIMD_AVX512));
    facts = (cpu_facts_t){0};
    EXPECT_EQ(cpu_simd_widest(&facts), CPU_SIMD_PORTABLE);
    EXPECT(!cpu_simd_possible(&everything, CPU_SIMD_COUNT));
}

// The processor has the instructions, and the kernel does not save their registers: using one would be a trap.
static void the_kernel_has_a_say(void) {
    cpu_facts_t facts = everything;
    facts.xsave = false;
    EXPECT_EQ(cpu_simd_widest(&facts), CPU_SIMD_PORTABLE);
    static const unsigned long long missing[] = {0x2, 0x4, 0x20, 0x40, 0x80};
    for (unsigned i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        facts = everything;
        facts.xcr0 &= ~missing[i];
        EXPECT_EQ(cpu_simd_widest(&facts), i < 2 ? CPU_SIMD_PORTABLE : CPU_SIMD_AVX2);
    }
}

static void expect_refused(const char *name, const cpu_facts_t *facts, const char *said) {
    char why[160] = "";
    cpu_simd_t simd = CPU_SIMD_COUNT;
    EXPECT_EQ(cpu_simd_parse(name, facts, &simd, why, sizeof why), STATUS_INVALID);
    EXPECT_EQ(simd, CPU_SIMD_PORTABLE);
    EXPECT(strstr(why, said) != NULL);
    EXPECT(strchr(why, '\n') == NULL);
}

static void names_are_obeyed_or_refused_in_one_line(void) {
    char why[160] = "";
    cpu_simd_t simd = CPU_SIMD_COUNT;
    for (cpu_simd_t at = CPU_SIMD_PORTABLE; at < CPU_SIMD_COUNT; at++) {
        EXPECT_EQ(cpu_simd_parse(cpu_simd_name(at), &everything, &simd, why, sizeof why), STATUS_OK);
        EXPECT_EQ(simd, at);
    }
    EXPECT_EQ(cpu_simd_parse(NULL, &everything, &simd, why, sizeof why), STATUS_OK);
    EXPECT_EQ(simd, CPU_SIMD_AVX512);
    EXPECT_EQ(cpu_simd_parse("", &everything, &simd, why, sizeof why), STATUS_OK);
    EXPECT_EQ(simd, CPU_SIMD_AVX512);
    EXPECT_EQ(why[0], 0);
    expect_refused("sse9", &everything, "'sse9' is none of portable, avx2, avx512");
    expect_refused("AVX2", &everything, "none of");
    expect_refused("avx22222222222222222222222222222222222222222222222222222", &everything, "none of");
    cpu_facts_t facts = everything;
    facts.xcr0 = 0x7;
    expect_refused("avx512", &facts, "no avx512; the widest they have is avx2");
    expect_refused("avx2", &(cpu_facts_t){0}, "no avx2; the widest they have is portable");
    EXPECT(strcmp(cpu_simd_name(CPU_SIMD_COUNT), "unknown") == 0);
}

static void this_processor_agrees_with_itself(void) {
    cpu_facts_t facts = cpu_facts();
    EXPECT(cpu_simd_possible(&facts, cpu_simd_chosen()));
    EXPECT(cpu_simd_refusal() == NULL || cpu_simd_chosen() == CPU_SIMD_PORTABLE);
#if defined(__x86_64__)
    // The compiler's own look at the processor considers XCR0, too.
    EXPECT_EQ(cpu_simd_possible(&facts, CPU_SIMD_AVX2), __builtin_cpu_supports("avx2") != 0);
    EXPECT_EQ(cpu_simd_possible(&facts, CPU_SIMD_AVX512),
              __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
                  __builtin_cpu_supports("avx512dq") != 0);
#endif
    printf("this processor: %s, chosen %s\n", cpu_simd_name(cpu_simd_widest(&facts)), cpu_simd_name(cpu_simd_chosen()));
}

int main(void) {
    each_fact_is_needed();
    the_kernel_has_a_say();
    names_are_obeyed_or_refused_in_one_line();
    this_processor_agrees_with_itself();
    puts("ok cpu features: facts, names, this processor");
    return 0;
}
