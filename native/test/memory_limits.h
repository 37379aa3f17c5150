// For tests that take memory away and expect NO_MEMORY: whether a limit on the address space holds here at all.
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_LIMITS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_LIMITS_SANITIZED 1
#endif
#endif
#ifndef MEMORY_LIMITS_SANITIZED
#define MEMORY_LIMITS_SANITIZED 0
#endif

// Whether valgrind runs us: its own memory counts against the limit, and it ends where it gets none.
static inline bool memory_is_valgrinds(void) {
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        found = strstr(line, "vgpreload") != NULL;
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return found;
}

// False under sanitizers and valgrind, which map memory past the limit or cannot live below it: then such a test says nothing and is
// left out. Asked of a child, so that the limit touches nobody else.
static inline bool memory_limits_hold(void) {
#if MEMORY_LIMITS_SANITIZED
    return false;
#else
    if (memory_is_valgrinds()) {
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        enum { LIMIT = 64 << 20, ASKED = 256 << 20 };
        struct rlimit limit = {.rlim_cur = LIMIT, .rlim_max = LIMIT};
        bool set = setrlimit(RLIMIT_AS, &limit) == 0;
        void *memory = mmap(NULL, ASKED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        _exit(set && memory == MAP_FAILED ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
#endif
}
