/* SPDX-License-Identifier: MIT */
/* What sender and receiver of a stream share: its framing, and what the kernel says of the connection. */
#ifndef STREAM_H
#define STREAM_H

#include "bytes.h"

#include <netinet/tcp.h>

#define SOL_SCTP_LEVEL 132
#define SCTP_ADD_ADDRESS 100 /* SCTP_SOCKOPT_BINDX_ADD, include/uapi/linux/sctp.h */
#define SOL_MPTCP_LEVEL 284
#define MPTCP_INFO_OPTION 1
#define FLAG_FALLBACK 1 /* MPTCP_INFO_FLAG_FALLBACK, include/uapi/linux/mptcp.h */

/* The stream is blocks: a big-endian length of 4 bytes, then that many bytes. Length 0 ends it. */
#define BLOCK_BYTES 16384

/* struct mptcp_info of include/uapi/linux/mptcp.h (Linux 6.12), as far as it is printed here. */
struct connection_info {
	uint8_t subflows, signalled, accepted, subflows_max, signal_max, accepted_max;
	uint32_t flags, token;
	uint64_t write_seq, snd_una, rcv_nxt;
	uint8_t local_used, local_max, checksums;
	uint32_t retransmits;
	uint64_t bytes_retrans, bytes_sent, bytes_received, bytes_acked;
};

static inline void send_all(int fd, const void *data, size_t bytes)
{
	while (bytes) {
		ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);

		check(sent > 0, "send");
		data = (const char *)data + sent;
		bytes -= sent;
	}
}

/* Fill the buffer; 0 when the stream ends first. */
static inline int receive_all(int fd, void *data, size_t bytes)
{
	while (bytes) {
		ssize_t got = recv(fd, data, bytes, 0);

		check(got >= 0, "recv");
		if (got == 0)
			return 0;
		data = (char *)data + got;
		bytes -= got;
	}
	return 1;
}

/* Choose a congestion control (tcp(7)); NULL leaves the default. */
static inline void use_congestion(int fd, const char *name)
{
	if (name)
		check(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)) == 0, name);
}

/* name=value: the congestion control that a connection of TCP has in the end, MPTCP's first subflow's, else "-". */
static inline void print_congestion(int fd)
{
	char name[16] = "-"; /* TCP_CA_NAME_MAX */
	socklen_t size = sizeof(name);

	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size);
	printf(" congestion=%s", name);
}

/* Give a socket an address of its own; an SCTP socket that has one already gets another one (RFC 6458, 9.1). */
static inline void bind_to(int fd, const char *address, const char *port, int another)
{
	struct addrinfo *own = resolve(address, port);

	if (another)
		check(setsockopt(fd, SOL_SCTP_LEVEL, SCTP_ADD_ADDRESS, own->ai_addr, own->ai_addrlen) == 0, "another address");
	else
		check(bind(fd, own->ai_addr, own->ai_addrlen) == 0, "bind");
}

/* One line of name=value: what the kernel knows of the connection. mptcp=0: it is something else, or has fallen back to TCP. */
static inline void print_connection(int fd)
{
	struct connection_info info = {0};
	socklen_t size = sizeof(info);

	if (getsockopt(fd, SOL_MPTCP_LEVEL, MPTCP_INFO_OPTION, &info, &size)) {
		check(errno == EOPNOTSUPP || errno == ENOPROTOOPT, "MPTCP_INFO");
		printf(" mptcp=0 extra_subflows=0");
		return;
	}
	printf(" mptcp=%d extra_subflows=%d signalled=%d accepted=%d token=%u", !(info.flags & FLAG_FALLBACK),
	       info.subflows, info.signalled, info.accepted, info.token);
}

#endif
