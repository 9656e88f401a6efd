/* SPDX-License-Identifier: MIT */
/*
 * The peer of catnap and catloop, and of catpowder's bulk: sockets of Linux in plain C, non-blocking, waited for by epoll.
 *
 *   socket_rounds tcp|udp server ADDRESS PORT SPIN_US          sends back what comes
 *   socket_rounds tcp|udp client ADDRESS PORT SPIN_US COUNT    round trips of 64 bytes in lock-step; prints them in ns
 *   socket_rounds bulk server|client ADDRESS PORT SPIN_US COUNT
 *                                                              COUNT sends of 1460 bytes, then one byte back; the client
 *                                                              prints how long that took in ns
 *
 * A wait asks epoll without blocking for SPIN_US microseconds, then blocks, as the LibOSes do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rounds.h"

#define BULK_BYTES 1460
#define ROOM_BYTES 65536

struct waiter {
    int epoll;
    uint64_t spin_ns;
};

static char room[ROOM_BYTES];

static void wait_for_news(const struct waiter *waiter)
{
    uint64_t since = now_ns();
    struct epoll_event event;

    for (;;) {
        int limit = now_ns() - since < waiter->spin_ns ? 0 : -1;
        int found = epoll_wait(waiter->epoll, &event, 1, limit);

        if (found > 0)
            return;
        if (found < 0 && errno != EINTR)
            fail("epoll_wait");
    }
}

static void watch(const struct waiter *waiter, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};

    if (epoll_ctl(waiter->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

/* Receives what there is, at least a byte; 0: the peer closed. */
static size_t receive(const struct waiter *waiter, int fd, size_t most, struct sockaddr_in *from)
{
    socklen_t length = sizeof(*from);

    for (;;) {
        ssize_t count = recvfrom(fd, room, most, 0, (struct sockaddr *)from, from ? &length : NULL);

        if (count >= 0)
            return (size_t)count;
        if (errno != EAGAIN)
            fail("recv");
        wait_for_news(waiter);
    }
}

static void transmit(const struct waiter *waiter, int fd, size_t count, const struct sockaddr_in *to)
{
    size_t sent = 0;

    while (sent < count) {
        ssize_t taken = sendto(fd, room + sent, count - sent, MSG_NOSIGNAL, (const struct sockaddr *)to,
                               to ? sizeof(*to) : 0);

        if (taken >= 0)
            sent += (size_t)taken;
        else if (errno == EAGAIN)
            wait_for_news(waiter);
        else
            fail("send");
    }
}

static void receive_all(const struct waiter *waiter, int fd, size_t count)
{
    while (count > 0) {
        size_t got = receive(waiter, fd, count < ROOM_BYTES ? count : ROOM_BYTES, NULL);

        if (got == 0) {
            fprintf(stderr, "the peer closed\n");
            exit(1);
        }
        count -= got;
    }
}

/* A stream to the peer, or a datagram socket: bound (server) or connected (client). */
static int open_socket(const char *kind, const char *role, const struct sockaddr_in *place)
{
    int is_udp = strcmp(kind, "udp") == 0, is_server = strcmp(role, "server") == 0, on = 1;
    int fd = socket(AF_INET, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0), accepted;

    if (fd < 0)
        fail("socket");
    if (!is_server) {
        if (connect(fd, (const struct sockaddr *)place, sizeof(*place)) < 0)
            fail("connect");
        return fd;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (const struct sockaddr *)place, sizeof(*place)) < 0)
        fail("bind");
    if (is_udp) {
        say_ready();
        return fd;
    }
    if (listen(fd, 1) < 0)
        fail("listen");
    say_ready();
    accepted = accept(fd, NULL, NULL);
    if (accepted < 0)
        fail("accept");
    close(fd);
    return accepted;
}

static void echo(const struct waiter *waiter, int fd, int is_udp)
{
    struct sockaddr_in from;

    for (;;) {
        size_t count = receive(waiter, fd, ROOM_BYTES, is_udp ? &from : NULL);

        if (count == 0 && !is_udp)
            return;
        transmit(waiter, fd, count, is_udp ? &from : NULL);
    }
}

static void ask(const struct waiter *waiter, int fd, size_t count)
{
    struct rounds rounds;

    start_rounds(&rounds, count);
    while (rounds.count < count) {
        transmit(waiter, fd, MESSAGE_BYTES, NULL);
        receive_all(waiter, fd, MESSAGE_BYTES);
        end_round(&rounds);
    }
    print_rounds(&rounds);
}

static void send_bulk(const struct waiter *waiter, int fd, size_t count)
{
    struct rounds rounds;

    start_rounds(&rounds, 1);
    while (count-- > 0)
        transmit(waiter, fd, BULK_BYTES, NULL);
    receive_all(waiter, fd, 1);
    end_round(&rounds);
    print_rounds(&rounds);
}

int main(int argc, char **argv)
{
    struct sockaddr_in place = {.sin_family = AF_INET};
    int is_udp, is_server, fd, on = 1;
    struct waiter waiter;
    size_t count;

    if (argc < 6) {
        fprintf(stderr, "usage: socket_rounds tcp|udp|bulk server|client ADDRESS PORT SPIN_US [COUNT]\n");
        return 2;
    }
    is_udp = strcmp(argv[1], "udp") == 0;
    is_server = strcmp(argv[2], "server") == 0;
    count = argc > 6 ? strtoul(argv[6], NULL, 10) : 1000;
    place.sin_port = htons((uint16_t)strtoul(argv[4], NULL, 10));
    if (inet_pton(AF_INET, argv[3], &place.sin_addr) != 1)
        fail(argv[3]);
    waiter.spin_ns = strtoull(argv[5], NULL, 10) * 1000;
    waiter.epoll = epoll_create1(0);
    if (waiter.epoll < 0)
        fail("epoll_create1");
    fd = open_socket(argv[1], argv[2], &place);
    if (!is_udp && strcmp(argv[1], "tcp") == 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        fail("TCP_NODELAY");
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("O_NONBLOCK");
    watch(&waiter, fd);
    if (strcmp(argv[1], "bulk") != 0) {
        if (is_server)
            echo(&waiter, fd, is_udp);
        else
            ask(&waiter, fd, count);
    } else if (is_server) {
        receive_all(&waiter, fd, count * BULK_BYTES);
        transmit(&waiter, fd, 1, NULL);
        receive(&waiter, fd, 1, NULL);
    } else {
        send_bulk(&waiter, fd, count);
    }
    return 0;
}
