/* SPDX-License-Identifier: MIT */
/* What all senders and receivers share: pseudo-random bytes, their hash, time, addresses. */
#ifndef BYTES_H
#define BYTES_H

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
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif
#define SOCK_DCCP_TYPE 6

#define HASH_START 14695981039346656037ULL

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

static inline void wait_until(double second)
{
	struct timespec when = {.tv_sec = second};

	when.tv_nsec = (second - when.tv_sec) * 1e9;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
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

/* Write pseudo-random bytes, a multiple of 8 of them, and keep the generator's state for the next call. */
static inline void fill(void *data, size_t bytes, uint64_t *state)
{
	for (size_t at = 0; at < bytes; at += 8) {
		*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
		memcpy((char *)data + at, state, 8);
	}
}

/* Read what a socket of a protocol is: its type, and the number for socket(2). */
static inline int protocol_of(const char *name, int *type)
{
	static const struct { const char *name; int number, type; } known[] = {
		{"tcp", IPPROTO_TCP, SOCK_STREAM},     {"mptcp", IPPROTO_MPTCP, SOCK_STREAM},
		{"sctp", IPPROTO_SCTP, SOCK_STREAM},   {"dccp", IPPROTO_DCCP, SOCK_DCCP_TYPE},
		{"udp", IPPROTO_UDP, SOCK_DGRAM},      {"udplite", IPPROTO_UDPLITE, SOCK_DGRAM},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i].name, name)) {
			*type = known[i].type;
			return known[i].number;
		}
	fprintf(stderr, "no protocol %s; valid: tcp, mptcp, sctp, dccp, udp, udplite\n", name);
	exit(2);
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

#endif
