// SPDX-License-Identifier: MIT
// Usage: udp-simple-receiver PORT COUNT
// Receives COUNT datagrams over IPv4 or IPv6, compares each byte with what udp-simple-sender sends, in order, and counts.
#include <endian.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DATAGRAM_BYTES 1024

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	unsigned char datagram[DATAGRAM_BYTES + 1], wanted[DATAGRAM_BYTES];
	long count, wrong = 0;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: %s PORT COUNT\n", argv[0]);
		return 2;
	}
	own.sin6_port = htons(atoi(argv[1]));
	count = atol(argv[2]);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	check(fd >= 0, "socket");
	check(bind(fd, (struct sockaddr *)&own, sizeof(own)) == 0, "bind");
	for (long number = 0; number < count; number++) {
		uint64_t head = htobe64(number);
		ssize_t got = recv(fd, datagram, sizeof(datagram), 0);

		check(got >= 0, "recv");
		memset(wanted, number & 0xff, sizeof(wanted));
		memcpy(wanted, &head, sizeof(head));
		if (got != DATAGRAM_BYTES || memcmp(datagram, wanted, sizeof(wanted)))
			wrong++;
	}
	printf("received %ld datagrams, %ld wrong\n", count, wrong);
	return wrong != 0;
}
