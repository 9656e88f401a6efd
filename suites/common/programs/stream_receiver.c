// SPDX-License-Identifier: MIT
// Usage: stream-receiver [--protocol tcp|mptcp|sctp] [--congestion NAME] [--also ADDRESS]... ADDRESS PORT
// Takes one connection, reads its blocks, answers with the hash of their bytes, and prints one line when the sender closes.
#include "stream.h"

#include <getopt.h>

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [--protocol tcp|mptcp|sctp] [--congestion NAME] [--also ADDRESS]... ADDRESS PORT\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"protocol", required_argument, NULL, 'p'}, {"also", required_argument, NULL, 'a'},
		{"congestion", required_argument, NULL, 'c'}, {0},
	};
	int protocol = IPPROTO_TCP, type = SOCK_STREAM, option, listener, fd, one = 1, others = 0;
	uint64_t hash = HASH_START, total = 0;
	char block[BLOCK_BYTES];
	const char *also[8], *congestion = NULL;
	uint32_t length;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			protocol = protocol_of(optarg, &type);
		else if (option == 'c')
			congestion = optarg;
		else if (option == 'a' && others < 8)
			also[others++] = optarg;
		else
			return usage(argv[0]);
	}
	if (argc - optind != 2)
		return usage(argv[0]);
	listener = socket(resolve(argv[optind], argv[optind + 1])->ai_family, type, protocol);
	check(listener >= 0, "socket");
	if (protocol != IPPROTO_SCTP)
		check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0, "SO_REUSEADDR");
	use_congestion(listener, congestion);
	bind_to(listener, argv[optind], argv[optind + 1], 0);
	for (int i = 0; i < others; i++)
		bind_to(listener, also[i], argv[optind + 1], 1);
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
