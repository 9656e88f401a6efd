/* SPDX-License-Identifier: MIT */
/*
 * The peer of catpowder and catnip: frames go back and forth over raw sockets with a mapped ring, without any stack.
 *
 *   raw_rounds server IFACE SPIN_US            sends back what comes, with the addresses exchanged, for ever
 *   raw_rounds client IFACE SPIN_US COUNT      sends COUNT frames of 106 bytes (64 bytes over UDP) in lock-step; prints the round
 *                                            trips in ns, one a line
 *
 * Both look at the ring for SPIN_US microseconds, then wait by poll(2), as the LibOSes do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "rounds.h"

#define FRAME_BYTES 106
#define SLOT_BYTES 2048
#define SLOTS 1024
/* IPv4 behind the Ethernet header, UDP behind that: the same bytes as the LibOSes send, because the kernel looks at them, too. */
#define IP_AT 14
#define UDP_AT 34
#define PORT 7

struct port {
    int fd;
    uint8_t *ring;
    unsigned int next;
    uint64_t spin_ns;
};

static void open_port(struct port *port, const char *name, uint64_t spin_us)
{
    struct tpacket_req request = {
        .tp_block_size = 1 << 16,
        .tp_block_nr = SLOTS * SLOT_BYTES >> 16,
        .tp_frame_size = SLOT_BYTES,
        .tp_frame_nr = SLOTS,
    };
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int version = TPACKET_V2, on = 1;

    address.sll_ifindex = (int)if_nametoindex(name);
    if (address.sll_ifindex == 0)
        fail(name);
    port->fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (port->fd < 0)
        fail("socket");
    if (setsockopt(port->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
        setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) < 0 ||
        setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0)
        fail("setsockopt");
    port->ring = mmap(NULL, SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
    if (port->ring == MAP_FAILED)
        fail("mmap");
    if (bind(port->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("bind");
    port->next = 0;
    port->spin_ns = spin_us * 1000;
}

/* Copies the next frame of ours. */
static void receive(struct port *port, uint8_t *frame)
{
    uint64_t since = now_ns();

    for (;;) {
        struct tpacket2_hdr *slot = (struct tpacket2_hdr *)(port->ring + port->next * SLOT_BYTES);
        const uint8_t *bytes = (const uint8_t *)slot + slot->tp_mac;
        int ours;

        if (!(__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
            if (now_ns() - since >= port->spin_ns) {
                struct pollfd wanted = {.fd = port->fd, .events = POLLIN};

                if (poll(&wanted, 1, -1) < 0 && errno != EINTR)
                    fail("poll");
            }
            continue;
        }
        bytes = (const uint8_t *)slot + slot->tp_mac;
        ours = slot->tp_snaplen == FRAME_BYTES && bytes[12] == ETHERTYPE_IP >> 8 && bytes[13] == 0 &&
               bytes[UDP_AT + 1] == PORT;
        if (ours)
            memcpy(frame, bytes, FRAME_BYTES);
        __atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        port->next = (port->next + 1) % SLOTS;
        if (ours)
            return;
    }
}

static void transmit(struct port *port, const uint8_t *frame)
{
    if (send(port->fd, frame, FRAME_BYTES, 0) != FRAME_BYTES)
        fail("send");
}

/* A UDP datagram of 64 bytes from 10.9.0.1 to 10.9.0.2, without UDP checksum, to everybody at first. */
static void make(uint8_t *frame)
{
    static const uint8_t header[] = {0x45, 0, 0, FRAME_BYTES - IP_AT, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2};
    uint32_t sum = 0;
    size_t at;

    memset(frame, 0, FRAME_BYTES);
    memset(frame, 0xff, 6);
    frame[6] = 2;
    frame[12] = ETHERTYPE_IP >> 8;
    memcpy(frame + IP_AT, header, sizeof(header));
    for (at = 0; at < sizeof(header); at += 2)
        sum += (uint32_t)header[at] << 8 | header[at + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    frame[IP_AT + 10] = (uint8_t)(~sum >> 8);
    frame[IP_AT + 11] = (uint8_t)~sum;
    frame[UDP_AT + 1] = frame[UDP_AT + 3] = PORT;
    frame[UDP_AT + 5] = FRAME_BYTES - UDP_AT;
}

/* The interface's address. */
static void own_address(const struct port *port, const char *name, uint8_t *address)
{
    struct ifreq request;

    memset(&request, 0, sizeof(request));
    strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
    if (ioctl(port->fd, SIOCGIFHWADDR, &request) < 0)
        fail("SIOCGIFHWADDR");
    memcpy(address, request.ifr_hwaddr.sa_data, 6);
}

int main(int argc, char **argv)
{
    uint8_t frame[FRAME_BYTES], own[6];
    struct rounds rounds;
    struct port port;
    size_t count;

    if (argc < 4) {
        fprintf(stderr, "usage: raw_rounds server|client IFACE SPIN_US [COUNT]\n");
        return 2;
    }
    open_port(&port, argv[2], strtoull(argv[3], NULL, 10));
    own_address(&port, argv[2], own);
    if (strcmp(argv[1], "server") == 0) {
        say_ready();
        for (;;) {
            receive(&port, frame);
            memcpy(frame, frame + 6, 6);
            memcpy(frame + 6, own, 6);
            transmit(&port, frame);
        }
    }
    make(frame);
    memcpy(frame + 6, own, 6);
    count = argc > 4 ? strtoul(argv[4], NULL, 10) : 1000;
    start_rounds(&rounds, count);
    while (rounds.count < count) {
        transmit(&port, frame);
        receive(&port, frame);
        end_round(&rounds);
        /* To whom it came from. */
        memcpy(frame, frame + 6, 6);
        memcpy(frame + 6, own, 6);
    }
    print_rounds(&rounds);
    return 0;
}
