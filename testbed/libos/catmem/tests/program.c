/* SPDX-License-Identifier: MIT */
/* A C program against include/demi.h: two engines of one process play over a pipe, for a checker of memory. */
#include "demi.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 64
/* More than a ring holds: a push that waits, and ends in parts. */
#define LARGE_BYTES (600 << 10)

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
        __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);                                                              \
    } while (0)

static int checks;
static sem_t made;
static const char *name;
static const demi_args_t args = {0, NULL, NULL};
static const struct timespec now = {0, 0}, a_while = {60, 0};

static demi_qresult_t done(demi_qtoken_t qt)
{
    demi_qresult_t qr;
    CHECK(demi_wait(&qr, qt, &a_while) == 0);
    CHECK(qr.qr_qt == qt);
    CHECK(demi_wait(&qr, qt, &now) == EINVAL);
    return qr;
}

static void push(int qd, size_t size, int first)
{
    demi_sgarray_t sga = demi_sgaalloc(size);
    demi_qtoken_t qt;

    CHECK(sga.sga_numsegs == 1 && sga.sga_segs[0].sgaseg_len == size);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)sga.sga_segs[0].sgaseg_buf)[i] = (uint8_t)(first + (int)i);
    CHECK(demi_push(&qt, qd, &sga) == 0);
    CHECK(done(qt).qr_opcode == DEMI_OPC_PUSH);
    CHECK(demi_sgafree(&sga) == 0);
    CHECK(demi_sgafree(&sga) == EINVAL);
}

static void pop(int qd, size_t size, int first)
{
    for (size_t got = 0; got < size;) {
        demi_qtoken_t qt;
        demi_qresult_t qr;
        demi_sgarray_t sga;

        CHECK(demi_pop(&qt, qd) == 0);
        qr = done(qt);
        CHECK(qr.qr_opcode == DEMI_OPC_POP);
        sga = qr.qr_value.sga;
        CHECK(sga.sga_segs[0].sgaseg_len > 0 && got + sga.sga_segs[0].sgaseg_len <= size);
        for (size_t i = 0; i < sga.sga_segs[0].sgaseg_len; i++)
            if (((uint8_t *)sga.sga_segs[0].sgaseg_buf)[i] != (uint8_t)(first + (int)(got + i)))
                CHECK(!"every byte as it was pushed");
        got += sga.sga_segs[0].sgaseg_len;
        CHECK(demi_sgafree(&sga) == 0);
    }
}

static void *other(void *nothing)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int qd;

    CHECK(demi_init(&args) == 0);
    CHECK(sem_wait(&made) == 0);
    CHECK(demi_open_pipe(&qd, name) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        pop(qd, 64, round);
        push(qd, 64, round + 1);
    }
    pop(qd, LARGE_BYTES, 7);
    /* The end, then the other's close in everything. */
    CHECK(demi_pop(&qt, qd) == 0);
    qr = done(qt);
    CHECK(qr.qr_opcode == DEMI_OPC_POP && qr.qr_value.sga.sga_segs[0].sgaseg_len == 0);
    CHECK(demi_sgafree(&qr.qr_value.sga) == 0);
    CHECK(demi_close(qd) == 0);
    return nothing;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int qd, second;

    name = argc > 1 ? argv[1] : "program";
    CHECK(sem_init(&made, 0, 0) == 0);
    CHECK(pthread_create(&thread, NULL, other, NULL) == 0);
    CHECK(demi_init(&args) == 0);
    CHECK(demi_create_pipe(&qd, name) == 0);
    CHECK(demi_create_pipe(&second, name) == EEXIST);
    CHECK(demi_create_pipe(&second, "a/b") == EINVAL);
    CHECK(demi_open_pipe(&second, "nobody made this") == ENOENT);
    CHECK(demi_socket(&second, AF_INET, SOCK_STREAM, 0) == ENOTSUP);
    CHECK(sem_post(&made) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        push(qd, 64, round);
        pop(qd, 64, round + 1);
    }
    push(qd, LARGE_BYTES, 7);
    CHECK(demi_pop(&qt, qd) == 0);
    CHECK(demi_wait(&qr, qt, &now) == ETIMEDOUT);
    CHECK(demi_close(qd) == 0);
    qr = done(qt);
    CHECK(qr.qr_opcode == DEMI_OPC_FAILED && qr.qr_ret == ECANCELED);
    CHECK(demi_close(qd) == EBADF);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("%d checks\n", checks);
    return 0;
}
