// SPDX-License-Identifier: MIT
// Usage: tcp-simple-client PORT ROUNDS
// Sends one block of 1024 bytes to the loopback at each whole second after its start, then closes. Two system calls
// per round, and nothing is written on the way: it is what bounds how fast 27.8 hours go by.
#include "simple.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint64_t block[BLOCK_WORDS];
	struct timespec next;
	long rounds;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: %s PORT ROUNDS\n", argv[0]);
		return 2;
	}
	server.sin_port = htons(atoi(argv[1]));
	rounds = atol(argv[2]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	check(fd >= 0, "socket");
	check(connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0, "connect");
	check(clock_gettime(CLOCK_MONOTONIC, &next) == 0, "clock_gettime");
	for (long round = 0; round < rounds; round++) {
		fill_block(block, round);
		check(send(fd, block, sizeof(block), 0) == sizeof(block), "send");
		next.tv_sec++;
		check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == 0, "clock_nanosleep");
	}
	check(close(fd) == 0, "close");
	printf("sent %ld rounds, %ld bytes\n", rounds, rounds * BLOCK_BYTES);
	return 0;
}
