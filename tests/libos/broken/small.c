// SPDX-License-Identifier: MIT
/*
 * A small LibOS over Linux sockets, for the tests of the harness: right as it is, and wrong in one way with -DBROKEN_...:
 *   ERRNO    a bad descriptor is EINVAL                    WROTE    a socket that cannot be made writes its descriptor
 *   BYTE     the last byte of every third push is lost     ORDER    of two pops of a queue the later one is served first
 *   HANG     the third push never completes                SPIN     the third push computes for ever
 *   CRASH    the third push reads address 8                PORT     connections come from a port drawn by the processor
 *   SYMBOL   there is no demi_pop                          TOKEN    wait gives the result of another token
 *   SIZE     a result has 72 bytes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demi.h"

enum { QUEUES = 256, OPS = 1024, POP_BYTES = 65536 };

struct op {
    demi_qtoken_t token; /* 0: free */
    int kind, qd, done;
    demi_sgarray_t sga;
    uint32_t sent;
    struct sockaddr_in to;
    int addressed;
    demi_qresult_t result;
};

static _Thread_local struct {
    int ready, fd[QUEUES], type[QUEUES], bound[QUEUES];
    struct op ops[OPS];
    demi_qtoken_t last, done;
    int pushes;
} e;

static int bad(int qd)
{
#ifdef BROKEN_ERRNO
    const int wrong = EINVAL;
#else
    const int wrong = EBADF;
#endif
    if (!e.ready)
        return ENOSYS;
    return qd < 0 || qd >= QUEUES || e.fd[qd] < 0 ? wrong : 0;
}

static int keep(int fd, int type)
{
    for (int qd = 1; qd < QUEUES; qd++)
        if (e.fd[qd] < 0) {
            e.fd[qd] = fd;
            e.type[qd] = type;
            e.bound[qd] = 0;
            return qd;
        }
    close(fd);
    return -1;
}

static struct op *start(int kind, int qd)
{
    for (int i = 0; i < OPS; i++)
        if (!e.ops[i].token) {
            memset(&e.ops[i], 0, sizeof e.ops[i]);
            e.ops[i].token = ++e.last;
            e.ops[i].kind = kind;
            e.ops[i].qd = qd;
            return &e.ops[i];
        }
    return NULL;
}

static struct op *find(demi_qtoken_t token)
{
    for (int i = 0; token && i < OPS; i++)
        if (e.ops[i].token == token)
            return &e.ops[i];
    return NULL;
}

static void finish(struct op *op, int error)
{
    op->done = 1;
    op->result.qr_opcode = error ? DEMI_OPC_FAILED : op->kind;
    op->result.qr_qd = op->qd;
    op->result.qr_qt = op->token;
    op->result.qr_ret = error;
    e.done++;
}

/* Whether an older operation of this kind on this queue has to go first. */
static int must_wait(const struct op *op)
{
    for (int i = 0; i < OPS; i++) {
        const struct op *other = &e.ops[i];
        if (!other->token || other->done || other->kind != op->kind || other->qd != op->qd)
            continue;
#ifdef BROKEN_ORDER
        if (op->kind == DEMI_OPC_POP ? other->token > op->token : other->token < op->token)
            return 1;
#else
        if (other->token < op->token)
            return 1;
#endif
    }
    return 0;
}

static void do_push(struct op *op)
{
    const demi_sgaseg_t seg = op->sga.sga_segs[0];
    uint32_t wanted = seg.sgaseg_len;
#ifdef BROKEN_BYTE
    if (op->token % 3 == 0 && wanted > 1)
        wanted--;
#endif
    const struct sockaddr *to = op->addressed ? (struct sockaddr *)&op->to : NULL;
    ssize_t n = sendto(e.fd[op->qd], (char *)seg.sgaseg_buf + op->sent, wanted - op->sent, MSG_NOSIGNAL, to,
                       to ? sizeof op->to : 0);
    if (n >= 0)
        op->sent += n;
    else if (errno != EAGAIN)
        finish(op, errno);
    if (n >= 0 && op->sent == wanted)
        finish(op, 0);
}

static void do_pop(struct op *op)
{
    socklen_t len = sizeof op->result.qr_value.sga.sga_addr;
    struct sockaddr_in from = {0};
    char *bytes = malloc(POP_BYTES);
    ssize_t n = recvfrom(e.fd[op->qd], bytes, POP_BYTES, 0, (struct sockaddr *)&from, &len);
    if (n < 0) {
        free(bytes);
        if (errno != EAGAIN)
            finish(op, errno);
        return;
    }
    demi_sgarray_t *sga = &op->result.qr_value.sga;
    sga->sga_buf = bytes;
    sga->sga_numsegs = 1;
    sga->sga_segs[0].sgaseg_buf = bytes;
    sga->sga_segs[0].sgaseg_len = n;
    sga->sga_addr = from;
    finish(op, 0);
}

static void do_accept(struct op *op)
{
    struct sockaddr_in from = {0};
    socklen_t len = sizeof from;
    int fd = accept4(e.fd[op->qd], (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN)
            finish(op, errno);
        return;
    }
    op->result.qr_value.ares.qd = keep(fd, SOCK_STREAM);
    op->result.qr_value.ares.addr = from;
    finish(op, 0);
}

static void do_connect(struct op *op)
{
    struct pollfd p = {e.fd[op->qd], POLLOUT, 0};
    if (poll(&p, 1, 0) == 1) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &len);
        finish(op, error);
    }
}

/* Let everything go on that can. */
static void progress(void)
{
    for (int i = 0; i < OPS; i++) {
        struct op *op = &e.ops[i];
        if (!op->token || op->done || must_wait(op))
            continue;
        switch (op->kind) {
        case DEMI_OPC_PUSH: do_push(op); break;
        case DEMI_OPC_POP: do_pop(op); break;
        case DEMI_OPC_ACCEPT: do_accept(op); break;
        case DEMI_OPC_CONNECT: do_connect(op); break;
        }
    }
}

static void sleep_until_ready(const struct timespec *left)
{
    struct pollfd fds[OPS];
    int n = 0;
    for (int i = 0; i < OPS; i++) {
        const struct op *op = &e.ops[i];
        if (!op->token || op->done)
            continue;
        int out = op->kind == DEMI_OPC_PUSH || op->kind == DEMI_OPC_CONNECT;
        fds[n++] = (struct pollfd){e.fd[op->qd], out ? POLLOUT : POLLIN, 0};
    }
    ppoll(fds, n, left, NULL);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Wait until one of the tokens is done; gives its index, or minus an errno. */
static int await(const demi_qtoken_t *tokens, int n, const struct timespec *timeout)
{
    int64_t until = timeout ? now_ns() + timeout->tv_sec * 1000000000LL + timeout->tv_nsec : 0;
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
        return -EINVAL;
    for (int i = 0; i < n; i++)
        if (!find(tokens[i]))
            return -EINVAL;
    for (;;) {
        progress();
        for (int i = 0; i < n; i++)
            if (find(tokens[i])->done)
                return i;
        int64_t left = timeout ? until - now_ns() : 1;
        if (left <= 0)
            return -ETIMEDOUT;
        struct timespec rest = {left / 1000000000, left % 1000000000};
        sleep_until_ready(timeout ? &rest : NULL);
    }
}

static void give(demi_qresult_t *out, struct op *op)
{
    *out = op->result;
    op->token = 0;
}

int demi_init(const struct demi_args *args)
{
    if (!args)
        return EINVAL;
    if (e.ready)
        return EEXIST;
    for (int qd = 0; qd < QUEUES; qd++)
        e.fd[qd] = -1;
    e.ready = 1;
    return 0;
}

int demi_socket(int *out, int domain, int type, int protocol)
{
#ifdef BROKEN_WROTE
    if (out)
        *out = -1;
#endif
    if (!e.ready)
        return ENOSYS;
    if (!out)
        return EINVAL;
    if (domain != AF_INET || (type != SOCK_STREAM && type != SOCK_DGRAM))
        return ENOTSUP;
    if (protocol && protocol != (type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
        return ENOTSUP;
    int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int qd = keep(fd, type);
    if (qd < 0)
        return EMFILE;
    *out = qd;
    return 0;
}

int demi_bind(int qd, const struct sockaddr *addr, socklen_t len)
{
    int wrong = bad(qd);
    if (wrong || !addr || len < sizeof(struct sockaddr_in))
        return wrong ? wrong : EINVAL;
    const int on = 1;
    setsockopt(e.fd[qd], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(e.fd[qd], addr, len))
        return errno;
    e.bound[qd] = 1;
    return 0;
}

int demi_listen(int qd, int backlog)
{
    int wrong = bad(qd);
    if (wrong || !e.bound[qd])
        return wrong ? wrong : EDESTADDRREQ;
    return listen(e.fd[qd], backlog) ? errno : 0;
}

int demi_accept(demi_qtoken_t *out, int qd)
{
    int wrong = bad(qd);
    if (wrong || !out)
        return wrong ? wrong : EINVAL;
    *out = start(DEMI_OPC_ACCEPT, qd)->token;
    return 0;
}

int demi_connect(demi_qtoken_t *out, int qd, const struct sockaddr *addr, socklen_t len)
{
    int wrong = bad(qd);
    if (wrong || !out || !addr)
        return wrong ? wrong : EINVAL;
#ifdef BROKEN_PORT
    unsigned int chance = 0;
    __asm__ volatile("rdrand %0" : "=r"(chance));
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(20000 + chance % 20000)};
    bind(e.fd[qd], (struct sockaddr *)&local, sizeof local);
#endif
    if (connect(e.fd[qd], addr, len) && errno != EINPROGRESS)
        return errno;
    *out = start(DEMI_OPC_CONNECT, qd)->token;
    return 0;
}

int demi_close(int qd)
{
    int wrong = bad(qd);
    if (wrong)
        return wrong;
    for (int i = 0; i < OPS; i++)
        if (e.ops[i].token && !e.ops[i].done && e.ops[i].qd == qd)
            finish(&e.ops[i], ECANCELED);
    close(e.fd[qd]);
    e.fd[qd] = -1;
    return 0;
}

static int push(demi_qtoken_t *out, int qd, const demi_sgarray_t *sga, const struct sockaddr_in *to)
{
    int wrong = bad(qd);
    if (wrong || !out || !sga || sga->sga_numsegs != 1 || !sga->sga_segs[0].sgaseg_len || !sga->sga_segs[0].sgaseg_buf)
        return wrong ? wrong : EINVAL;
    struct op *op = start(DEMI_OPC_PUSH, qd);
    op->sga = *sga;
    if (to) {
        op->to = *to;
        op->addressed = 1;
    }
    e.pushes++;
#ifdef BROKEN_CRASH
    if (e.pushes == 3)
        *out = *(volatile char *)8;
#endif
#ifdef BROKEN_SPIN
    for (volatile int i = 0; e.pushes == 3; i++)
        ;
#endif
#ifdef BROKEN_HANG
    if (e.pushes == 3)
        op->kind = DEMI_OPC_CLOSE;
#endif
    *out = op->token;
    return 0;
}

int demi_push(demi_qtoken_t *out, int qd, const demi_sgarray_t *sga)
{
    return push(out, qd, sga, NULL);
}

int demi_pushto(demi_qtoken_t *out, int qd, const demi_sgarray_t *sga, const struct sockaddr *to, socklen_t len)
{
    if (!to || len < sizeof(struct sockaddr_in))
        return EINVAL;
    return push(out, qd, sga, (const struct sockaddr_in *)to);
}

#ifndef BROKEN_SYMBOL
int demi_pop(demi_qtoken_t *out, int qd)
{
    int wrong = bad(qd);
    if (wrong || !out)
        return wrong ? wrong : EINVAL;
    *out = start(DEMI_OPC_POP, qd)->token;
    return 0;
}
#endif

int demi_setsockopt(int qd, int level, int name, const void *value, socklen_t len)
{
    int wrong = bad(qd);
    if (wrong)
        return wrong;
    if (!(level == SOL_SOCKET && (name == SO_LINGER || name == SO_KEEPALIVE)) &&
        !(level == IPPROTO_TCP && name == TCP_NODELAY))
        return ENOPROTOOPT;
    return setsockopt(e.fd[qd], level, name, value, len) ? errno : 0;
}

int demi_getsockopt(int qd, int level, int name, void *value, socklen_t *len)
{
    int wrong = bad(qd);
    return wrong ? wrong : getsockopt(e.fd[qd], level, name, value, len) ? errno : 0;
}

int demi_getpeername(int qd, struct sockaddr *addr, socklen_t *len)
{
    int wrong = bad(qd);
    return wrong ? wrong : getpeername(e.fd[qd], addr, len) ? errno : 0;
}

demi_sgarray_t demi_sgaalloc(size_t size)
{
    demi_sgarray_t sga = {0};
    if (!size || size > 1 << 26)
        return sga;
    sga.sga_buf = malloc(size);
    sga.sga_numsegs = 1;
    sga.sga_segs[0].sgaseg_buf = sga.sga_buf;
    sga.sga_segs[0].sgaseg_len = size;
    return sga;
}

int demi_sgafree(demi_sgarray_t *sga)
{
    if (!sga || !sga->sga_buf)
        return EINVAL;
    free(sga->sga_buf);
    sga->sga_buf = NULL;
    return 0;
}

int demi_wait(demi_qresult_t *out, demi_qtoken_t token, const struct timespec *timeout)
{
    if (!out)
        return EINVAL;
    int index = await(&token, 1, timeout);
    if (index < 0)
        return -index;
    give(out, find(token));
#ifdef BROKEN_TOKEN
    out->qr_qt++;
#endif
#ifdef BROKEN_SIZE
    memset(out + 1, 0, 8);
#endif
    return 0;
}

int demi_wait_any(demi_qresult_t *out, int *offset, const demi_qtoken_t tokens[], int n, const struct timespec *timeout)
{
    if (!out || !offset || !tokens || n <= 0)
        return EINVAL;
    int index = await(tokens, n, timeout);
    if (index < 0)
        return -index;
    *offset = index;
    give(out, find(tokens[index]));
#ifdef BROKEN_SIZE
    memset(out + 1, 0, 8);
#endif
    return 0;
}

int demi_wait_next_n(demi_qresult_t *out, int max, int *count, const struct timespec *timeout)
{
    if (!out || !count || max <= 0)
        return EINVAL;
    demi_qtoken_t tokens[OPS];
    int n = 0, found = 0;
    for (int i = 0; i < OPS; i++)
        if (e.ops[i].token)
            tokens[n++] = e.ops[i].token;
    if (!n)
        return EINVAL;
    int index = await(tokens, n, timeout);
    if (index < 0)
        return -index;
    for (int i = 0; i < OPS && found < max; i++)
        if (e.ops[i].token && e.ops[i].done)
            give(&out[found++], &e.ops[i]);
#ifdef BROKEN_SIZE
    memset(out + found, 0, 8);
#endif
    *count = found;
    return 0;
}
