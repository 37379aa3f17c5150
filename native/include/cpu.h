// What the code must know of the processor, and nothing else about it.
#pragma once

#include <stdint.h>

// Two writers keep this far apart. The adjacent-line prefetcher moves lines in pairs, so structures that are written
// hard and by different threads use CPU_PAIR.
#define CPU_LINE 64
#define CPU_PAIR 128

// Tells the core that this is a spin loop.
static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

// Starts to fetch a line that will be read. Any address.
static inline void cpu_prefetch(const void *at) { __builtin_prefetch(at, 0, 3); }

// The same value, and the compiler forgets what it knows of it: a branch on it stays a branch.
static inline uint32_t cpu_opaque_u32(uint32_t value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

// A clock that costs next to nothing and is good for comparing short times on one core: some ticks a nanosecond, or, on
// ARM, a nanosecond or more a tick. 0 where there is none.
static inline uint64_t cpu_ticks(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}
