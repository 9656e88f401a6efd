// SPDX-License-Identifier: MIT
// Usage: unix-message BEHAVIOUR
// Messages between processes of one node: AF_UNIX sockets of type dgram and seqpacket, and what travels beside the
// bytes: descriptors and credentials (unix(7)).
#include "unix_address.h"

#include <fcntl.h>

#define PATH "/tmp/socket"
#define OTHER "/tmp/other"

static int ends[2];

static void boundaries(void)
{
	make_pair(SOCK_DGRAM, ends);
	send_text(ends[0], "one");
	send_text(ends[0], "");
	send_text(ends[0], "three");
	receive_text(ends[1], "one");
	receive_text(ends[1], "");
	receive_text(ends[1], "three");
	printf("three messages\n");
}

static void cut_off(void)
{
	struct iovec part;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	char text[4] = "";

	make_pair(SOCK_DGRAM, ends);
	send_text(ends[0], "longer than room");
	send_text(ends[0], "next");
	part = (struct iovec){text, 3};
	EQUAL(recvmsg(ends[1], &message, 0), 3);
	EQUAL(message.msg_flags, MSG_TRUNC);
	SAME_TEXT(text, "lon");
	EQUAL(recv(ends[1], text, 1, MSG_TRUNC | MSG_PEEK), 4); /* its real length */
	receive_text(ends[1], "next");
	printf("the rest is lost\n");
}

static void sender_without_a_name(void)
{
	int server = bound(SOCK_DGRAM, PATH), fd = make_socket(SOCK_DGRAM);
	Address from = {.bytes = sizeof(from.name)}, to = address_of(PATH);
	char text[8];

	EQUAL(sendto(fd, "hi", 2, 0, (struct sockaddr *)&to.name, to.bytes), 2);
	EQUAL(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from.name, &from.bytes), 2);
	printf("%d bytes of address\n", from.bytes);
}

static void answer_to_the_sender(void)
{
	int server = bound(SOCK_DGRAM, PATH), fd = bound(SOCK_DGRAM, OTHER);
	Address from = {.bytes = sizeof(from.name)};
	char text[8];

	EQUAL(connect_to(fd, PATH), 0);
	send_text(fd, "hi");
	EQUAL(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from.name, &from.bytes), 2);
	EQUAL(sendto(server, "there", 5, 0, (struct sockaddr *)&from.name, from.bytes), 5);
	receive_text(fd, "there");
	printf("from %s\n", from.name.sun_path);
}

static void chosen_name(void)
{
	int fd = make_socket(SOCK_DGRAM);
	Address own = {.name.sun_family = AF_UNIX, .bytes = sizeof(own.name)};

	EQUAL(bind(fd, (struct sockaddr *)&own.name, sizeof(sa_family_t)), 0);
	EQUAL(getsockname(fd, (struct sockaddr *)&own.name, &own.bytes), 0);
	EQUAL(own.name.sun_path[0], 0);
	CHECK(strspn(own.name.sun_path + 1, "0123456789abcdef") == 5);
	printf("%d bytes of address\n", own.bytes); /* family, zero, five digits */
}

static void connected_to_one(void)
{
	int server = bound(SOCK_DGRAM, PATH), stranger = bound(SOCK_DGRAM, OTHER);
	int fd = bound(SOCK_DGRAM, "/tmp/third");
	Address to = address_of("/tmp/third");

	EQUAL(connect_to(fd, PATH), 0);
	FAILS(sendto(stranger, "x", 1, 0, (struct sockaddr *)&to.name, to.bytes), EPERM);
	EQUAL(sendto(server, "mine", 4, 0, (struct sockaddr *)&to.name, to.bytes), 4);
	receive_text(fd, "mine");
	EQUAL(connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(sa_family_t)), 0);
	EQUAL(sendto(stranger, "now", 3, 0, (struct sockaddr *)&to.name, to.bytes), 3);
	receive_text(fd, "now");
	printf("EPERM for others\n");
}

static void too_large(void)
{
	static char block[1 << 20];

	make_pair(SOCK_DGRAM, ends);
	EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){10000}, sizeof(int)), 0);
	FAILS(send(ends[0], block, sizeof(block), 0), EMSGSIZE);
	EQUAL(send(ends[0], block, 10000, 0), 10000);
	printf("EMSGSIZE\n");
}

static void full_queue(void)
{
	int server = bound(SOCK_DGRAM, PATH), fd = connected(SOCK_DGRAM, PATH), count = 0;
	int64_t start = now();
	pid_t pid;

	while (send(fd, "x", 1, MSG_DONTWAIT) == 1)
		count++;
	EQUAL(errno, EAGAIN);
	CHECK(count >= 10); /* net.unix.max_dgram_qlen */
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 2 * SECOND);
		receive_text(server, "x");
		_exit(0);
	}
	send_text(fd, "y");
	print_after("room", start);
	EXITS(pid, 0);
}

static void receive_times_out(void)
{
	int fd = bound(SOCK_DGRAM, PATH);
	int64_t start;
	char byte;

	time_limit(fd, SO_RCVTIMEO, 9 * SECOND / 4);
	start = now();
	FAILS(recv(fd, &byte, 1, 0), EAGAIN);
	print_expiry("gave up", start);
}

static void receiver_is_gone(void)
{
	int server = bound(SOCK_DGRAM, PATH), fd = connected(SOCK_DGRAM, PATH);

	close(server);
	FAILS(send(fd, "x", 1, MSG_NOSIGNAL), ECONNREFUSED);
	EQUAL(unlink(PATH), 0);
	FAILS(connect_to(fd, PATH), ENOENT);
	FAILS(send(make_socket(SOCK_DGRAM), "x", 1, 0), ENOTCONN);
	printf("ECONNREFUSED\n");
}

static void many_in_one_call(void)
{
	struct iovec parts[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
	struct mmsghdr messages[3];
	char room[3][8] = {0};

	make_pair(SOCK_DGRAM, ends);
	for (int i = 0; i < 3; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
	EQUAL(sendmmsg(ends[0], messages, 3, 0), 3);
	for (int i = 0; i < 3; i++)
		parts[i] = (struct iovec){room[i], 7};
	EQUAL(recvmmsg(ends[1], messages, 3, 0, NULL), 3);
	printf("%s %s %s\n", room[0], room[1], room[2]);
}

static void packets_in_sequence(void)
{
	int server = listener(SOCK_SEQPACKET, PATH, 5), fd = connected(SOCK_SEQPACKET, PATH);
	int accepted = accept(server, NULL, NULL);
	char text[4] = "";

	CHECK(accepted >= 0);
	send_text(fd, "first");
	send_text(fd, "second");
	EQUAL(recv(accepted, text, 3, 0), 3); /* the rest of it is lost */
	receive_text(accepted, "second");
	close(fd);
	receive_text(accepted, "");
	FAILS(connect_to(make_socket(SOCK_STREAM), PATH), EPROTOTYPE);
	printf("boundaries and an end\n");
}

/* Room for control messages, aligned as they have to be. */
typedef union {
	struct cmsghdr header;
	char bytes[256];
} Control;

static void send_control(int fd, int type, const void *data, size_t bytes)
{
	struct iovec part = {"x", 1};
	Control control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};

	message.msg_controllen = CMSG_SPACE(bytes);
	control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = type, .cmsg_len = CMSG_LEN(bytes)};
	memcpy(CMSG_DATA(&control.header), data, bytes);
	EQUAL(sendmsg(fd, &message, 0), 1);
}

static void receive_control(int fd, int type, void *data, size_t bytes)
{
	char byte;
	struct iovec part = {&byte, 1};
	Control control = {0};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	EQUAL(recvmsg(fd, &message, 0), 1);
	EQUAL(message.msg_flags, 0);
	CHECK(CMSG_FIRSTHDR(&message));
	EQUAL(control.header.cmsg_type, type);
	EQUAL(control.header.cmsg_len, CMSG_LEN(bytes));
	memcpy(data, CMSG_DATA(&control.header), bytes);
}

static void descriptors(void)
{
	int pipes[2], received[2];
	pid_t pid;

	make_pair(SOCK_STREAM, ends);
	pid = make_child();
	if (pid == 0) {
		close(ends[1]);
		EQUAL(pipe(pipes), 0);
		send_control(ends[0], SCM_RIGHTS, pipes, sizeof(pipes));
		receive_text(ends[0], "go");
		receive_text(ends[0], "");
		_exit(read(pipes[0], received, 4) == 4 ? 0 : 1);
	}
	close(ends[0]);
	receive_control(ends[1], SCM_RIGHTS, received, sizeof(received));
	EQUAL(write(received[1], "over", 4), 4);
	send_text(ends[1], "go");
	close(ends[1]);
	EXITS(pid, 0);
	printf("both ends of another process's pipe\n");
}

static void credentials(void)
{
	struct ucred found, own = {.pid = getpid(), .uid = getuid(), .gid = getgid()}, sent = {.uid = 1, .gid = 2};
	pid_t pid;

	make_pair(SOCK_STREAM, ends);
	EQUAL(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), 0);
	pid = make_child();
	if (pid == 0) {
		sent.pid = getpid();
		send_control(ends[0], SCM_CREDENTIALS, &sent, sizeof(sent)); /* root may claim any user */
		_exit(0);
	}
	receive_control(ends[1], SCM_CREDENTIALS, &found, sizeof(found));
	EQUAL(found.pid, pid);
	printf("user %d, group %d\n", found.uid, found.gid);
	EQUAL(getsockopt(ends[1], SOL_SOCKET, SO_PEERCRED, &found, &(socklen_t){sizeof(found)}), 0);
	EQUAL(memcmp(&found, &own, sizeof(own)), 0);
	EXITS(pid, 0);
}

static void options(void)
{
	int value;
	socklen_t bytes = sizeof(value);

	make_pair(SOCK_SEQPACKET, ends);
	EQUAL(getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &value, &bytes), 0);
	EQUAL(value, SOCK_SEQPACKET);
	EQUAL(getsockopt(ends[0], SOL_SOCKET, SO_DOMAIN, &value, &bytes), 0);
	EQUAL(value, AF_UNIX);
	EQUAL(getsockopt(ends[0], SOL_SOCKET, SO_ACCEPTCONN, &value, &bytes), 0);
	EQUAL(value, 0);
	EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){50000}, sizeof(int)), 0);
	EQUAL(getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &value, &bytes), 0);
	EQUAL(value, 100000); /* the kernel doubles it for its own needs */
	FAILS(getsockopt(ends[0], SOL_SOCKET, 9999, &value, &bytes), ENOPROTOOPT);
	FAILS(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &value, 1), EINVAL);
	printf("options\n");
}

BEHAVIOURS(
	{"boundaries", boundaries},
	{"cut-off", cut_off},
	{"sender-without-a-name", sender_without_a_name},
	{"answer-to-the-sender", answer_to_the_sender},
	{"chosen-name", chosen_name},
	{"connected-to-one", connected_to_one},
	{"too-large", too_large},
	{"full-queue", full_queue},
	{"receive-times-out", receive_times_out},
	{"receiver-is-gone", receiver_is_gone},
	{"many-in-one-call", many_in_one_call},
	{"packets-in-sequence", packets_in_sequence},
	{"descriptors", descriptors},
	{"credentials", credentials},
	{"options", options},
)
