/* SPDX-License-Identifier: MIT */
/* A C program against include/demi.h: sizes, every function, both kinds of sockets, within one process. */
#include "demi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(demi_args_t, argv) == 4 && offsetof(demi_args_t, log_callback) == 12, "demi_args");
_Static_assert(offsetof(demi_sgaseg_t, sgaseg_len) == 8, "demi_sgaseg");
_Static_assert(offsetof(demi_sgarray_t, sga_segs) == 12 && offsetof(demi_sgarray_t, sga_addr) == 24, "demi_sgarray");
_Static_assert(offsetof(demi_accept_result_t, addr) == 4, "demi_accept_result");
_Static_assert(offsetof(demi_qresult_t, qr_qt) == 8 && offsetof(demi_qresult_t, qr_value) == 24, "demi_qresult");

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
        __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);                                                              \
    } while (0)

static int checks, lines;

static void take_line(demi_log_level_t level, const char *module, uint32_t module_len, const char *file,
                      uint32_t file_len, uint32_t line, const char *message, uint32_t message_len)
{
    (void)module_len, (void)file_len, (void)line, (void)message_len;
    if (level >= DEMI_LOG_ERROR && level <= DEMI_LOG_TRACE && module && file && message)
        lines++;
}

static const demi_args_t args = {0, NULL, take_line};
static const struct timespec now = {0, 0}, a_while = {20, 0};

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return addr;
}

/* Bind to the first port from here on that nobody has. */
static struct sockaddr_in bind_free(int qd, uint16_t port)
{
    for (;; port++) {
        struct sockaddr_in addr = loopback(port);
        int error = demi_bind(qd, (struct sockaddr *)&addr, sizeof(addr));
        CHECK(error == 0 || error == EADDRINUSE);
        if (error == 0)
            return addr;
    }
}

static demi_qresult_t done(demi_qtoken_t qt)
{
    demi_qresult_t qr;
    CHECK(demi_wait(&qr, qt, &a_while) == 0);
    CHECK(qr.qr_qt == qt);
    CHECK(demi_wait(&qr, qt, &now) == EINVAL);
    return qr;
}

static demi_sgarray_t filled(size_t size, int first)
{
    demi_sgarray_t sga = demi_sgaalloc(size);
    CHECK(sga.sga_numsegs == 1 && sga.sga_segs[0].sgaseg_len == size);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)sga.sga_segs[0].sgaseg_buf)[i] = (uint8_t)(first + (int)i);
    return sga;
}

static void send_through(int from, int to, size_t size)
{
    demi_qtoken_t push, pop;
    demi_sgarray_t sga = filled(size, 3);
    CHECK(demi_push(&push, from, &sga) == 0);
    for (size_t got = 0; got < size;) {
        CHECK(demi_pop(&pop, to) == 0);
        demi_qresult_t qr = done(pop);
        CHECK(qr.qr_opcode == DEMI_OPC_POP && qr.qr_qd == to && qr.qr_ret == 0);
        demi_sgaseg_t seg = qr.qr_value.sga.sga_segs[0];
        CHECK(seg.sgaseg_len > 0);
        for (uint32_t i = 0; i < seg.sgaseg_len; i++, got++)
            if (((uint8_t *)seg.sgaseg_buf)[i] != (uint8_t)(3 + got))
                CHECK(!"the same bytes");
        CHECK(demi_sgafree(&qr.qr_value.sga) == 0);
        CHECK(demi_sgafree(&qr.qr_value.sga) == EINVAL);
    }
    CHECK(done(push).qr_opcode == DEMI_OPC_PUSH);
    CHECK(demi_sgafree(&sga) == 0);
}

static void options(int qd)
{
    struct linger linger = {1, 7}, found_linger;
    int on = 1, found = 0;
    socklen_t len = sizeof(found_linger);
    CHECK(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    CHECK(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &found_linger, &len) == 0);
    CHECK(len == sizeof(linger) && memcmp(&linger, &found_linger, len) == 0);
    CHECK(demi_setsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
    CHECK(demi_setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    len = sizeof(found);
    CHECK(demi_getsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &found, &len) == 0 && found == 1);
    CHECK(demi_setsockopt(qd, SOL_SOCKET, SO_RCVBUF, &on, sizeof(on)) == ENOPROTOOPT);
}

static void stream(uint16_t port)
{
    int listener, client, offset = -1, count = 0;
    demi_qtoken_t accept, connect, pop;
    demi_qresult_t results[4];
    CHECK(demi_socket(&listener, AF_INET, SOCK_STREAM, 0) == 0 && demi_socket(&client, AF_INET, SOCK_STREAM, 0) == 0);
    CHECK(demi_listen(listener, 8) == EDESTADDRREQ);
    struct sockaddr_in addr = bind_free(listener, port), peer;
    CHECK(demi_listen(listener, 8) == 0);
    CHECK(demi_accept(&accept, listener) == 0);
    CHECK(demi_wait(&results[0], accept, &now) == ETIMEDOUT);
    CHECK(demi_connect(&connect, client, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    CHECK(done(connect).qr_opcode == DEMI_OPC_CONNECT);
    CHECK(demi_wait_any(results, &offset, &accept, 1, &a_while) == 0 && offset == 0);
    CHECK(results[0].qr_opcode == DEMI_OPC_ACCEPT && results[0].qr_qd == listener);
    int server = results[0].qr_value.ares.qd;
    CHECK(results[0].qr_value.ares.addr.sin_family == AF_INET);
    socklen_t len = sizeof(peer);
    CHECK(demi_getpeername(client, (struct sockaddr *)&peer, &len) == 0 && peer.sin_port == addr.sin_port);
    options(client);

    for (size_t size = 1; size <= 1 << 20; size = size * 8 + 3)
        send_through(client, server, size), send_through(server, client, size);

    demi_sgarray_t sga = filled(10, 0);
    demi_qtoken_t push;
    CHECK(demi_push(&push, client, &sga) == 0);
    CHECK(demi_wait_next_n(results, 4, &count, &a_while) == 0 && count == 1 && results[0].qr_qt == push);
    CHECK(demi_wait_next_n(results, 4, &count, &now) == ETIMEDOUT);
    CHECK(demi_sgafree(&sga) == 0);
    CHECK(demi_pop(&pop, server) == 0 && demi_wait(results, pop, &a_while) == 0);
    CHECK(demi_sgafree(&results[0].qr_value.sga) == 0);

    CHECK(demi_pop(&pop, client) == 0);
    CHECK(demi_close(client) == 0 && demi_close(client) == EBADF);
    demi_qresult_t cancelled = done(pop);
    CHECK(cancelled.qr_opcode == DEMI_OPC_FAILED && cancelled.qr_ret == ECANCELED);
    CHECK(demi_pop(&pop, server) == 0);
    demi_qresult_t end = done(pop);
    CHECK(end.qr_opcode == DEMI_OPC_POP && end.qr_value.sga.sga_segs[0].sgaseg_len == 0);
    CHECK(demi_sgafree(&end.qr_value.sga) == 0);
    CHECK(demi_close(server) == 0 && demi_close(listener) == 0);
}

static void datagrams(uint16_t port)
{
    int left, right;
    demi_qtoken_t push, pop;
    CHECK(demi_socket(&left, AF_INET, SOCK_DGRAM, 0) == 0 && demi_socket(&right, AF_INET, SOCK_DGRAM, 0) == 0);
    struct sockaddr_in from = bind_free(left, port), to = bind_free(right, port);
    uint8_t own[] = "memory of the program's own";
    demi_sgarray_t sga = {NULL, 1, {{own, sizeof(own)}}, {0}};
    CHECK(demi_pushto(&push, left, &sga, (struct sockaddr *)&to, sizeof(to)) == 0);
    CHECK(done(push).qr_ret == 0);
    CHECK(demi_sgafree(&sga) == EINVAL);
    CHECK(demi_pop(&pop, right) == 0);
    demi_qresult_t qr = done(pop);
    demi_sgarray_t got = qr.qr_value.sga;
    CHECK(got.sga_segs[0].sgaseg_len == sizeof(own) && memcmp(got.sga_segs[0].sgaseg_buf, own, sizeof(own)) == 0);
    CHECK(got.sga_addr.sin_port == from.sin_port && got.sga_addr.sin_addr.s_addr == from.sin_addr.s_addr);
    CHECK(demi_sgafree(&got) == 0 && demi_close(left) == 0 && demi_close(right) == 0);
}

/* A thread has nothing before its own demi_init, then an engine of its own. */
static void *thread(void *port)
{
    int qd = -1;
    CHECK(demi_socket(&qd, AF_INET, SOCK_STREAM, 0) == ENOSYS && qd == -1);
    CHECK(demi_init(&args) == 0 && demi_init(&args) == EEXIST);
    for (int i = 0; i < 20; i++)
        stream(*(uint16_t *)port), datagrams(*(uint16_t *)port);
    CHECK(demi_create_pipe(&qd, "pipe") == ENOTSUP && demi_open_pipe(&qd, "pipe") == ENOTSUP && qd == -1);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    uint16_t ports[3] = {21000, 22000, 23000};
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, thread, &ports[i]) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(demi_init(NULL) == EINVAL);
#ifdef OVERRUN
    /* A planted fault, which a checker of memory must find. */
    volatile size_t size = sizeof(demi_qresult_t);
    volatile uint8_t *heap = malloc(size);
    heap[size] = 0;
    free((void *)heap);
#endif
    printf("%d checks, %d lines\n", checks, lines);
    return 0;
}
