// SPDX-License-Identifier: MIT
// Usage: udp-simple-sender ADDRESS PORT COUNT
// Sends datagrams of 1024 bytes, one at each whole second after its start: number N begins with N (8 bytes, big-endian)
// and the rest is N mod 256.
#include <arpa/inet.h>
#include <endian.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

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
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *to;
	unsigned char datagram[DATAGRAM_BYTES];
	struct timespec next;
	long count;
	int fd;

	if (argc != 4 || getaddrinfo(argv[1], argv[2], &hints, &to)) {
		fprintf(stderr, "usage: %s ADDRESS PORT COUNT\n", argv[0]);
		return 2;
	}
	count = atol(argv[3]);
	fd = socket(to->ai_family, SOCK_DGRAM, 0);
	check(fd >= 0, "socket");
	check(connect(fd, to->ai_addr, to->ai_addrlen) == 0, "connect");
	check(clock_gettime(CLOCK_MONOTONIC, &next) == 0, "clock_gettime");
	for (long number = 0; number < count; number++) {
		uint64_t head = htobe64(number);

		memset(datagram, number & 0xff, sizeof(datagram));
		memcpy(datagram, &head, sizeof(head));
		check(send(fd, datagram, sizeof(datagram), 0) == sizeof(datagram), "send");
		next.tv_sec++;
		check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == 0, "clock_nanosleep");
	}
	printf("sent %ld datagrams\n", count);
	return 0;
}
