// SPDX-License-Identifier: MIT
// Usage: unix-stream BEHAVIOUR
// Connections between processes of one node: AF_UNIX sockets of type stream (unix(7)).
#include "unix_address.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PATH "/tmp/socket"

static int ends[2];

static void both_directions(void)
{
	make_pair(SOCK_STREAM, ends);
	send_text(ends[0], "there");
	send_text(ends[1], "back");
	receive_text(ends[1], "there");
	receive_text(ends[0], "back");
	printf("there and back\n");
}

static void listens_and_accepts(void)
{
	int64_t start = now();
	int server = listener(SOCK_STREAM, PATH, 5), fd;
	struct stat found;
	pid_t pid = make_child();

	if (pid == 0) {
		sleep_until(start + 2 * SECOND);
		fd = connected(SOCK_STREAM, PATH);
		send_text(fd, "hello");
		receive_text(fd, "and you");
		_exit(0);
	}
	fd = accept(server, NULL, NULL);
	CHECK(fd >= 0);
	print_after("accepted", start);
	receive_text(fd, "hello");
	send_text(fd, "and you");
	EXITS(pid, 0);
	EQUAL(stat(PATH, &found), 0);
	CHECK(S_ISSOCK(found.st_mode));
	EQUAL(recv(fd, &found, 1, 0), 0);
}

static void abstract_name(void)
{
	int server = listener(SOCK_STREAM, "@suite", 5), fd = connected(SOCK_STREAM, "@suite");
	Address found = {.bytes = sizeof(found.name)};

	CHECK(accept(server, NULL, NULL) >= 0);
	EQUAL(getpeername(fd, (struct sockaddr *)&found.name, &found.bytes), 0);
	printf("%d bytes: \\%d%.5s\n", found.bytes, found.name.sun_path[0], found.name.sun_path + 1);
	FAILS(bind_to(make_socket(SOCK_STREAM), "@suite"), EADDRINUSE);
	close(server);
	EQUAL(bind_to(make_socket(SOCK_STREAM), "@suite"), 0); /* gone with its socket */
}

static void names_of_both_ends(void)
{
	int server = listener(SOCK_STREAM, PATH, 5), fd = connected(SOCK_STREAM, PATH);
	Address found = {.bytes = sizeof(found.name)};
	int accepted = accept(server, (struct sockaddr *)&found.name, &found.bytes);

	CHECK(accepted >= 0);
	printf("client: %d bytes\n", found.bytes); /* has no name: the family alone */
	found.bytes = sizeof(found.name);
	EQUAL(getsockname(accepted, (struct sockaddr *)&found.name, &found.bytes), 0);
	printf("server: %s\n", found.name.sun_path);
	FAILS(getpeername(server, (struct sockaddr *)&found.name, &found.bytes), ENOTCONN);
	close(fd);
}

static void name_in_use(void)
{
	int fd = bound(SOCK_STREAM, PATH);

	FAILS(bind_to(make_socket(SOCK_STREAM), PATH), EADDRINUSE);
	FAILS(bind_to(fd, "/tmp/another"), EINVAL);
	close(fd);
	FAILS(bind_to(make_socket(SOCK_STREAM), PATH), EADDRINUSE); /* a path stays until it is removed */
	EQUAL(unlink(PATH), 0);
	EQUAL(bind_to(make_socket(SOCK_STREAM), PATH), 0);
	FAILS(bind_to(make_socket(SOCK_STREAM), "/tmp/missing/socket"), ENOENT);
	printf("EADDRINUSE\n");
}

static void nobody_listens(void)
{
	int fd = make_socket(SOCK_STREAM);

	FAILS(connect_to(fd, PATH), ENOENT);
	bound(SOCK_STREAM, PATH);
	FAILS(connect_to(fd, PATH), ECONNREFUSED);
	FAILS(connect_to(fd, "@nobody"), ECONNREFUSED);
	listener(SOCK_STREAM, "/tmp/gone", 5);
	EQUAL(unlink("/tmp/gone"), 0);
	FAILS(connect_to(fd, "/tmp/gone"), ENOENT);
	printf("ENOENT or ECONNREFUSED\n");
}

static void wrong_type(void)
{
	bound(SOCK_DGRAM, PATH);
	FAILS(connect_to(make_socket(SOCK_STREAM), PATH), EPROTOTYPE);
	FAILS(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
	FAILS(accept(make_socket(SOCK_STREAM), NULL, NULL), EINVAL);
	FAILS(listen(make_socket(SOCK_DGRAM), 1), EOPNOTSUPP);
	FAILS(send(make_socket(SOCK_STREAM), "x", 1, MSG_NOSIGNAL), ENOTCONN);
	FAILS(recv(make_socket(SOCK_STREAM), ends, 1, 0), EINVAL);
	printf("refused\n");
}

static void full_backlog(void)
{
	int64_t start = now();
	int server = listener(SOCK_STREAM, PATH, 1), fd = make_socket(SOCK_STREAM | SOCK_NONBLOCK);
	pid_t pid;

	connected(SOCK_STREAM, PATH);
	connected(SOCK_STREAM, PATH); /* Linux takes one more than the backlog */
	FAILS(connect_to(fd, PATH), EAGAIN);
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 3 * SECOND);
		CHECK(accept(server, NULL, NULL) >= 0);
		_exit(0);
	}
	connected(SOCK_STREAM, PATH);
	print_after("room", start);
	EXITS(pid, 0);
}

static void end_of_stream(void)
{
	make_pair(SOCK_STREAM, ends);
	send_text(ends[0], "last");
	EQUAL(shutdown(ends[0], SHUT_WR), 0);
	FAILS(send(ends[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	receive_text(ends[1], "last");
	receive_text(ends[1], "");
	send_text(ends[1], "other way");
	receive_text(ends[0], "other way");
	EQUAL(shutdown(ends[0], SHUT_RD), 0);
	FAILS(send(ends[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	FAILS(shutdown(ends[0], 77), EINVAL);
	printf("one direction after the other\n");
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	signals = signals + (number == SIGPIPE);
}

static void peer_is_gone(void)
{
	make_pair(SOCK_STREAM, ends);
	close(ends[1]);
	receive_text(ends[0], "");
	signal(SIGPIPE, count_signal);
	FAILS(send(ends[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQUAL(signals, 0);
	FAILS(send(ends[0], "x", 1, 0), EPIPE);
	EQUAL(signals, 1);
	FAILS(write(ends[0], "x", 1), EPIPE);
	EQUAL(signals, 2);
	printf("end, then EPIPE and SIGPIPE\n");
}

static void peer_left_bytes_unread(void)
{
	char byte;

	make_pair(SOCK_STREAM, ends);
	send_text(ends[0], "unread");
	close(ends[1]);
	FAILS(recv(ends[0], &byte, 1, 0), ECONNRESET);
	printf("ECONNRESET\n");
}

static void without_blocking(void)
{
	static char block[4096];
	int server = listener(SOCK_STREAM | SOCK_NONBLOCK, PATH, 5), waiting;
	size_t total = 0;
	ssize_t sent;

	FAILS(accept(server, NULL, NULL), EAGAIN);
	make_pair(SOCK_STREAM | SOCK_NONBLOCK, ends);
	FAILS(recv(ends[0], block, 1, 0), EAGAIN);
	while ((sent = send(ends[0], block, sizeof(block), 0)) > 0)
		total += sent;
	EQUAL(errno, EAGAIN);
	CHECK(total >= 65536);
	EQUAL(ioctl(ends[1], FIONREAD, &waiting), 0);
	EQUAL(waiting, total);
	while ((sent = recv(ends[1], block, sizeof(block), 0)) > 0)
		total -= sent;
	EQUAL(total, 0);
	make_pair(SOCK_STREAM, ends);
	FAILS(recv(ends[0], block, 1, MSG_DONTWAIT), EAGAIN);
	printf("EAGAIN\n");
}

static void receive_times_out(void)
{
	int64_t start;
	char byte;

	make_pair(SOCK_STREAM, ends);
	time_limit(ends[0], SO_RCVTIMEO, 3 * SECOND / 2);
	start = now();
	FAILS(recv(ends[0], &byte, 1, 0), EAGAIN);
	print_expiry("gave up", start);
	start = now();
	FAILS(recv(ends[0], &byte, 1, MSG_DONTWAIT), EAGAIN);
	CHECK(now() - start < SECOND / 1000);
}

static void send_times_out(void)
{
	static char block[1 << 20];
	int64_t start;
	ssize_t sent;

	make_pair(SOCK_STREAM, ends);
	time_limit(ends[0], SO_SNDTIMEO, 5 * SECOND / 2);
	start = now();
	sent = send(ends[0], block, sizeof(block), 0); /* what there was room for */
	CHECK(sent > 0 && sent < (ssize_t)sizeof(block));
	print_expiry("gave up", start);
	start = now();
	FAILS(send(ends[0], block, sizeof(block), 0), EAGAIN);
	print_expiry("gave up", start);
}

static void accept_times_out(void)
{
	int server = listener(SOCK_STREAM, PATH, 5);
	int64_t start;

	time_limit(server, SO_RCVTIMEO, 4 * SECOND);
	start = now();
	FAILS(accept(server, NULL, NULL), EAGAIN);
	print_expiry("gave up", start);
}

static void peeked(void)
{
	char text[8] = "";

	make_pair(SOCK_STREAM, ends);
	send_text(ends[0], "abcdef");
	EQUAL(recv(ends[1], text, 3, MSG_PEEK), 3);
	SAME_TEXT(text, "abc");
	EQUAL(setsockopt(ends[1], SOL_SOCKET, SO_PEEK_OFF, &(int){2}, sizeof(int)), 0);
	EQUAL(recv(ends[1], text, 2, MSG_PEEK), 2);
	EQUAL(memcmp(text, "cd", 2), 0);
	receive_text(ends[1], "abcdef");
	printf("seen and not taken\n");
}

static void no_boundaries(void)
{
	char text[8] = "";

	make_pair(SOCK_STREAM, ends);
	send_text(ends[0], "one");
	send_text(ends[0], "two");
	EQUAL(recv(ends[1], text, 4, 0), 4);
	SAME_TEXT(text, "onet");
	receive_text(ends[1], "wo");
	printf("one stream\n");
}

static void waits_for_all(void)
{
	int64_t start = now();
	char text[16] = "";
	pid_t pid;

	make_pair(SOCK_STREAM, ends);
	pid = make_child();
	if (pid == 0) {
		for (int i = 1; i <= 3; i++) {
			sleep_until(start + i * SECOND);
			send_text(ends[0], "part ");
		}
		_exit(0);
	}
	EQUAL(recv(ends[1], text, 15, MSG_WAITALL), 15);
	print_after(text, start);
	EXITS(pid, 0);
}

static void a_megabyte(void)
{
	static unsigned char block[1 << 20];
	size_t total = 0;
	ssize_t got;
	pid_t pid;

	make_pair(SOCK_STREAM, ends);
	pid = make_child();
	if (pid == 0) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = i % 253;
		EQUAL(send(ends[0], block, sizeof(block), 0), sizeof(block));
		_exit(0);
	}
	close(ends[0]);
	while ((got = recv(ends[1], block, 9999, 0)) > 0)
		for (ssize_t i = 0; i < got; i++)
			EQUAL(block[i], total++ % 253);
	EXITS(pid, 0);
	printf("%zu bytes\n", total);
}

BEHAVIOURS(
	{"both-directions", both_directions},
	{"listens-and-accepts", listens_and_accepts},
	{"abstract-name", abstract_name},
	{"names-of-both-ends", names_of_both_ends},
	{"name-in-use", name_in_use},
	{"nobody-listens", nobody_listens},
	{"wrong-type", wrong_type},
	{"full-backlog", full_backlog},
	{"end-of-stream", end_of_stream},
	{"peer-is-gone", peer_is_gone},
	{"peer-left-bytes-unread", peer_left_bytes_unread},
	{"without-blocking", without_blocking},
	{"receive-times-out", receive_times_out},
	{"send-times-out", send_times_out},
	{"accept-times-out", accept_times_out},
	{"peeked", peeked},
	{"no-boundaries", no_boundaries},
	{"waits-for-all", waits_for_all},
	{"a-megabyte", a_megabyte},
)
