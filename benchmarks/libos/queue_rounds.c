/* SPDX-License-Identifier: MIT */
/*
 * The same conversations over the queue API, with any library that has it; the environment's CONFIG_PATH configures it.
 *
 *   queue_rounds LIBRARY tcp|udp server ADDRESS PORT           sends back what comes
 *   queue_rounds LIBRARY tcp|udp client ADDRESS PORT COUNT     round trips of 64 bytes in lock-step; prints them in ns
 *   queue_rounds LIBRARY pipe server|client NAME 0 COUNT       the same over a pipe
 *   queue_rounds LIBRARY bulk server|client ADDRESS PORT COUNT COUNT pushes of 1460 bytes, then one byte back; the client
 *                                                              prints how long that took in ns
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "demi.h"
#include "rounds.h"

#define BULK_BYTES 1460
/* Pushes under way at a time. */
#define WINDOW 32

/* The library's functions, by their types in demi.h. */
static struct {
    __typeof__(demi_init) *init;
    __typeof__(demi_socket) *socket;
    __typeof__(demi_bind) *bind;
    __typeof__(demi_listen) *listen;
    __typeof__(demi_accept) *accept;
    __typeof__(demi_connect) *connect;
    __typeof__(demi_close) *close;
    __typeof__(demi_push) *push;
    __typeof__(demi_pushto) *pushto;
    __typeof__(demi_pop) *pop;
    __typeof__(demi_setsockopt) *setsockopt;
    __typeof__(demi_sgaalloc) *sgaalloc;
    __typeof__(demi_sgafree) *sgafree;
    __typeof__(demi_wait) *wait;
    __typeof__(demi_create_pipe) *create_pipe;
    __typeof__(demi_open_pipe) *open_pipe;
} api;

static void check(int error, const char *what)
{
    if (error == 0)
        return;
    errno = error;
    fail(what);
}

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);

    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static void load(const char *file)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define TAKE(name) api.name = symbol(library, "demi_" #name)
    TAKE(init);
    TAKE(socket);
    TAKE(bind);
    TAKE(listen);
    TAKE(accept);
    TAKE(connect);
    TAKE(close);
    TAKE(push);
    TAKE(pushto);
    TAKE(pop);
    TAKE(setsockopt);
    TAKE(sgaalloc);
    TAKE(sgafree);
    TAKE(wait);
    TAKE(create_pipe);
    TAKE(open_pipe);
#undef TAKE
}

/* The result of an operation, which must not have failed. */
static demi_qresult_t await(demi_qtoken_t token, const char *what)
{
    demi_qresult_t result;

    check(api.wait(&result, token, NULL), "demi_wait");
    if (result.qr_opcode == DEMI_OPC_FAILED)
        check((int)result.qr_ret, what);
    return result;
}

static demi_sgarray_t allocate(size_t size)
{
    demi_sgarray_t array = api.sgaalloc(size);

    if (array.sga_numsegs != 1)
        check(ENOMEM, "demi_sgaalloc");
    memset(array.sga_segs[0].sgaseg_buf, 'x', size);
    return array;
}

static void push(int qd, const demi_sgarray_t *array)
{
    demi_qtoken_t token;

    check(api.push(&token, qd, array), "demi_push");
    await(token, "push");
}

static demi_sgarray_t pop(int qd)
{
    demi_qtoken_t token;

    check(api.pop(&token, qd), "demi_pop");
    return await(token, "pop").qr_value.sga;
}

/* Pops so many bytes. */
static void pop_all(int qd, size_t count)
{
    while (count > 0) {
        demi_sgarray_t got = pop(qd);
        size_t length = got.sga_segs[0].sgaseg_len;

        check(api.sgafree(&got), "demi_sgafree");
        if (length == 0 || length > count) {
            fprintf(stderr, "%zu bytes came where %zu were wanted\n", length, count);
            exit(1);
        }
        count -= length;
    }
}

static int serve_at(const char *kind, const struct sockaddr_in *place)
{
    int is_udp = strcmp(kind, "udp") == 0, qd;
    demi_qtoken_t token;
    demi_qresult_t result;

    check(api.socket(&qd, AF_INET, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0), "demi_socket");
    check(api.bind(qd, (const struct sockaddr *)place, sizeof(*place)), "demi_bind");
    if (is_udp) {
        say_ready();
        return qd;
    }
    check(api.listen(qd, 1), "demi_listen");
    check(api.accept(&token, qd), "demi_accept");
    say_ready();
    result = await(token, "accept");
    check(api.close(qd), "demi_close");
    return result.qr_value.ares.qd;
}

static int connect_to(const char *kind, const struct sockaddr_in *place)
{
    int is_udp = strcmp(kind, "udp") == 0, qd;
    demi_qtoken_t token;

    check(api.socket(&qd, AF_INET, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0), "demi_socket");
    check(api.connect(&token, qd, (const struct sockaddr *)place, sizeof(*place)), "demi_connect");
    await(token, "connect");
    return qd;
}

static int open_queue(const char *kind, int is_server, const char *name, const char *port)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    int qd, on = 1;

    if (strcmp(kind, "pipe") == 0) {
        check(is_server ? api.create_pipe(&qd, name) : api.open_pipe(&qd, name), name);
        if (is_server)
            say_ready();
        return qd;
    }
    if (inet_pton(AF_INET, name, &place.sin_addr) != 1)
        fail(name);
    qd = is_server ? serve_at(kind, &place) : connect_to(kind, &place);
    if (strcmp(kind, "tcp") == 0)
        check(api.setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
    return qd;
}

static void echo(int qd, int is_udp)
{
    for (;;) {
        demi_sgarray_t array = pop(qd);
        demi_qtoken_t token;

        if (array.sga_segs[0].sgaseg_len == 0 && !is_udp)
            return;
        if (is_udp)
            check(api.pushto(&token, qd, &array, (const struct sockaddr *)&array.sga_addr, sizeof(array.sga_addr)),
                  "demi_pushto");
        else
            check(api.push(&token, qd, &array), "demi_push");
        await(token, "push");
        check(api.sgafree(&array), "demi_sgafree");
    }
}

static void ask(int qd, size_t count)
{
    demi_sgarray_t array = allocate(MESSAGE_BYTES);
    struct rounds rounds;

    start_rounds(&rounds, count);
    while (rounds.count < count) {
        push(qd, &array);
        pop_all(qd, MESSAGE_BYTES);
        end_round(&rounds);
    }
    print_rounds(&rounds);
}

static void send_bulk(int qd, size_t count)
{
    demi_sgarray_t array = allocate(BULK_BYTES);
    demi_qtoken_t tokens[WINDOW];
    struct rounds rounds;
    size_t at;

    start_rounds(&rounds, 1);
    for (at = 0; at < count + WINDOW; at++) {
        if (at >= WINDOW && at - WINDOW < count)
            await(tokens[at % WINDOW], "push");
        if (at < count)
            check(api.push(&tokens[at % WINDOW], qd, &array), "demi_push");
    }
    pop_all(qd, 1);
    end_round(&rounds);
    print_rounds(&rounds);
}

int main(int argc, char **argv)
{
    struct demi_args args = {.argc = argc, .argv = argv, .log_callback = NULL};
    demi_sgarray_t word;
    int is_server, qd;
    size_t count;

    if (argc < 6) {
        fprintf(stderr, "usage: queue_rounds LIBRARY tcp|udp|pipe|bulk server|client WHERE PORT [COUNT]\n");
        return 2;
    }
    load(argv[1]);
    is_server = strcmp(argv[3], "server") == 0;
    count = argc > 6 ? strtoul(argv[6], NULL, 10) : 1000;
    check(api.init(&args), "demi_init");
    qd = open_queue(argv[2], is_server, argv[4], argv[5]);
    if (strcmp(argv[2], "bulk") != 0) {
        if (is_server)
            echo(qd, strcmp(argv[2], "udp") == 0);
        else
            ask(qd, count);
    } else if (is_server) {
        pop_all(qd, count * BULK_BYTES);
        word = allocate(1);
        push(qd, &word);
        pop(qd); /* until the client has it and closes */
    } else {
        send_bulk(qd, count);
    }
    return 0;
}
