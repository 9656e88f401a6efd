/* SPDX-License-Identifier: MIT */
/* What sender and receiver share: the stream's bytes, their hash, and what the kernel says of the connection. */
#ifndef MPTCP_H
#define MPTCP_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
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

static inline void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static inline double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* FNV-1a over words of 8 bytes, the last one filled with zeros: quick, and order matters. */
static inline uint64_t hash_more(uint64_t hash, const void *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 8) {
		uint64_t word = 0;

		memcpy(&word, (const char *)data + at, bytes - at < 8 ? bytes - at : 8);
		hash = (hash ^ word) * 1099511628211ULL;
		hash ^= hash >> 29;
	}
	return hash;
}

#define HASH_START 14695981039346656037ULL

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

static inline struct addrinfo *resolve(const char *address, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;

	if (getaddrinfo(address, port, &hints, &found)) {
		fprintf(stderr, "no numeric address and port: %s %s\n", address, port);
		exit(2);
	}
	return found;
}

/* One line of name=value: what the kernel knows of the connection. mptcp=0: it is plain TCP, or has fallen back to it. */
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
