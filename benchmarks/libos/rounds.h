/* SPDX-License-Identifier: MIT */
/* What all sides of the figures share: the clock, the words of an error, and the round trips that a client took. */
#ifndef ROUNDS_H
#define ROUNDS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Bytes of a message. */
#define MESSAGE_BYTES 64

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
}

static inline uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

/* Round trips in ns; printed at the end, one a line, so that printing is not measured. */
struct rounds {
    uint64_t *took_ns;
    size_t count;
    uint64_t since_ns;
};

static inline void start_rounds(struct rounds *rounds, size_t most)
{
    rounds->took_ns = calloc(most, sizeof(*rounds->took_ns));
    if (rounds->took_ns == NULL)
        fail("calloc");
    rounds->count = 0;
    rounds->since_ns = now_ns();
}

/* A round has ended, the next one begins: one look at the clock for both. */
static inline void end_round(struct rounds *rounds)
{
    uint64_t now = now_ns();

    rounds->took_ns[rounds->count++] = now - rounds->since_ns;
    rounds->since_ns = now;
}

static inline void print_rounds(const struct rounds *rounds)
{
    size_t at;

    for (at = 0; at < rounds->count; at++)
        printf("%llu\n", (unsigned long long)rounds->took_ns[at]);
}

#endif
