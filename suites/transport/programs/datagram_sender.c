// SPDX-License-Identifier: MIT
// Usage: datagram-sender [--protocol udp|udplite|dccp] [--coverage N] [--ccid N] [--count N] [--size BYTES]
//        [--interval S] ADDRESS PORT
// Sends numbered datagrams, one each interval, and prints one line: how many, and the sum of their hashes.
#include "datagram.h"

#include <getopt.h>
#include <linux/dccp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#define SOL_DCCP_LEVEL 269
#define UDPLITE_SEND_COVERAGE 10 /* UDPLITE_SEND_CSCOV, include/net/udplite.h */

static int usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [--protocol udp|udplite|dccp] [--coverage N] [--ccid N] [--count N] [--size BYTES] [--interval S] "
		"ADDRESS PORT\n",
		name);
	return 2;
}

/* DCCP never blocks: a full queue of the sender is EAGAIN at once (dccp_sendmsg, net/dccp/proto.c). */
static void send_one(int fd, const void *data, size_t bytes)
{
	ssize_t sent;

	while ((sent = send(fd, data, bytes, MSG_NOSIGNAL)) < 0 && errno == EAGAIN)
		wait_until(now_s() + 0.001);
	check(sent == (ssize_t)bytes, "send");
}

/* Wait until all is sent: what CCID 2 still holds back when a socket is closed is lost (dccp_flush_write_queue). */
static void wait_sent(int fd)
{
	int waiting = 1;

	while (check(ioctl(fd, SIOCOUTQ, &waiting) == 0, "SIOCOUTQ"), waiting)
		wait_until(now_s() + 0.001);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"protocol", required_argument, NULL, 'p'}, {"coverage", required_argument, NULL, 'v'},
		{"ccid", required_argument, NULL, 'd'},	    {"count", required_argument, NULL, 'n'},
		{"size", required_argument, NULL, 's'},	    {"interval", required_argument, NULL, 'i'},
		{0},
	};
	int protocol = IPPROTO_UDP, type = SOCK_DGRAM, coverage = 0, ccid = -1, option, fd;
	uint64_t words[MOST_BYTES / 8], hash = 0, count = 1;
	double interval = 0, start;
	struct addrinfo *to;
	size_t bytes = 1000;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p': protocol = protocol_of(optarg, &type); break;
		case 'v': coverage = atoi(optarg); break;
		case 'd': ccid = atoi(optarg); break;
		case 'n': count = strtoull(optarg, NULL, 10); break;
		case 's': bytes = strtoull(optarg, NULL, 10); break;
		case 'i': interval = atof(optarg); break;
		default: return usage(argv[0]);
		}
	}
	if (argc - optind != 2 || bytes % 8 || bytes < 8 || bytes > MOST_BYTES || count > MOST_NUMBERS)
		return usage(argv[0]);
	to = resolve(argv[optind], argv[optind + 1]);
	fd = socket(to->ai_family, type, protocol);
	check(fd >= 0, "socket");
	if (coverage)
		check(setsockopt(fd, IPPROTO_UDPLITE, UDPLITE_SEND_COVERAGE, &coverage, sizeof(coverage)) == 0, "coverage");
	if (ccid >= 0) {
		uint8_t wanted = ccid;

		check(setsockopt(fd, SOL_DCCP_LEVEL, DCCP_SOCKOPT_CCID, &wanted, 1) == 0, "CCID");
	}
	check(connect(fd, to->ai_addr, to->ai_addrlen) == 0, "connect");
	start = now_s();
	for (uint64_t number = 0; number < count; number++) {
		make_datagram(words, bytes, number);
		hash += datagram_hash(words, bytes);
		send_one(fd, words, bytes);
		wait_until(start + (number + 1) * interval);
	}
	wait_sent(fd);
	printf("sent=%lu hash=%016lx\n", count, hash);
	close(fd);
	return 0;
}
