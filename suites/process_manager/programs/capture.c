// SPDX-License-Identifier: MIT
// Usage: capture raw|packet PORT
// Prints the first payload to a TCP port that a raw(7) or a packet(7) socket sees, and who sent it. The file /tmp/ready
// says that it listens.
#include "behaviour.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Print until the first segment with a payload; both kinds of sockets give the IP header first. */
static void first_payload(int fd)
{
	static char packet[65536];

	CHECK(fd >= 0);
	CHECK(arguments[0]);
	EQUAL(close(open("/tmp/ready", O_WRONLY | O_CREAT, 0600)), 0);
	for (;;) {
		ssize_t bytes = recv(fd, packet, sizeof(packet), 0);
		const struct iphdr *ip = (void *)packet;
		const struct tcphdr *tcp = (void *)(packet + 4 * ip->ihl);
		ssize_t headers = 4 * ip->ihl + 4 * tcp->doff;

		CHECK(bytes > 0);
		if (ip->protocol != IPPROTO_TCP || ntohs(tcp->dest) != atoi(arguments[0]) || bytes <= headers)
			continue;
		printf("from %s: %zd bytes\n", inet_ntoa((struct in_addr){ip->saddr}), bytes - headers);
		fwrite(packet + headers, 1, bytes - headers, stdout);
		return;
	}
}

static void raw(void)
{
	first_payload(socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
}

static void packet(void)
{
	first_payload(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)));
}

BEHAVIOURS(
	{"raw", raw},
	{"packet", packet},
)
