// SPDX-License-Identifier: MIT
// Usage: tcp-socket BEHAVIOUR
// The socket interface of TCP, with both ends in one node: time-outs, non-blocking use, ends and errors (tcp(7)).
#include "behaviour.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>

enum { PORT = 5000 };

static int server, client, accepted;

static struct sockaddr_in address_of(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int make_socket(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	CHECK(fd >= 0);
	return fd;
}

static int bind_to(int fd, int port)
{
	struct sockaddr_in address = address_of(port);

	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int connect_to(int fd, int port)
{
	struct sockaddr_in address = address_of(port);

	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static void make_server(int backlog)
{
	server = make_socket(0);
	EQUAL(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
	EQUAL(bind_to(server, PORT), 0);
	EQUAL(listen(server, backlog), 0);
}

static void make_connection(void)
{
	make_server(5);
	client = make_socket(0);
	EQUAL(connect_to(client, PORT), 0);
	accepted = accept(server, NULL, NULL);
	CHECK(accepted >= 0);
}

static void time_limit(int fd, int option, int64_t ns)
{
	struct timeval limit = timeval_of(ns);

	EQUAL(setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit)), 0);
}

static void send_text(int fd, const char *text)
{
	EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void receive_text(int fd, const char *wanted)
{
	char text[256] = "";

	EQUAL(recv(fd, text, sizeof(text) - 1, 0), strlen(wanted));
	SAME_TEXT(text, wanted);
}

static void both_directions(void)
{
	make_connection();
	send_text(client, "there");
	receive_text(accepted, "there");
	send_text(accepted, "back");
	receive_text(client, "back");
	printf("there and back\n");
}

static void names_of_both_ends(void)
{
	struct sockaddr_in own, peer;
	socklen_t bytes = sizeof(own);

	make_connection();
	EQUAL(getsockname(client, (struct sockaddr *)&own, &bytes), 0);
	EQUAL(getpeername(accepted, (struct sockaddr *)&peer, &bytes), 0);
	EQUAL(memcmp(&own, &peer, sizeof(own)), 0);
	EQUAL(getpeername(client, (struct sockaddr *)&peer, &bytes), 0);
	printf("to %s port %d\n", inet_ntoa(peer.sin_addr), ntohs(peer.sin_port));
	CHECK(ntohs(own.sin_port) >= 32768); /* net.ipv4.ip_local_port_range */
	FAILS(getpeername(server, (struct sockaddr *)&peer, &bytes), ENOTCONN);
}

static void nobody_listens(void)
{
	int64_t start = now();

	client = make_socket(0);
	FAILS(connect_to(client, PORT), ECONNREFUSED);
	FAILS(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
	FAILS(recv(make_socket(0), &start, 1, 0), ENOTCONN);
	FAILS(accept(make_socket(0), NULL, NULL), EINVAL);
	print_after("refused", start);
}

static void port_in_use(void)
{
	int other = make_socket(0);

	make_server(5);
	FAILS(bind_to(other, PORT), EADDRINUSE);
	EQUAL(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
	FAILS(bind_to(other, PORT), EADDRINUSE); /* not while one listens */
	close(server);
	EQUAL(bind_to(other, PORT), 0);
	FAILS(bind_to(other, PORT + 1), EINVAL);
	FAILS(connect_to(other, PORT + 1), ECONNREFUSED);
	struct sockaddr_in foreign = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("192.0.2.1")};
	FAILS(bind(make_socket(0), (struct sockaddr *)&foreign, sizeof(foreign)), EADDRNOTAVAIL);
	printf("EADDRINUSE\n");
}

static void accept_times_out(void)
{
	int64_t start;

	make_server(5);
	time_limit(server, SO_RCVTIMEO, 5 * SECOND / 2);
	start = now();
	FAILS(accept(server, NULL, NULL), EAGAIN);
	print_expiry("gave up", start);
}

static void receive_times_out(void)
{
	int64_t start;
	char byte;

	make_connection();
	time_limit(client, SO_RCVTIMEO, 3 * SECOND / 2);
	start = now();
	FAILS(recv(client, &byte, 1, 0), EAGAIN);
	print_expiry("gave up", start);
	send_text(accepted, "still open");
	receive_text(client, "still open");
}

static void send_times_out(void)
{
	static char block[16 << 20];
	int64_t start;
	ssize_t sent;

	make_connection();
	time_limit(client, SO_SNDTIMEO, 3 * SECOND);
	do { /* at first there is room for a part of it */
		start = now();
		sent = send(client, block, sizeof(block), 0);
		CHECK(sent < (ssize_t)sizeof(block));
	} while (sent > 0);
	EQUAL(errno, EAGAIN);
	print_expiry("gave up", start);
}

static void without_blocking(void)
{
	static char block[65536];
	size_t total = 0;
	ssize_t sent;
	char byte;

	make_connection();
	EQUAL(fcntl(server, F_SETFL, O_NONBLOCK), 0);
	FAILS(accept(server, NULL, NULL), EAGAIN);
	EQUAL(fcntl(client, F_SETFL, O_NONBLOCK), 0);
	FAILS(recv(client, &byte, 1, 0), EAGAIN);
	FAILS(recv(accepted, &byte, 1, MSG_DONTWAIT), EAGAIN);
	while ((sent = send(client, block, sizeof(block), 0)) > 0)
		total += sent;
	EQUAL(errno, EAGAIN);
	CHECK(total > sizeof(block));
	printf("EAGAIN\n");
}

static int error_of(int fd)
{
	int error;

	EQUAL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)}), 0);
	return error;
}

static void connect_without_blocking(void)
{
	struct timeval limit = timeval_of(10 * SECOND);
	fd_set writable;

	make_server(5);
	client = make_socket(SOCK_NONBLOCK);
	FAILS(connect_to(client, PORT), EINPROGRESS);
	FD_ZERO(&writable);
	FD_SET(client, &writable);
	EQUAL(select(client + 1, NULL, &writable, NULL, &limit), 1);
	EQUAL(error_of(client), 0);
	EQUAL(connect_to(client, PORT), 0);
	FAILS(connect_to(client, PORT), EISCONN);
	client = make_socket(SOCK_NONBLOCK);
	FAILS(connect_to(client, PORT + 1), EINPROGRESS);
	FD_ZERO(&writable);
	FD_SET(client, &writable);
	EQUAL(select(client + 1, NULL, &writable, NULL, &limit), 1);
	EQUAL(error_of(client), ECONNREFUSED);
	EQUAL(error_of(client), 0); /* it is told once */
	printf("EINPROGRESS, then 0 or ECONNREFUSED\n");
}

static void select_waits_for_bytes(void)
{
	int64_t start;
	fd_set readable;
	pid_t pid;

	make_connection();
	start = now();
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 7 * SECOND / 2);
		send_text(accepted, "late");
		_exit(0);
	}
	FD_ZERO(&readable);
	FD_SET(client, &readable);
	FD_SET(server, &readable);
	EQUAL(select(client + accepted + 1, &readable, NULL, NULL, NULL), 1);
	CHECK(FD_ISSET(client, &readable) && !FD_ISSET(server, &readable));
	print_after("readable", start);
	EXITS(pid, 0);
}

static void one_direction_ends(void)
{
	make_connection();
	send_text(client, "request");
	EQUAL(shutdown(client, SHUT_WR), 0);
	FAILS(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
	receive_text(accepted, "request");
	receive_text(accepted, "");
	send_text(accepted, "answer");
	receive_text(client, "answer");
	close(accepted);
	receive_text(client, "");
	printf("request, end, answer, end\n");
}

static void reading_is_shut_down(void)
{
	make_connection();
	EQUAL(shutdown(client, SHUT_RD), 0);
	receive_text(client, "");
	send_text(accepted, "ignored by none"); /* Linux still takes what arrives */
	receive_text(client, "ignored by none");
	receive_text(client, "");
	FAILS(shutdown(make_socket(0), SHUT_RD), ENOTCONN);
	printf("end at once\n");
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	signals = signals + (number == SIGPIPE);
}

static void peer_is_gone(void)
{
	make_connection();
	signal(SIGPIPE, count_signal);
	close(accepted);
	receive_text(client, "");
	send_text(client, "answered by a reset");
	FAILS(send(client, "x", 1, 0), EPIPE);
	FAILS(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
	EQUAL(signals, 1);
	printf("end, then EPIPE and SIGPIPE\n");
}

static void reset_on_close(void)
{
	struct linger none = {.l_onoff = 1};

	make_connection();
	send_text(accepted, "sent before");
	EQUAL(setsockopt(accepted, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	close(accepted);
	receive_text(client, "sent before");
	FAILS(recv(client, &none, 1, 0), ECONNRESET);
	receive_text(client, ""); /* an error is told once */
	printf("ECONNRESET, then the end\n");
}

static void unread_bytes_reset(void)
{
	make_connection();
	send_text(client, "never read");
	close(accepted);
	FAILS(recv(client, &accepted, 1, 0), ECONNRESET);
	printf("ECONNRESET\n");
}

static void peeked_and_all(void)
{
	int64_t start;
	char text[16] = "";
	int waiting;
	pid_t pid;

	make_connection();
	start = now();
	pid = make_child();
	if (pid == 0) {
		for (int i = 1; i <= 3; i++) {
			sleep_until(start + i * SECOND);
			send_text(accepted, "part ");
		}
		_exit(0);
	}
	EQUAL(recv(client, text, 15, MSG_PEEK), 5);
	EQUAL(ioctl(client, FIONREAD, &waiting), 0);
	EQUAL(waiting, 5);
	EQUAL(recv(client, text, 15, MSG_WAITALL), 15);
	print_after(text, start);
	EXITS(pid, 0);
}

static void urgent_byte(void)
{
	char byte = 0;

	make_connection();
	send_text(client, "before");
	EQUAL(send(client, "!", 1, MSG_OOB), 1);
	send_text(client, "after");
	EQUAL(recv(accepted, &byte, 1, MSG_OOB), 1);
	EQUAL(byte, '!');
	FAILS(recv(accepted, &byte, 1, MSG_OOB), EINVAL); /* it is taken once */
	receive_text(accepted, "before");		  /* a read stops at its place */
	EQUAL(sockatmark(accepted), 1);
	receive_text(accepted, "after");
	printf("beside the stream\n");
}

static void options(void)
{
	int value;
	socklen_t bytes = sizeof(value);
	struct tcp_info info;

	make_connection();
	EQUAL(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
	EQUAL(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &value, &bytes), 0);
	EQUAL(value, 1);
	EQUAL(getsockopt(client, IPPROTO_TCP, TCP_MAXSEG, &value, &bytes), 0);
	CHECK(value > 1460); /* loopback has no Ethernet's frames */
	bytes = sizeof(info);
	EQUAL(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &bytes), 0);
	EQUAL(info.tcpi_state, TCP_ESTABLISHED);
	FAILS(setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &(int){0}, sizeof(int)), EINVAL);
	FAILS(setsockopt(client, IPPROTO_TCP, 9999, &value, sizeof(value)), ENOPROTOOPT);
	printf("options\n");
}

static void full_backlog(void)
{
	int64_t start;

	make_server(0);
	EQUAL(connect_to(make_socket(0), PORT), 0);
	client = make_socket(0);
	EQUAL(setsockopt(client, IPPROTO_TCP, TCP_SYNCNT, &(int){1}, sizeof(int)), 0);
	start = now();
	FAILS(connect_to(client, PORT), ETIMEDOUT);
	printf("gave up after %" PRId64 " s\n", (now() - start) / SECOND); /* 1 s, then 2 s without an answer */
}

BEHAVIOURS(
	{"both-directions", both_directions},
	{"names-of-both-ends", names_of_both_ends},
	{"nobody-listens", nobody_listens},
	{"port-in-use", port_in_use},
	{"accept-times-out", accept_times_out},
	{"receive-times-out", receive_times_out},
	{"send-times-out", send_times_out},
	{"without-blocking", without_blocking},
	{"connect-without-blocking", connect_without_blocking},
	{"select-waits-for-bytes", select_waits_for_bytes},
	{"one-direction-ends", one_direction_ends},
	{"reading-is-shut-down", reading_is_shut_down},
	{"peer-is-gone", peer_is_gone},
	{"reset-on-close", reset_on_close},
	{"unread-bytes-reset", unread_bytes_reset},
	{"peeked-and-all", peeked_and_all},
	{"urgent-byte", urgent_byte},
	{"options", options},
	{"full-backlog", full_backlog},
)
