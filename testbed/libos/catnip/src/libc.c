/* SPDX-License-Identifier: MIT */
/*
 * What DPDK, which is linked into the same library, calls in place of libc: a few functions that do the same, but for what is said at each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What net_af_packet has open with a ring to send from; one more has the kernel's. */
#define SENDERS 16
/* Frames that the kernel is told of at once. */
#define BURST 32

/*
 * DPDK's interrupt thread gets no name. libc would write that to /proc/self/task/TID/comm, and the kernel has to forget these
 * files when the thread ends. In virtual time, where nobody is preempted, whoever reaps the process meanwhile waits for that without end (shrink_dcache_parent).
 */
int pthread_setname_np(pthread_t thread, const char *name)
{
    (void)thread;
    (void)name;
    return 0;
}

/* The highest number that a CPU of this kernel may have; LONG_MAX where it does not say. */
static long last_cpu(void)
{
    char line[256] = "";
    int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
    long length = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

    if (fd >= 0)
        (void)close(fd);
    while (length > 0 && !(line[length - 1] == ',' || line[length - 1] == '-'))
        length--;
    return line[0] == '\0' ? LONG_MAX : strtol(line + length, NULL, 10);
}

/*
 * DPDK asks for each of RTE_MAX_LCORE CPUs, eight times, whether it is there, and which of RTE_MAX_NUMA_NODES nodes it belongs to, also where the kernel knows no nodes, as in a guest: there, these 5000 system calls
 * take longer than all the rest of the start. What belongs to no CPU and no node that the kernel has is not there.
 */
int access(const char *path, int mode)
{
    static const char nodes[] = "/sys/devices/system/node/", cpus[] = "/sys/devices/system/cpu/cpu";
    static int has_nodes = -1;
    static long last;

    if (has_nodes < 0) {
        last = last_cpu();
        has_nodes = syscall(SYS_faccessat, AT_FDCWD, nodes, F_OK) == 0;
    }
    if ((!has_nodes && strncmp(path, nodes, sizeof(nodes) - 1) == 0) ||
        (strncmp(path, cpus, sizeof(cpus) - 1) == 0 && atol(path + sizeof(cpus) - 1) > last)) {
        errno = ENOENT;
        return -1;
    }
    return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

/*
 * A ring to send from, in memory of ours. In the kernel's (PACKET_TX_RING, packet(7)) a frame is a page that the kernel lends to the
 * network, and whoever receives it over a veth copies it from there: a round trip of 64 bytes takes a fifth longer than with frames that
 * are copied at once, as send(2) does. Moreover, frames wait there while the interface has no carrier, instead of being lost.
 */
struct sender {
    int fd;
    struct tpacket_req ring;
    /* Of the first slot; NULL: not mapped yet. */
    uint8_t *slots;
    unsigned int next;
};

static struct sender senders[SENDERS];
static unsigned int sender_count;

static struct sender *sender_of(int fd)
{
    unsigned int at;

    for (at = 0; at < sender_count; at++)
        if (senders[at].fd == fd)
            return &senders[at];
    return NULL;
}

/* Takes the place of a kernel's ring; not where there is no room, or it is one of version 3, with other slots. */
static int replace_ring(int fd, const struct tpacket_req *ring, socklen_t length)
{
    struct sender *sender = sender_of(fd);

    if (length != sizeof(*ring) || (sender == NULL && sender_count == SENDERS))
        return 0;
    if (sender == NULL)
        sender = &senders[sender_count++];
    *sender = (struct sender){ .fd = fd, .ring = *ring };
    return 1;
}

/*
 * net_af_packet puts its socket into a fanout group (by hash, with rollover and defragmentation), in which it is alone, since we use one
 * queue. The kernel would dissect each frame for its hash, look twice whether the ring has room, and put fragments together before the
 * stack sees them. With more queues (qpairs) it would give the others what we never look at. And its ring to send from is ours.
 */
int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if (level == SOL_PACKET && name == PACKET_FANOUT)
        return 0;
    if (level == SOL_PACKET && name == PACKET_TX_RING && replace_ring(fd, value, length))
        return 0;
    return (int)syscall(SYS_setsockopt, fd, level, name, value, length);
}

static size_t ring_bytes(const struct sender *sender)
{
    return (size_t)sender->ring.tp_block_size * sender->ring.tp_block_nr;
}

/* The rings of a socket are mapped together, the one to receive into first. */
static void *map_rings(struct sender *sender, size_t length, int protection, int flags)
{
    size_t own = ring_bytes(sender);
    uint8_t *all, *received;

    all = (uint8_t *)syscall(SYS_mmap, NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
    if (all == MAP_FAILED)
        return MAP_FAILED;
    received = (uint8_t *)syscall(SYS_mmap, all, length - own, protection, flags | MAP_FIXED, (long)sender->fd, 0L);
    if (received == MAP_FAILED) {
        int error = errno;

        (void)munmap(all, length);
        errno = error;
        return MAP_FAILED;
    }
    sender->slots = all + (length - own);
    return all;
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset)
{
    struct sender *sender = fd < 0 ? NULL : sender_of(fd);

    /* Both are of one size. Anything else is of a descriptor that has another meaning by now. */
    if (sender != NULL && sender->slots == NULL && length == 2 * ring_bytes(sender))
        return map_rings(sender, length, protection, flags);
    return (void *)syscall(SYS_mmap, at, length, protection, flags, (long)fd, offset);
}

/* The place of a slot behind the next one, at most once round. */
static unsigned int place(const struct sender *sender, unsigned int later)
{
    unsigned int at = sender->next + later, slots = sender->ring.tp_frame_nr;

    return at < slots ? at : at - slots;
}

static struct tpacket2_hdr *slot(const struct sender *sender, unsigned int later)
{
    return (struct tpacket2_hdr *)(sender->slots + (size_t)place(sender, later) * sender->ring.tp_frame_size);
}

static uint8_t *frame(struct tpacket2_hdr *header)
{
    return (uint8_t *)header + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
}

/* Hands so many frames to the kernel; as sendmmsg(2), also for one, which costs less alone. */
static int hand_over(const struct sender *sender, unsigned int count, int flags)
{
    struct mmsghdr messages[BURST];
    struct iovec pieces[BURST];
    unsigned int at;

    if (count == 1) {
        struct tpacket2_hdr *only = slot(sender, 0);

        return syscall(SYS_sendto, sender->fd, frame(only), (size_t)only->tp_len, flags, NULL, 0L) < 0 ? -1 : 1;
    }
    memset(messages, 0, count * sizeof(messages[0]));
    for (at = 0; at < count; at++) {
        pieces[at] = (struct iovec){ .iov_base = frame(slot(sender, at)), .iov_len = slot(sender, at)->tp_len };
        messages[at].msg_hdr.msg_iov = &pieces[at];
        messages[at].msg_hdr.msg_iovlen = 1;
    }
    return sendmmsg(sender->fd, messages, count, flags);
}

/*
 * Sends what is in the ring. While the socket has no room for more frames under way it waits, as the driver does for a slot; a frame that
 * is not taken for another reason (the interface is down or has no carrier, its queue is full, the frame is too long) is lost, as on a
 * wire, and the reason is told once all others are sent.
 */
static ssize_t send_ring(struct sender *sender, int flags)
{
    unsigned int most = sender->ring.tp_frame_nr < BURST ? sender->ring.tp_frame_nr : BURST;
    int error = 0, again = 0;

    for (;;) {
        unsigned int count = 0;
        int sent;

        while (count < most && slot(sender, count)->tp_status == TP_STATUS_SEND_REQUEST)
            count++;
        if (count == 0)
            break;
        sent = hand_over(sender, count, flags);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd room = { .fd = sender->fd, .events = POLLOUT };

            (void)poll(&room, 1, -1);
            continue;
        }
        /* The socket may have kept from before that the interface was down: then the frame was not even looked at. */
        again = sent < 0 && errno == ENETDOWN && !again;
        if (again)
            continue;
        if (sent < 0) {
            error = errno;
            sent = 1;
        }
        for (; sent > 0; sent--) {
            slot(sender, 0)->tp_status = TP_STATUS_AVAILABLE;
            sender->next = place(sender, 1);
        }
    }
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

/*
 * net_af_packet calls it without buffer and address, for what is in its ring to be sent. libc's is a point at which a thread may be
 * cancelled; as DPDK has other threads, that is two locked instructions for each frame, and nobody cancels ours.
 */
ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t to_length)
{
    struct sender *sender = bytes == NULL ? sender_of(fd) : NULL;

    if (sender != NULL && sender->slots != NULL)
        return send_ring(sender, flags);
    return syscall(SYS_sendto, fd, bytes, length, flags, to, to_length);
}
