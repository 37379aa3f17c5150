// What tests say: EXPECT(condition), EXPECT_EQ(a, b). A failure prints file, line and values, and ends with status 1.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);                                   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define EXPECT_EQ(got, wanted)                                                                                         \
    do {                                                                                                               \
        unsigned long long got_ = (unsigned long long)(got);                                                           \
        unsigned long long wanted_ = (unsigned long long)(wanted);                                                     \
        if (got_ != wanted_) {                                                                                         \
            fprintf(stderr, "%s:%d: %s is %#llx, expected %s = %#llx\n", __FILE__, __LINE__, #got, got_, #wanted,      \
                    wanted_);                                                                                          \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
