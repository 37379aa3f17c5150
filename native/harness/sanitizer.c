/* Start-up of the ThreadSanitizer variant, empty in the others.
 *
 * Kernels that randomise more bits of addresses than the runtime's map allows for (vm.mmap_rnd_bits above
 * 28) make it give up before main, so the process starts itself once more without randomisation.
 * This runs before every constructor, the sanitizer's included, and so makes its system calls by hand. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

#if defined(UNDER_TSAN) && defined(__x86_64__)
#include <sys/personality.h>
#include <sys/syscall.h>

__attribute__((no_sanitize("thread"))) static long raw_call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

__attribute__((no_sanitize("thread"))) static void start_again(int argc, char **argv, char **envp) {
    (void)argc;
    long now = raw_call(SYS_personality, 0xffffffffL, 0, 0);
    if (now < 0 || (now & ADDR_NO_RANDOMIZE))
        return;
    /* A container may refuse it: then the runtime itself says what it makes of these addresses. */
    if (raw_call(SYS_personality, now | ADDR_NO_RANDOMIZE, 0, 0) < 0)
        return;
    if (!(raw_call(SYS_personality, 0xffffffffL, 0, 0) & ADDR_NO_RANDOMIZE))
        return;
    (void)raw_call(SYS_execve, (long)"/proc/self/exe", (long)argv, (long)envp);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **,
                                                                            char **) = start_again;
#else
typedef int sanitizer_not_thread; /* a translation unit is not empty */
#endif
