"""Scenarios of one's own that more than one test has."""

#: Threads are coroutines of one process: who waits for a lock of the system that another one holds waits for himself. C code; to it comes who
#: is run.
SLEEPS = """
#include <pthread.h>
#include "explore.h"
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void nothing(void) {}
static void sleep_on(unsigned thread) {
    (void)thread;
    pthread_mutex_lock(&lock);
    explore_yield();
    pthread_mutex_unlock(&lock);
}
"""
