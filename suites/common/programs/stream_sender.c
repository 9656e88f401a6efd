// SPDX-License-Identifier: MIT
// Usage: stream-sender [--protocol tcp|mptcp|sctp] [--congestion NAME] [--from ADDRESS]... [--bytes N] [--seconds S]
//        [--rate BITS_PER_SECOND] ADDRESS PORT
// Sends pseudo-random blocks until N bytes or S seconds are over, at most at the given rate, waits for the receiver's hash
// of them, and prints one line. It fails when the hash is not that of what was sent.
#include "stream.h"

#include <getopt.h>

static int usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [--protocol tcp|mptcp|sctp] [--congestion NAME] [--from ADDRESS]... [--bytes N] [--seconds S] "
		"[--rate BPS] ADDRESS PORT\n",
		name);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"protocol", required_argument, NULL, 'p'}, {"congestion", required_argument, NULL, 'c'},
		{"from", required_argument, NULL, 'f'},	    {"bytes", required_argument, NULL, 'b'},
		{"seconds", required_argument, NULL, 's'},  {"rate", required_argument, NULL, 'r'},
		{0},
	};
	struct { uint32_t length; uint64_t words[BLOCK_BYTES / 8]; } __attribute__((packed)) frame;
	uint64_t hash = HASH_START, answer, state = 1, total = 0, most = UINT64_MAX;
	int protocol = IPPROTO_TCP, type = SOCK_STREAM, option, fd, froms = 0;
	const char *from[8], *congestion = NULL;
	double seconds = 1e9, rate = 0, start;
	uint64_t words[BLOCK_BYTES / 8];
	struct addrinfo *to;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p': protocol = protocol_of(optarg, &type); break;
		case 'c': congestion = optarg; break;
		case 'f': from[froms++ & 7] = optarg; break;
		case 'b': most = strtoull(optarg, NULL, 10); break;
		case 's': seconds = atof(optarg); break;
		case 'r': rate = atof(optarg); break;
		default: return usage(argv[0]);
		}
	}
	if (argc - optind != 2 || froms > 8 || (most == UINT64_MAX && seconds == 1e9))
		return usage(argv[0]);
	to = resolve(argv[optind], argv[optind + 1]);
	fd = socket(to->ai_family, type, protocol);
	check(fd >= 0, "socket");
	use_congestion(fd, congestion);
	for (int i = 0; i < froms; i++)
		bind_to(fd, from[i], "0", i > 0);
	check(connect(fd, to->ai_addr, to->ai_addrlen) == 0, "connect");
	start = now_s();
	while (total < most && now_s() - start < seconds) {
		size_t bytes = most - total < BLOCK_BYTES ? most - total : BLOCK_BYTES;

		fill(words, BLOCK_BYTES, &state);
		hash = hash_more(hash, words, bytes);
		frame.length = htonl(bytes);
		memcpy(frame.words, words, bytes);
		send_all(fd, &frame, sizeof(frame.length) + bytes);
		total += bytes;
		if (rate > 0)
			wait_until(start + total * 8 / rate);
	}
	frame.length = 0;
	send_all(fd, &frame, sizeof(frame.length));
	check(receive_all(fd, &answer, sizeof(answer)), "the receiver's hash");
	printf("bytes=%lu hash=%016lx seconds=%.6f", total, hash, now_s() - start);
	print_connection(fd);
	print_congestion(fd);
	printf("\n");
	close(fd);
	return answer != hash;
}
