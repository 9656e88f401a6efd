/* SPDX-License-Identifier: MIT */
/*
 * The peer of catmem: two flags in shared memory, each on cache lines of its own, and nothing else.
 *
 *   flag_rounds server NAME           answers for ever
 *   flag_rounds client NAME COUNT     round trips in lock-step; prints them in ns
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rounds.h"

struct flag {
    _Alignas(128) uint64_t value;
};

static struct flag *map(const char *name, int flags)
{
    int fd = shm_open(name, flags, 0600);
    struct flag *two;

    if (fd < 0 || ((flags & O_CREAT) && ftruncate(fd, 2 * sizeof(*two)) < 0))
        fail(name);
    two = mmap(NULL, 2 * sizeof(*two), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (two == MAP_FAILED)
        fail("mmap");
    close(fd);
    return two;
}

static void await(struct flag *flag, uint64_t value)
{
    while (__atomic_load_n(&flag->value, __ATOMIC_ACQUIRE) != value)
        ;
}

int main(int argc, char **argv)
{
    uint64_t count, at;
    struct flag *two;

    if (argc < 3) {
        fprintf(stderr, "usage: flag_rounds server|client NAME [COUNT]\n");
        return 2;
    }
    if (strcmp(argv[1], "server") == 0) {
        two = map(argv[2], O_RDWR | O_CREAT | O_EXCL);
        say_ready();
        for (at = 1;; at++) {
            await(&two[0], at);
            if (at == 1)
                shm_unlink(argv[2]); /* the client is there */
            __atomic_store_n(&two[1].value, at, __ATOMIC_RELEASE);
        }
    } else {
        struct rounds rounds;

        two = map(argv[2], O_RDWR);
        count = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000;
        start_rounds(&rounds, count);
        for (at = 1; at <= count; at++) {
            __atomic_store_n(&two[0].value, at, __ATOMIC_RELEASE);
            await(&two[1], at);
            end_round(&rounds);
        }
        print_rounds(&rounds);
    }
    return 0;
}
