// SPDX-License-Identifier: MIT
// Usage: mptcp-receiver [--tcp] ADDRESS PORT
// Takes one connection, reads its blocks, answers with the hash of their bytes, and prints one line when the sender closes.
#include "mptcp.h"

int main(int argc, char **argv)
{
	int plain = argc > 1 && !strcmp(argv[1], "--tcp"), listener, fd, one = 1;
	uint64_t hash = HASH_START, total = 0;
	char block[BLOCK_BYTES];
	struct addrinfo *own;
	uint32_t length;

	if (argc != 3 + plain) {
		fprintf(stderr, "usage: %s [--tcp] ADDRESS PORT\n", argv[0]);
		return 2;
	}
	own = resolve(argv[1 + plain], argv[2 + plain]);
	listener = socket(own->ai_family, SOCK_STREAM, plain ? IPPROTO_TCP : IPPROTO_MPTCP);
	check(listener >= 0, "socket");
	check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0, "SO_REUSEADDR");
	check(bind(listener, own->ai_addr, own->ai_addrlen) == 0, "bind");
	check(listen(listener, 8) == 0, "listen");
	fd = accept(listener, NULL, NULL);
	check(fd >= 0, "accept");
	for (;;) {
		check(receive_all(fd, &length, sizeof(length)), "stream ended early");
		length = ntohl(length);
		if (length == 0)
			break;
		check(length <= sizeof(block), "length of a block");
		check(receive_all(fd, block, length), "stream ended early");
		hash = hash_more(hash, block, length);
		total += length;
	}
	send_all(fd, &hash, sizeof(hash));
	printf("bytes=%lu hash=%016lx", total, hash);
	print_connection(fd);
	printf("\n");
	fflush(stdout);
	check(recv(fd, block, 1, 0) == 0, "the sender's end");
	close(fd);
	return 0;
}
