// SPDX-License-Identifier: MIT
// Usage: name-lookup BEHAVIOUR [NAME]
// Names and addresses by what the node's own /etc says (getaddrinfo(3), getnameinfo(3), netdb.h(0p)).
#include "behaviour.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>

static void print_addresses(const char *name, const struct addrinfo *hints)
{
	struct addrinfo *found;
	int result = getaddrinfo(name, "80", hints, &found);

	if (result) {
		printf("%s: %s\n", name, gai_strerror(result));
		return;
	}
	for (const struct addrinfo *each = found; each; each = each->ai_next) {
		char text[64];

		EQUAL(getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST), 0);
		printf("%s: %s\n", name, text);
	}
	freeaddrinfo(found);
}

static void forward(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET};
	int64_t start = now();

	CHECK(arguments[0]);
	print_addresses(arguments[0], &hints);
	if (arguments[1]) /* how long it took matters */
		print_after("answered", start);
}

static void both_versions(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

	CHECK(arguments[0]);
	print_addresses(arguments[0], &hints);
}

static void backward(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
	char host[64], service[32];

	CHECK(arguments[0]);
	EQUAL(inet_pton(AF_INET, arguments[0], &address.sin_addr), 1);
	EQUAL(getnameinfo((void *)&address, sizeof(address), host, sizeof(host), service, sizeof(service), NI_NAMEREQD), 0);
	printf("%s %s\n", host, service);
}

static void numeric(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	unsigned char bytes[16];
	char text[INET6_ADDRSTRLEN];

	print_addresses("192.0.2.7", &hints);
	print_addresses("2001:db8::7", &hints);
	print_addresses("name", &hints);
	EQUAL(inet_pton(AF_INET, "256.0.0.1", bytes), 0);
	FAILS(inet_pton(12345, "1.2.3.4", bytes), EAFNOSUPPORT);
	EQUAL(inet_pton(AF_INET6, "2001:DB8:0:0:1:0:0:1", bytes), 1);
	printf("%s\n", inet_ntop(AF_INET6, bytes, text, sizeof(text)));
	EQUAL(inet_addr("1.2"), htonl(0x01000002)); /* an old form: the last number has the rest */
	printf("%04x %08x\n", htons(0x1234), htonl(0x12345678));
}

static void services_and_protocols(void)
{
	struct servent *service = getservbyname("domain", "udp");
	struct protoent *protocol = getprotobyname("tcp");

	CHECK(service && protocol);
	printf("domain/udp is %d, tcp is %d\n", ntohs(service->s_port), protocol->p_proto);
	CHECK((service = getservbyport(htons(4321), "tcp")));
	printf("4321/tcp is %s\n", service->s_name);
	CHECK(!getservbyname("missing", "tcp"));
}

static void print_host(const char *asked, const struct hostent *found)
{
	char text[INET6_ADDRSTRLEN];

	if (!found) {
		printf("%s: %s\n", asked, hstrerror(h_errno));
		return;
	}
	printf("%s: %s", asked, found->h_name);
	for (char **alias = found->h_aliases; *alias; alias++)
		printf(" alias %s", *alias);
	for (char **address = found->h_addr_list; *address; address++)
		printf(" %s", inet_ntop(found->h_addrtype, *address, text, sizeof(text)));
	printf("\n");
}

/* The functions of old, which share their result and tell errors by h_errno (gethostbyname(3)). */
static void hosts_of_old(void)
{
	struct in_addr known, unknown;

	CHECK(arguments[0] && arguments[1]);
	print_host(arguments[0], gethostbyname(arguments[0]));
	print_host("missing", gethostbyname("missing"));
	EQUAL(h_errno, HOST_NOT_FOUND);
	EQUAL(inet_pton(AF_INET, arguments[1], &known), 1);
	EQUAL(inet_pton(AF_INET, "203.0.113.1", &unknown), 1);
	print_host(arguments[1], gethostbyaddr(&known, sizeof(known), AF_INET));
	print_host("203.0.113.1", gethostbyaddr(&unknown, sizeof(unknown), AF_INET));
	EQUAL(h_errno, HOST_NOT_FOUND);
}

static void all_services_and_protocols(void)
{
	struct servent *service;
	struct protoent *protocol;

	for (int round = 0; round < 2; round++) { /* setservent() begins anew */
		setservent(1);
		while ((service = getservent()))
			printf("%s %d %s\n", service->s_name, ntohs(service->s_port), service->s_proto);
	}
	endservent();
	setprotoent(1);
	while ((protocol = getprotoent()))
		printf("%s %d %s\n", protocol->p_name, protocol->p_proto, protocol->p_aliases[0]);
	endprotoent();
	CHECK((protocol = getprotobynumber(132)));
	printf("132 is %s\n", protocol->p_name);
	CHECK(!getprotobynumber(254));
	CHECK(!getprotobyname("missing"));
}

static void interfaces(void)
{
	struct if_nameindex *list = if_nameindex();
	char name[IF_NAMESIZE];

	CHECK(list);
	for (struct if_nameindex *each = list; each->if_index; each++) {
		EQUAL(if_nametoindex(each->if_name), each->if_index);
		SAME_TEXT(if_indextoname(each->if_index, name), each->if_name);
		printf("%s\n", each->if_name);
	}
	EQUAL(if_nametoindex("missing0"), 0);
	EQUAL(errno, ENODEV);
}

BEHAVIOURS(
	{"forward", forward},
	{"both-versions", both_versions},
	{"backward", backward},
	{"numeric", numeric},
	{"services-and-protocols", services_and_protocols},
	{"hosts-of-old", hosts_of_old},
	{"all-services-and-protocols", all_services_and_protocols},
	{"interfaces", interfaces},
)
