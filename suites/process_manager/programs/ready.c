// SPDX-License-Identifier: MIT
// Usage: ready BEHAVIOUR MECHANISM
// What makes a descriptor ready, and when, by each mechanism: select, pselect, poll, ppoll, epoll, epoll-pwait.
#include "behaviour.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>

enum { READ = 1, WRITE = 2, URGENT = 4, HANG_UP = 8, ERROR = 16, INVALID = 32, PEER_ENDED = 64 };
enum { MOST = 8 };
#define FOR_EVER INT64_C(-1)

/* What a wait is for, and what it found: one of these for each descriptor. */
typedef struct {
	int fd, wanted, found;
} Watch;

typedef int (*Mechanism)(Watch *watches, int count, int64_t ns, const sigset_t *mask);

static const struct {
	int ours;
	short poll;
	uint32_t epoll;
} kinds[] = {
	{READ, POLLIN, EPOLLIN},	 {WRITE, POLLOUT, EPOLLOUT}, {URGENT, POLLPRI, EPOLLPRI},
	{HANG_UP, POLLHUP, EPOLLHUP},	 {ERROR, POLLERR, EPOLLERR}, {INVALID, POLLNVAL, 0},
	{PEER_ENDED, POLLRDHUP, EPOLLRDHUP},
};

static int select_any(Watch *watches, int count, int64_t ns, const sigset_t *mask, int with_mask)
{
	struct timeval short_limit = timeval_of(ns);
	struct timespec limit = timespec_of(ns);
	fd_set sets[3];
	int highest = -1, ready;

	for (int set = 0; set < 3; set++) {
		FD_ZERO(&sets[set]);
		for (int i = 0; i < count; i++)
			if (watches[i].wanted & 1 << set)
				FD_SET(watches[i].fd, &sets[set]);
	}
	for (int i = 0; i < count; i++)
		highest = watches[i].fd > highest ? watches[i].fd : highest;
	if (with_mask)
		ready = pselect(highest + 1, &sets[0], &sets[1], &sets[2], ns < 0 ? NULL : &limit, mask);
	else
		ready = select(highest + 1, &sets[0], &sets[1], &sets[2], ns < 0 ? NULL : &short_limit);
	if (ready < 0)
		return ready;
	for (int i = 0; i < count; i++)
		for (int set = 0; set < 3; set++)
			watches[i].found |= (FD_ISSET(watches[i].fd, &sets[set]) ? 1 : 0) << set;
	return ready;
}

static int by_select(Watch *watches, int count, int64_t ns, const sigset_t *mask)
{
	return select_any(watches, count, ns, mask, 0);
}

static int by_pselect(Watch *watches, int count, int64_t ns, const sigset_t *mask)
{
	return select_any(watches, count, ns, mask, 1);
}

static int poll_any(Watch *watches, int count, int64_t ns, const sigset_t *mask, int with_mask)
{
	struct timespec limit = timespec_of(ns);
	struct pollfd list[MOST];
	int ready;

	for (int i = 0; i < count; i++) {
		list[i] = (struct pollfd){.fd = watches[i].fd};
		for (size_t kind = 0; kind < COUNT(kinds); kind++)
			list[i].events |= watches[i].wanted & kinds[kind].ours ? kinds[kind].poll : 0;
	}
	if (with_mask)
		ready = ppoll(list, count, ns < 0 ? NULL : &limit, mask);
	else
		ready = poll(list, count, ns < 0 ? -1 : ns / MILLISECOND);
	for (int i = 0; i < count && ready >= 0; i++)
		for (size_t kind = 0; kind < COUNT(kinds); kind++)
			watches[i].found |= list[i].revents & kinds[kind].poll ? kinds[kind].ours : 0;
	return ready;
}

static int by_poll(Watch *watches, int count, int64_t ns, const sigset_t *mask)
{
	return poll_any(watches, count, ns, mask, 0);
}

static int by_ppoll(Watch *watches, int count, int64_t ns, const sigset_t *mask)
{
	return poll_any(watches, count, ns, mask, 1);
}

static int by_epoll(Watch *watches, int count, int64_t ns, const sigset_t *mask)
{
	int set = epoll_create1(EPOLL_CLOEXEC), ready;
	struct epoll_event events[MOST];

	CHECK(set >= 0);
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.data.u32 = i};

		for (size_t kind = 0; kind < COUNT(kinds); kind++)
			event.events |= watches[i].wanted & kinds[kind].ours ? kinds[kind].epoll : 0;
		if (epoll_ctl(set, EPOLL_CTL_ADD, watches[i].fd, &event) != 0)
			return -1;
	}
	ready = epoll_pwait(set, events, MOST, ns < 0 ? -1 : ns / MILLISECOND, mask);
	for (int i = 0; i < ready; i++)
		for (size_t kind = 0; kind < COUNT(kinds); kind++)
			watches[events[i].data.u32].found |= events[i].events & kinds[kind].epoll ? kinds[kind].ours : 0;
	if (ready >= 0)
		EQUAL(close(set), 0);
	return ready;
}

/* Wait by the mechanism that the program was called with. */
static int wait_ready(Watch *watches, int count, int64_t ns, const sigset_t *mask)
{
	static const struct {
		const char *name;
		Mechanism wait;
	} mechanisms[] = {
		{"select", by_select}, {"pselect", by_pselect}, {"poll", by_poll},
		{"ppoll", by_ppoll},   {"epoll", by_epoll},	{"epoll-pwait", by_epoll},
	};

	CHECK(arguments[0]);
	for (int i = 0; i < count; i++)
		watches[i].found = 0;
	for (size_t i = 0; i < COUNT(mechanisms); i++)
		if (strcmp(mechanisms[i].name, arguments[0]) == 0)
			return mechanisms[i].wait(watches, count, ns, mask);
	fail(__FILE__, __LINE__, "no mechanism '%s'", arguments[0]);
}

static void print_found(const char *what, int found)
{
	static const char *names[] = {"read", "write", "urgent", "hang-up", "error", "invalid", "peer-ended"};

	printf("%s:", what);
	for (size_t i = 0; i < COUNT(names); i++)
		if (found & 1 << i)
			printf(" %s", names[i]);
	printf("\n");
}

/* Ask what a descriptor is ready for now, and print it. */
static void ask(const char *what, int fd, int wanted)
{
	Watch watch = {.fd = fd, .wanted = wanted};
	int ready = wait_ready(&watch, 1, 0, NULL);

	if (ready < 0)
		printf("%s: %s\n", what, error_name(errno));
	else
		print_found(what, watch.found);
}

static void times_out(void)
{
	Watch watch = {.wanted = READ};
	int64_t start;
	int ends[2];

	EQUAL(pipe(ends), 0);
	watch.fd = ends[0];
	for (int64_t ns = 0; ns <= 1000 * SECOND; ns = ns ? ns * 1000 : 1000 * MILLISECOND) {
		start = now();
		EQUAL(wait_ready(&watch, 1, ns, NULL), 0);
		EQUAL(watch.found, 0);
		print_after("gave up", start);
	}
}

static void becomes_ready(void)
{
	Watch watch = {.wanted = READ};
	int64_t start;
	int ends[2];
	pid_t pid;

	EQUAL(pipe(ends), 0);
	start = now();
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 3 * SECOND / 2);
		EQUAL(write(ends[1], "x", 1), 1);
		_exit(0);
	}
	watch.fd = ends[0];
	EQUAL(wait_ready(&watch, 1, FOR_EVER, NULL), 1);
	EQUAL(watch.found, READ);
	print_after("ready", start);
	EQUAL(wait_ready(&watch, 1, 100 * SECOND, NULL), 1); /* and stays so until it is read */
	print_after("still ready", start);
	EXITS(pid, 0);
}

static void pipe_ends(void)
{
	static char block[65536];
	int ends[2];

	EQUAL(pipe(ends), 0);
	ask("empty", ends[0], READ | WRITE);
	ask("room", ends[1], READ | WRITE);
	EQUAL(write(ends[1], block, sizeof(block)), sizeof(block));
	ask("full", ends[1], WRITE);
	ask("bytes", ends[0], READ);
	close(ends[1]);
	ask("bytes and no writer", ends[0], READ);
	EQUAL(read(ends[0], block, sizeof(block)), sizeof(block));
	ask("no writer", ends[0], READ);
	EQUAL(pipe(ends), 0);
	close(ends[0]);
	ask("no reader", ends[1], WRITE);
}

static int client, accepted, server;

static struct sockaddr_in address = {.sin_family = AF_INET};

static void make_server(void)
{
	server = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_port = htons(5000);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	EQUAL(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
	EQUAL(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
	EQUAL(listen(server, 5), 0);
}

static void make_connection(void)
{
	make_server();
	client = socket(AF_INET, SOCK_STREAM, 0);
	EQUAL(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	accepted = accept(server, NULL, NULL);
	CHECK(accepted >= 0);
}

static void connection(void)
{
	make_server();
	ask("nobody", server, READ);
	client = socket(AF_INET, SOCK_STREAM, 0);
	EQUAL(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	ask("somebody", server, READ);
	accepted = accept(server, NULL, NULL);
	CHECK(accepted >= 0);
	ask("idle", client, READ | WRITE | URGENT);
	EQUAL(send(accepted, "x", 1, 0), 1);
	ask("byte", client, READ | WRITE | URGENT);
	EQUAL(send(accepted, "!", 1, MSG_OOB), 1);
	ask("urgent byte", client, READ | URGENT);
}

static void connection_ends(void)
{
	make_connection();
	EQUAL(shutdown(accepted, SHUT_WR), 0);
	ask("peer has ended", client, READ | PEER_ENDED);
	EQUAL(shutdown(client, SHUT_WR), 0);
	ask("both have ended", client, READ | PEER_ENDED);
}

static void connection_reset(void)
{
	struct linger none = {.l_onoff = 1};

	make_connection();
	EQUAL(setsockopt(accepted, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	close(accepted);
	ask("reset", client, READ | WRITE);
	EQUAL(recv(client, &none, 1, 0), -1);
	EQUAL(errno, ECONNRESET);
	ask("told", client, READ | WRITE);
}

static void connection_refused(void)
{
	address.sin_port = htons(5001);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client = socket(AF_INET, SOCK_STREAM, 0);
	ask("not connected", client, READ | WRITE);
	client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	FAILS(connect(client, (struct sockaddr *)&address, sizeof(address)), EINPROGRESS);
	ask("refused", client, READ | WRITE);
}

static void datagrams(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), peer = socket(AF_INET, SOCK_DGRAM, 0);
	char byte;

	address.sin_port = htons(5000);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ask("fresh", fd, READ | WRITE);
	EQUAL(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	EQUAL(send(fd, "nobody", 6, 0), 6);
	ask("unreachable", fd, READ | WRITE);
	FAILS(recv(fd, &byte, 1, 0), ECONNREFUSED);
	EQUAL(bind(peer, (struct sockaddr *)&address, sizeof(address)), 0);
	EQUAL(send(fd, "", 0, 0), 0);
	ask("empty datagram", peer, READ);
	EQUAL(recv(peer, &byte, 1, 0), 0);
	ask("taken", peer, READ);
}

static void other_descriptors(void)
{
	struct itimerspec soon = {.it_value = timespec_of(SECOND)};
	int timer = timerfd_create(CLOCK_MONOTONIC, 0), counter = eventfd(0, 0), signals;
	int64_t start = now();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	EQUAL(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	signals = signalfd(-1, &set, 0);
	EQUAL(timerfd_settime(timer, 0, &soon, NULL), 0);
	ask("timer", timer, READ);
	ask("counter", counter, READ | WRITE);
	ask("signals", signals, READ);
	sleep_until(start + 2 * SECOND);
	EQUAL(eventfd_write(counter, UINT64_MAX - 1), 0);
	raise(SIGUSR1);
	ask("timer", timer, READ);
	ask("counter", counter, READ | WRITE);
	ask("signals", signals, READ);
}

static void always_ready(void)
{
	int fd = open("/tmp/file", O_RDWR | O_CREAT, 0600);

	ask("file", fd, READ | WRITE);
	ask("/dev/null", open("/dev/null", O_RDWR), READ | WRITE);
}

static void not_open(void)
{
	ask("closed", 33, READ);
}

static void several(void)
{
	Watch watches[3];
	int pipes[3][2];

	for (int i = 0; i < 3; i++) {
		EQUAL(pipe(pipes[i]), 0);
		watches[i] = (Watch){.fd = pipes[i][0], .wanted = READ};
	}
	EQUAL(write(pipes[0][1], "x", 1), 1);
	EQUAL(write(pipes[2][1], "x", 1), 1);
	printf("%d ready\n", wait_ready(watches, 3, FOR_EVER, NULL));
	for (int i = 0; i < 3; i++)
		print_found("pipe", watches[i].found);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
	alarms = alarms + (number == SIGALRM);
}

static void interrupted(void)
{
	struct sigaction action = {.sa_handler = count_alarm, .sa_flags = SA_RESTART}; /* which never restarts these */
	struct itimerval timer = {.it_value = timeval_of(3 * SECOND / 2)};
	Watch watch = {.wanted = READ};
	int64_t start;
	int ends[2];

	EQUAL(pipe(ends), 0);
	watch.fd = ends[0];
	EQUAL(sigaction(SIGALRM, &action, NULL), 0);
	start = now();
	EQUAL(setitimer(ITIMER_REAL, &timer, NULL), 0);
	FAILS(wait_ready(&watch, 1, 100 * SECOND, NULL), EINTR);
	EQUAL(alarms, 1);
	print_after("interrupted", start);
}

/* The mask holds for the wait alone: what is blocked outside of it is taken inside. */
static void masked(void)
{
	struct sigaction action = {.sa_handler = count_alarm};
	sigset_t blocked, none;
	Watch watch = {.wanted = READ};
	int64_t start = now();
	int ends[2];

	EQUAL(pipe(ends), 0);
	watch.fd = ends[0];
	EQUAL(sigaction(SIGALRM, &action, NULL), 0);
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	EQUAL(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
	raise(SIGALRM);
	EQUAL(wait_ready(&watch, 1, SECOND, &blocked), 0);
	EQUAL(alarms, 0);
	print_after("not interrupted", start);
	FAILS(wait_ready(&watch, 1, SECOND, &none), EINTR);
	EQUAL(alarms, 1);
	raise(SIGALRM);
	EQUAL(alarms, 1);
	print_after("interrupted", start);
}

BEHAVIOURS(
	{"times-out", times_out},
	{"becomes-ready", becomes_ready},
	{"pipe-ends", pipe_ends},
	{"connection", connection},
	{"connection-ends", connection_ends},
	{"connection-reset", connection_reset},
	{"connection-refused", connection_refused},
	{"datagrams", datagrams},
	{"other-descriptors", other_descriptors},
	{"always-ready", always_ready},
	{"not-open", not_open},
	{"several", several},
	{"interrupted", interrupted},
	{"masked", masked},
)
