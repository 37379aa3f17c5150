// The poison back end: what is freed holds the pattern, and a block that is written to afterwards, or freed twice, ends the program with a line.
#define ORCH_ATOMICS_BACKEND "atomics_poison.h"
#include "atomics.h"

#include "../kernel/atomics_poison.c"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

enum { BYTES = 100 };

// NOLINTBEGIN(clang-analyzer-unix.Malloc): memory that was freed is looked at, written to and freed again to see what then happens

static void test_what_is_freed_holds_the_pattern(void) {
    unsigned char *memory = shared_alloc(BYTES);
    EXPECT(memory != NULL && memory[7] == 0);
    unsigned char *volatile seen = memory; // the compiler knows what free does to a pointer
    shared_free(memory);
    EXPECT_EQ(seen[7], PATTERN);
}

static void test_what_is_right_stays_right(void) {
    for (int i = 0; i < 4 * KEPT; i++) {
        unsigned char *memory = shared_alloc((size_t)i + 1);
        EXPECT(memory != NULL && memory[i] == 0);
        memory[i] = 1;
        shared_free(memory);
    }
    shared_free(NULL);
    shared_free(shared_alloc(2 * KEPT_BYTES));
}

// How a child ends that does it: the signal, 0: by itself.
static int signal_of(void (*wrong)(void)) {
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        (void)fclose(stderr);
        wrong();
        exit(0); // looks at the rest
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void write_late(void) {
    unsigned char *memory = shared_alloc(BYTES);
    unsigned char *volatile kept_on = memory;
    shared_free(memory);
    kept_on[7] = 1;
}

static void free_twice(void) {
    unsigned char *memory = shared_alloc(BYTES);
    unsigned char *volatile kept_on = memory;
    shared_free(memory);
    shared_free(kept_on);
}
// NOLINTEND(clang-analyzer-unix.Malloc)

static void do_nothing_wrong(void) { shared_free(shared_alloc(BYTES)); }

int main(void) {
    test_what_is_freed_holds_the_pattern();
    test_what_is_right_stays_right();
    EXPECT_EQ(signal_of(write_late), SIGABRT);
    EXPECT_EQ(signal_of(free_twice), SIGABRT);
    EXPECT_EQ(signal_of(do_nothing_wrong), 0);
    return 0;
}
