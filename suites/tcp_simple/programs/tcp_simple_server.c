// SPDX-License-Identifier: MIT
// Usage: tcp-simple-server PORT
// Takes one connection, reads blocks of 1024 bytes until it ends, compares each byte with what the round must have,
// and counts them. It fails when a byte is wrong or the last block is cut short.
#include "simple.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint64_t block[BLOCK_WORDS], wanted[BLOCK_WORDS];
	long rounds = 0, wrong = 0;
	int listener, fd, one = 1;
	ssize_t got;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		return 2;
	}
	own.sin_port = htons(atoi(argv[1]));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	check(listener >= 0, "socket");
	check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0, "SO_REUSEADDR");
	check(bind(listener, (struct sockaddr *)&own, sizeof(own)) == 0, "bind");
	check(listen(listener, 1) == 0, "listen");
	fd = accept(listener, NULL, NULL);
	check(fd >= 0, "accept");
	while ((got = recv(fd, block, sizeof(block), MSG_WAITALL)) == sizeof(block)) {
		fill_block(wanted, rounds++);
		if (memcmp(block, wanted, sizeof(block)))
			wrong++;
	}
	check(got >= 0, "recv");
	printf("received %ld rounds, %ld bytes, %ld wrong, %zd left over\n", rounds, rounds * BLOCK_BYTES, wrong, got);
	return wrong || got;
}
