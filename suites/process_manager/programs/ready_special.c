// SPDX-License-Identifier: MIT
// Usage: ready-special BEHAVIOUR
// What only one of select(2), poll(2) and epoll(7) has.
#include "behaviour.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

static int ends[2], set;

static void make_pipe(void)
{
	EQUAL(pipe(ends), 0);
}

/* Write to the pipe later; the child that will do it. */
static pid_t write_at(int64_t at)
{
	pid_t pid = make_child();

	if (pid == 0) {
		sleep_until(at);
		EQUAL(write(ends[1], "x", 1), 1);
		_exit(0);
	}
	return pid;
}

static void select_tells_the_rest(void)
{
	struct timeval limit = timeval_of(10 * SECOND);
	fd_set readable;
	int64_t start;
	pid_t pid;

	make_pipe();
	start = now();
	pid = write_at(start + 4 * SECOND);
	FD_ZERO(&readable);
	FD_SET(ends[0], &readable);
	EQUAL(select(ends[0] + 1, &readable, NULL, NULL, &limit), 1);
	printf("%.3f s are left\n", limit.tv_sec + limit.tv_usec / 1e6);
	EXITS(pid, 0);
}

static void select_as_a_sleep(void)
{
	struct timeval limit = timeval_of(SECOND), negative = {.tv_sec = -1};
	int64_t start = now();

	EQUAL(select(0, NULL, NULL, NULL, &limit), 0);
	print_after("awake", start);
	FAILS(select(-1, NULL, NULL, NULL, &limit), EINVAL);
	FAILS(select(0, NULL, NULL, NULL, &negative), EINVAL);
}

static void poll_leaves_negative_ones_out(void)
{
	struct pollfd list[2] = {{.fd = -1, .events = POLLIN, .revents = 77}, {.fd = 33, .events = 0}};
	static struct pollfd many[2000];

	EQUAL(poll(list, 2, 0), 1);
	EQUAL(list[0].revents, 0);
	EQUAL(list[1].revents, POLLNVAL);
	FAILS(poll(many, COUNT(many), 0), EINVAL); /* more than RLIMIT_NOFILE */
	FAILS(ppoll(list, 1, &(struct timespec){.tv_nsec = -1}, NULL), EINVAL);
	printf("left out\n");
}

static void add(int fd, uint32_t events)
{
	EQUAL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = events, .data.fd = fd}), 0);
}

static int ready_now(void)
{
	struct epoll_event events[8];

	return epoll_wait(set, events, 8, 0);
}

static void epoll_once_per_edge(void)
{
	char bytes[8];

	make_pipe();
	set = epoll_create1(0);
	add(ends[0], EPOLLIN | EPOLLET);
	EQUAL(ready_now(), 0);
	EQUAL(write(ends[1], "ab", 2), 2);
	EQUAL(ready_now(), 1);
	EQUAL(read(ends[0], bytes, 1), 1);
	EQUAL(ready_now(), 0); /* one byte is left, but nothing is new */
	EQUAL(write(ends[1], "c", 1), 1);
	EQUAL(ready_now(), 1);
	EQUAL(ready_now(), 0);
	printf("edges only\n");
}

static void epoll_once(void)
{
	make_pipe();
	set = epoll_create1(0);
	add(ends[0], EPOLLIN | EPOLLONESHOT);
	EQUAL(write(ends[1], "x", 1), 1);
	EQUAL(ready_now(), 1);
	EQUAL(ready_now(), 0);
	EQUAL(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &(struct epoll_event){.events = EPOLLIN | EPOLLONESHOT}), 0);
	EQUAL(ready_now(), 1);
	EQUAL(ready_now(), 0);
	printf("once each time\n");
}

static void epoll_list(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int copy;

	make_pipe();
	set = epoll_create1(0);
	FAILS(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &event), ENOENT);
	FAILS(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], &event), ENOENT);
	add(ends[0], EPOLLIN);
	FAILS(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), EEXIST);
	FAILS(epoll_ctl(set, EPOLL_CTL_ADD, set, &event), EINVAL);
	FAILS(epoll_ctl(ends[0], EPOLL_CTL_ADD, ends[1], &event), EINVAL);
	FAILS(epoll_wait(set, &event, 0, 0), EINVAL);
	EQUAL(write(ends[1], "x", 1), 1);
	EQUAL(ready_now(), 1);
	copy = dup(ends[0]);
	close(ends[0]);
	EQUAL(ready_now(), 1); /* the open file is in the list, not its number */
	close(copy);
	EQUAL(ready_now(), 0);
	printf("listed by file\n");
}

static void epoll_nested(void)
{
	int outer = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	int64_t start = now();
	pid_t pid;

	make_pipe();
	set = epoll_create1(0);
	add(ends[0], EPOLLIN);
	EQUAL(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event), 0);
	FAILS(epoll_ctl(set, EPOLL_CTL_ADD, outer, &event), ELOOP);
	pid = write_at(start + 2 * SECOND);
	EQUAL(epoll_wait(outer, &event, 1, -1), 1);
	print_after("ready", start);
	EXITS(pid, 0);
}

static void epoll_to_the_nanosecond(void)
{
	struct timespec limit = timespec_of(5 * SECOND / 4 + 1);
	struct epoll_event event;
	int64_t start;

	set = epoll_create1(0);
	start = now();
	EQUAL(epoll_pwait2(set, &event, 1, &limit, NULL), 0);
	print_after("gave up", start);
}

BEHAVIOURS(
	{"select-tells-the-rest", select_tells_the_rest},
	{"select-as-a-sleep", select_as_a_sleep},
	{"poll-leaves-negative-ones-out", poll_leaves_negative_ones_out},
	{"epoll-once-per-edge", epoll_once_per_edge},
	{"epoll-once", epoll_once},
	{"epoll-list", epoll_list},
	{"epoll-nested", epoll_nested},
	{"epoll-to-the-nanosecond", epoll_to_the_nanosecond},
)
