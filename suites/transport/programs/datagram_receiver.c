// SPDX-License-Identifier: MIT
// Usage: datagram-receiver [--protocol udp|udplite|dccp] [--ccid N] [--size BYTES] [--quiet S] ADDRESS PORT
// Receives datagrams of datagram-sender until the connection ends (DCCP) or nothing came for S seconds, and prints one line.
//   received: all; wrong: not what their number says; again: right, but had come before; late: after one with a higher
//   number; hash: the sum of the hashes of those that were right and came for the first time
#include "datagram.h"

#include <getopt.h>
#include <linux/dccp.h>

#define SOL_DCCP_LEVEL 269

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [--protocol udp|udplite|dccp] [--ccid N] [--size BYTES] [--quiet S] ADDRESS PORT\n", name);
	return 2;
}

/* Give 0 at the end: of the connection, or of patience. */
static ssize_t receive(int fd, void *data, size_t room)
{
	ssize_t got = recv(fd, data, room, 0);

	check(got >= 0 || errno == EAGAIN, "recv");
	return got < 0 ? 0 : got;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"protocol", required_argument, NULL, 'p'}, {"ccid", required_argument, NULL, 'd'},
		{"size", required_argument, NULL, 's'},	    {"quiet", required_argument, NULL, 'q'},
		{0},
	};
	uint64_t words[MOST_BYTES / 8 + 1], expected[MOST_BYTES / 8], hash = 0, highest = 0;
	unsigned int received = 0, wrong = 0, again = 0, late = 0;
	int protocol = IPPROTO_UDP, type = SOCK_DGRAM, ccid = -1, option, fd;
	static char seen[MOST_NUMBERS];
	struct timeval quiet = {.tv_sec = 5};
	size_t bytes = 1000;
	struct addrinfo *own;
	ssize_t got;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p': protocol = protocol_of(optarg, &type); break;
		case 'd': ccid = atoi(optarg); break;
		case 's': bytes = strtoull(optarg, NULL, 10); break;
		case 'q': quiet.tv_sec = atoi(optarg); break;
		default: return usage(argv[0]);
		}
	}
	if (argc - optind != 2 || bytes < 8 || bytes > MOST_BYTES)
		return usage(argv[0]);
	own = resolve(argv[optind], argv[optind + 1]);
	fd = socket(own->ai_family, type, protocol);
	check(fd >= 0, "socket");
	check(bind(fd, own->ai_addr, own->ai_addrlen) == 0, "bind");
	if (protocol == IPPROTO_DCCP) {
		uint8_t wanted = ccid;

		if (ccid >= 0)
			check(setsockopt(fd, SOL_DCCP_LEVEL, DCCP_SOCKOPT_CCID, &wanted, 1) == 0, "CCID");
		check(listen(fd, 1) == 0, "listen");
		fd = accept(fd, NULL, NULL);
		check(fd >= 0, "accept");
	}
	if (protocol != IPPROTO_DCCP)
		check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet)) == 0, "SO_RCVTIMEO");
	while ((got = receive(fd, words, sizeof(words))) > 0) {
		uint64_t number = words[0];

		received++;
		if (number < MOST_NUMBERS)
			make_datagram(expected, bytes, number);
		if ((size_t)got != bytes || number >= MOST_NUMBERS || memcmp(words, expected, bytes)) {
			wrong++;
			continue;
		}
		again += seen[number];
		late += number < highest;
		highest = number > highest ? number : highest;
		if (!seen[number])
			hash += datagram_hash(words, bytes);
		seen[number] = 1;
	}
	printf("received=%u wrong=%u again=%u late=%u hash=%016lx\n", received, wrong, again, late, hash);
	return 0;
}
