/* SPDX-License-Identifier: MIT */
/* AF_UNIX sockets with a name: a path below /tmp, or with a leading @ an abstract one (unix(7)). */
#ifndef UNIX_ADDRESS_H
#define UNIX_ADDRESS_H

#include "behaviour.h" /* first: it asks for all that the C library has */

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct {
	struct sockaddr_un name;
	socklen_t bytes;
} Address;

static inline Address address_of(const char *text)
{
	Address address = {.name.sun_family = AF_UNIX};

	memcpy(address.name.sun_path, text, strlen(text) + 1);
	address.bytes = offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1;
	if (text[0] == '@') {
		address.name.sun_path[0] = '\0';
		address.bytes--; /* an abstract name has no end but its length */
	}
	return address;
}

static inline int bind_to(int fd, const char *text)
{
	Address address = address_of(text);

	return bind(fd, (struct sockaddr *)&address.name, address.bytes);
}

static inline int connect_to(int fd, const char *text)
{
	Address address = address_of(text);

	return connect(fd, (struct sockaddr *)&address.name, address.bytes);
}

static inline int make_socket(int type)
{
	int fd = socket(AF_UNIX, type, 0);

	CHECK(fd >= 0);
	return fd;
}

static inline int bound(int type, const char *text)
{
	int fd = make_socket(type);

	EQUAL(bind_to(fd, text), 0);
	return fd;
}

static inline int listener(int type, const char *text, int backlog)
{
	int fd = bound(type, text);

	EQUAL(listen(fd, backlog), 0);
	return fd;
}

static inline int connected(int type, const char *text)
{
	int fd = make_socket(type);

	EQUAL(connect_to(fd, text), 0);
	return fd;
}

static inline void make_pair(int type, int *ends)
{
	EQUAL(socketpair(AF_UNIX, type, 0, ends), 0);
}

static inline void time_limit(int fd, int option, int64_t ns)
{
	struct timeval limit = timeval_of(ns);

	EQUAL(setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit)), 0);
}

static inline void send_text(int fd, const char *text)
{
	EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Receive once, and compare. */
static inline void receive_text(int fd, const char *wanted)
{
	char text[256] = "";

	EQUAL(recv(fd, text, sizeof(text) - 1, 0), strlen(wanted));
	SAME_TEXT(text, wanted);
}

#endif
