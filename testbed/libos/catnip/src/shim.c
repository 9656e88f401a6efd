/* SPDX-License-Identifier: MIT */
/*
 * What Rust cannot call of DPDK: its fast path is inline functions. One port, one queue each way, one thread.
 *
 * Functions return 0, a count, or a negative errno.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

/*
 * Frames: twice the rings, and what the stack has in its hands; net_af_packet has rings of its own beside them. Each is
 * touched at the start, which takes a guest time. Powers of two less one, as mempools like it.
 */
#define FRAMES 4095
#define FEW_FRAMES 255
/* Per thread, unlocked. */
#define CACHED_FRAMES 128
#define RING_FRAMES 1024

struct shim_port {
    uint16_t id;
    /* The longest IP packet, bytes. */
    uint16_t mtu;
    uint8_t mac[6];
    /* 1: the port is a raw socket on a kernel's interface. */
    uint8_t is_af_packet;
};

static struct rte_mempool *pool;

int shim_start(int argc, char **argv)
{
    if (rte_eal_init(argc, argv) < 0)
        return -(rte_errno > 0 ? rte_errno : EIO);
    return 0;
}

/* The length of the frames' room: for the port's MTU, where that is more than usual. */
static uint16_t room(uint16_t mtu)
{
    uint32_t frame = (uint32_t)mtu + RTE_ETHER_HDR_LEN + RTE_PKTMBUF_HEADROOM;

    return frame > RTE_MBUF_DEFAULT_BUF_SIZE ? (uint16_t)RTE_MIN(frame, UINT16_MAX) : RTE_MBUF_DEFAULT_BUF_SIZE;
}

/*
 * Which frames are free: the one given back last is taken first, because the caches of the CPU still have it. DPDK's own "stack" takes a
 * lock, and its rings take the one that was given back first.
 */
struct free_frames {
    unsigned int count;
    void *frames[];
};

static int free_frames_new(struct rte_mempool *owner)
{
    owner->pool_data = calloc(1, sizeof(struct free_frames) + owner->size * sizeof(void *));
    return owner->pool_data == NULL ? -ENOMEM : 0;
}

static void free_frames_drop(struct rte_mempool *owner)
{
    free(owner->pool_data);
}

static int free_frames_give(struct rte_mempool *owner, void *const *frames, unsigned int count)
{
    struct free_frames *all = owner->pool_data;

    while (count-- > 0)
        all->frames[all->count++] = *frames++;
    return 0;
}

static int free_frames_take(struct rte_mempool *owner, void **frames, unsigned int count)
{
    struct free_frames *all = owner->pool_data;

    if (all->count < count)
        return -ENOBUFS;
    while (count-- > 0)
        *frames++ = all->frames[--all->count];
    return 0;
}

static unsigned int free_frames_count(const struct rte_mempool *owner)
{
    return ((const struct free_frames *)owner->pool_data)->count;
}

static const struct rte_mempool_ops newest_first = {
    .name = "newest_first",
    .alloc = free_frames_new,
    .free = free_frames_drop,
    .enqueue = free_frames_give,
    .dequeue = free_frames_take,
    .get_count = free_frames_count,
};
RTE_MEMPOOL_REGISTER_OPS(newest_first)

/*
 * The frames of net_af_packet, which copies. As against those of rte_pktmbuf_pool_create, which a card reads and writes: none
 * is kept from crossing a page, and there is no cache, whose place is made for RTE_MAX_LCORE threads (1 MB that is cleared at
 * the start).
 */
static struct rte_mempool *copied_frames(uint16_t length)
{
    struct rte_pktmbuf_pool_private words = { .mbuf_data_room_size = length };
    unsigned int size = (unsigned int)sizeof(struct rte_mbuf) + length;
    unsigned int flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    struct rte_mempool *made =
        rte_mempool_create_empty("frames", FEW_FRAMES, size, 0, sizeof(words), SOCKET_ID_ANY, flags);
    int error;

    if (made == NULL)
        return NULL;
    error = rte_mempool_set_ops_byname(made, newest_first.name, NULL);
    if (error == 0) {
        rte_pktmbuf_pool_init(made, &words);
        error = rte_mempool_populate_default(made);
    }
    if (error < 0) {
        rte_mempool_free(made);
        rte_errno = -error;
        return NULL;
    }
    rte_mempool_obj_iter(made, rte_pktmbuf_init, NULL);
    return made;
}

static int set_up(uint16_t id, const struct rte_eth_dev_info *info)
{
    struct rte_eth_conf conf;
    uint16_t receive = RING_FRAMES, send = RING_FRAMES;
    int socket = rte_eth_dev_socket_id(id);
    int error;

    memset(&conf, 0, sizeof(conf));
    error = rte_eth_dev_configure(id, 1, 1, &conf);
    if (error < 0)
        return error;
    error = rte_eth_dev_adjust_nb_rx_tx_desc(id, &receive, &send);
    if (error < 0)
        return error;
    error = rte_eth_rx_queue_setup(id, 0, receive, (unsigned int)socket, &info->default_rxconf, pool);
    if (error < 0)
        return error;
    error = rte_eth_tx_queue_setup(id, 0, send, (unsigned int)socket, &info->default_txconf);
    if (error < 0)
        return error;
    return rte_eth_dev_start(id);
}

/* Forgets what came while nobody had the port in use. */
static void drain(uint16_t id)
{
    unsigned int left = RING_FRAMES;
    struct rte_mbuf *frame;

    while (left-- > 0 && rte_eth_rx_burst(id, 0, &frame, 1) == 1)
        rte_pktmbuf_free(frame);
}

/* Takes the first port into use; with all, also frames for other addresses. */
int shim_open(struct shim_port *port, int all)
{
    static int before;
    struct rte_eth_dev_info info;
    struct rte_ether_addr mac;
    uint16_t id = (uint16_t)rte_eth_find_next(0);
    int error;

    if (id >= RTE_MAX_ETHPORTS)
        return -ENODEV;
    error = rte_eth_dev_info_get(id, &info);
    if (error < 0)
        return error;
    error = rte_eth_macaddr_get(id, &mac);
    if (error < 0)
        return error;
    error = rte_eth_dev_get_mtu(id, &port->mtu);
    if (error < 0)
        return error;
    port->is_af_packet = strcmp(info.driver_name, "net_af_packet") == 0;
    if (pool == NULL) {
        uint16_t length = room(port->mtu);

        pool = port->is_af_packet
                   ? copied_frames(length)
                   : rte_pktmbuf_pool_create("frames", FRAMES, CACHED_FRAMES, 0, length, SOCKET_ID_ANY);
        if (pool == NULL)
            return -rte_errno;
    }
    error = set_up(id, &info);
    if (error < 0)
        return error;
    /* A driver that cannot, such as a virtual one, gives all frames anyway. */
    if (all)
        (void)rte_eth_promiscuous_enable(id);
    if (before)
        drain(id);
    before = 1;
    port->id = id;
    memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
    return 0;
}

void shim_close(uint16_t id)
{
    (void)rte_eth_dev_stop(id);
}

uint16_t shim_receive(uint16_t id, struct rte_mbuf **frames, uint16_t most)
{
    return rte_eth_rx_burst(id, 0, frames, most);
}

uint16_t shim_send(uint16_t id, struct rte_mbuf **frames, uint16_t count)
{
    return rte_eth_tx_burst(id, 0, frames, count);
}

/* The bytes of a received frame; NULL when they do not lie together. */
const uint8_t *shim_bytes(const struct rte_mbuf *frame, uint32_t *length)
{
    *length = frame->pkt_len;
    return frame->nb_segs == 1 ? rte_pktmbuf_mtod(frame, const uint8_t *) : NULL;
}

/* A frame to be filled, or NULL when none is free. */
struct rte_mbuf *shim_take(void)
{
    return rte_pktmbuf_alloc(pool);
}

/* Room for so many bytes in a frame that is to be sent; NULL when it has not so much. */
uint8_t *shim_room(struct rte_mbuf *frame, uint16_t length)
{
    rte_pktmbuf_reset(frame);
    return (uint8_t *)rte_pktmbuf_append(frame, length);
}

void shim_give(struct rte_mbuf *frame)
{
    rte_pktmbuf_free(frame);
}
