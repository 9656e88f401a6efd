/* SPDX-License-Identifier: MIT */
/*
 * demi.h - the C interface of PDPIX (Demikernel, SOSP '21), as the LibOSes of testbed export it.
 *
 * Every function but demi_sgaalloc() returns 0, or a positive errno(3). Results go through out-parameters, which are
 * written only on success. Structures are packed; their sizes are checked below at compile time.
 *
 * Threads: demi_init() makes an engine for the thread that calls it. Descriptors, tokens and scatter-gather arrays belong
 * to that thread; other threads get EBADF or EINVAL for them, and ENOSYS before their own demi_init().
 */
#ifndef DEMI_H
#define DEMI_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#define DEMI_CHECK(what, text) static_assert(what, text)
#else
#define DEMI_CHECK(what, text) _Static_assert(what, text)
#endif

#define DEMI_PACKED __attribute__((packed))

/* Segments of a scatter-gather array. */
#define DEMI_SGARRAY_MAXSIZE 1

/* Names an operation that was started, until its result was taken. Never 0. */
typedef uint64_t demi_qtoken_t;

typedef enum demi_opcode {
    DEMI_OPC_INVALID = 0,
    DEMI_OPC_PUSH = 1,
    DEMI_OPC_POP = 2,
    DEMI_OPC_ACCEPT = 3,
    DEMI_OPC_CONNECT = 4,
    DEMI_OPC_CLOSE = 5,
    DEMI_OPC_FAILED = 6, /* qr_ret is the errno */
} demi_opcode_t;

typedef enum demi_log_level {
    DEMI_LOG_ERROR = 1,
    DEMI_LOG_WARNING = 2,
    DEMI_LOG_INFO = 3,
    DEMI_LOG_DEBUG = 4,
    DEMI_LOG_TRACE = 5,
} demi_log_level_t;

/* Takes a line of the log; no string ends in a null byte. It must not call functions of this header. */
typedef void (*demi_log_callback_t)(demi_log_level_t level, const char *module, uint32_t module_len, const char *file,
                                    uint32_t file_len, uint32_t line, const char *message, uint32_t message_len);

typedef struct DEMI_PACKED demi_args {
    int argc;
    char *const *argv;
    demi_log_callback_t log_callback; /* NULL: lines go to stderr */
} demi_args_t;

typedef struct DEMI_PACKED demi_sgaseg {
    void *sgaseg_buf;
    uint32_t sgaseg_len; /* in bytes */
} demi_sgaseg_t;

typedef struct DEMI_PACKED demi_sgarray {
    void *sga_buf; /* the LibOS's own; NULL in an array over memory of the program's, which may be pushed, not freed */
    uint32_t sga_numsegs;
    demi_sgaseg_t sga_segs[DEMI_SGARRAY_MAXSIZE];
    struct sockaddr_in sga_addr; /* of a datagram that was popped: its sender */
} demi_sgarray_t;

typedef struct DEMI_PACKED demi_accept_result {
    int32_t qd;
    struct sockaddr_in addr;
} demi_accept_result_t;

typedef struct DEMI_PACKED demi_qresult {
    int32_t qr_opcode; /* a demi_opcode_t */
    int32_t qr_qd;
    demi_qtoken_t qr_qt;
    int64_t qr_ret; /* 0, or the errno where qr_opcode is DEMI_OPC_FAILED */
    union {
        demi_sgarray_t sga;        /* DEMI_OPC_POP */
        demi_accept_result_t ares; /* DEMI_OPC_ACCEPT */
    } qr_value;
} demi_qresult_t;

DEMI_CHECK(sizeof(demi_args_t) == 20, "demi_args has 20 bytes");
DEMI_CHECK(sizeof(demi_sgaseg_t) == 12, "demi_sgaseg has 12 bytes");
DEMI_CHECK(sizeof(demi_sgarray_t) == 40, "demi_sgarray has 40 bytes");
DEMI_CHECK(sizeof(demi_accept_result_t) == 20, "demi_accept_result has 20 bytes");
DEMI_CHECK(sizeof(demi_qresult_t) == 64, "demi_qresult has 64 bytes");

/* Makes this thread's engine. The environment's CONFIG_PATH names a YAML file with settings. EEXIST: there is one. */
int demi_init(const struct demi_args *args);

/* AF_INET with SOCK_STREAM or SOCK_DGRAM, else ENOTSUP. */
int demi_socket(int *qd_out, int domain, int type, int protocol);
int demi_bind(int qd, const struct sockaddr *addr, socklen_t len);
int demi_listen(int qd, int backlog);
int demi_accept(demi_qtoken_t *qt_out, int qd);
int demi_connect(demi_qtoken_t *qt_out, int qd, const struct sockaddr *addr, socklen_t len);
/* What is pending on the descriptor ends with ECANCELED. */
int demi_close(int qd);

/* The bytes are not copied: leave them alone until the push is done. No bytes at all: EINVAL. */
int demi_push(demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga);
int demi_pushto(demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga, const struct sockaddr *to, socklen_t len);
/* The result's array is the caller's to free. No bytes in it: the peer closed. */
int demi_pop(demi_qtoken_t *qt_out, int qd);

/* SO_LINGER and SO_KEEPALIVE of SOL_SOCKET, TCP_NODELAY of IPPROTO_TCP, else ENOPROTOOPT. */
int demi_setsockopt(int qd, int level, int name, const void *value, socklen_t len);
int demi_getsockopt(int qd, int level, int name, void *value, socklen_t *len);
int demi_getpeername(int qd, struct sockaddr *addr, socklen_t *len);

/* An array of one segment; of none (sga_numsegs 0) on failure. */
demi_sgarray_t demi_sgaalloc(size_t size);
/* EINVAL: the array is none of this thread's engine, or is freed already. One that is being pushed goes afterwards. */
int demi_sgafree(demi_sgarray_t *sga);

/* No time-out (NULL): for ever. ETIMEDOUT: not done yet, the token stays good. EINVAL: no such token. */
int demi_wait(demi_qresult_t *qr_out, demi_qtoken_t qt, const struct timespec *timeout);
/* Of several that are done, the one that was done first. */
int demi_wait_any(demi_qresult_t *qr_out, int *ready_offset, const demi_qtoken_t qts[], int num_qts,
                  const struct timespec *timeout);
/* Of all that this thread started, in the order in which they were done: at least one, at most num_qrs. */
int demi_wait_next_n(demi_qresult_t *qr_out, int num_qrs, int *qrs_out, const struct timespec *timeout);

/* Pipes between processes (catmem), else ENOTSUP. EEXIST, ENOENT. */
int demi_create_pipe(int *qd_out, const char *name);
int demi_open_pipe(int *qd_out, const char *name);

#ifdef __cplusplus
}
#endif

#endif
