// SPDX-License-Identifier: MIT
// Usage: process-fork BEHAVIOUR
// What parent and child share after fork(2) and vfork(2), and who is whose parent.
#include "behaviour.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>

static int global = 1;

static void memory_is_copied(void)
{
	static int untouched[100000];
	int local = 2, *heap = malloc(sizeof(*heap));
	pid_t pid;

	*heap = 3;
	pid = make_child();
	if (pid == 0) {
		EQUAL(global + local + *heap, 6);
		global = 10, local = 20, *heap = 30, untouched[99999] = 40;
		printf("child: %d %d %d %d\n", global, local, *heap, untouched[99999]);
		_exit(0);
	}
	EXITS(pid, 0);
	printf("parent: %d %d %d %d\n", global, local, *heap, untouched[99999]);
	free(heap);
}

static void shared_memory_is_shared(void)
{
	int *shared = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	CHECK(shared != MAP_FAILED);
	pid = make_child();
	if (pid == 0) {
		*shared = 42;
		_exit(0);
	}
	EXITS(pid, 0);
	printf("parent: %d\n", *shared);
}

static void file_offset_is_shared(void)
{
	int fd = open("/tmp/offset", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char text[32] = "";
	pid_t pid;

	CHECK(fd >= 0);
	EQUAL(write(fd, "parent ", 7), 7);
	pid = make_child();
	if (pid == 0) {
		EQUAL(write(fd, "child ", 6), 6);
		close(fd);
		_exit(0);
	}
	EXITS(pid, 0);
	EQUAL(write(fd, "parent", 6), 6);
	EQUAL(pread(fd, text, sizeof(text), 0), 19);
	printf("%s\n", text);
}

static void identities(void)
{
	pid_t parent = getpid(), pid = make_child();

	if (pid == 0) {
		EQUAL(getppid(), parent);
		CHECK(getpid() != parent);
		EQUAL(getpgrp(), getpgid(parent));
		EQUAL(getsid(0), getsid(parent));
		_exit(0);
	}
	EXITS(pid, 0);
	EQUAL(getpgrp(), parent); /* a program of a test leads its own session */
	EQUAL(getsid(0), parent);
	FAILS(kill(pid, 0), ESRCH);
	printf("child of its parent, in its group and session\n");
}

static void alarms_and_pending_signals_stay(void)
{
	struct itimerval timer = {.it_value = timeval_of(5 * SECOND)}, found;
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	EQUAL(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	EQUAL(raise(SIGUSR1), 0);
	EQUAL(setitimer(ITIMER_REAL, &timer, NULL), 0);
	pid = make_child();
	if (pid == 0) {
		EQUAL(getitimer(ITIMER_REAL, &found), 0);
		EQUAL(found.it_value.tv_sec + found.it_value.tv_usec, 0);
		EQUAL(sigpending(&set), 0);
		EQUAL(sigismember(&set, SIGUSR1), 0);
		EQUAL(sigprocmask(SIG_BLOCK, NULL, &set), 0);
		EQUAL(sigismember(&set, SIGUSR1), 1);
		_exit(0);
	}
	EXITS(pid, 0);
	EQUAL(sigpending(&set), 0);
	EQUAL(sigismember(&set, SIGUSR1), 1);
	printf("mask inherited, alarm and pending signal not\n");
}

static void vfork_suspends_the_parent(void)
{
	int64_t start = now();
	volatile int shared = 1;
	pid_t pid = vfork();

	CHECK(pid >= 0);
	if (pid == 0) {
		sleep_until(start + 3 * SECOND);
		shared = 2;
		_exit(0);
	}
	print_after("parent goes on", start);
	printf("child wrote %d\n", shared);
	EXITS(pid, 0);
}

static void vfork_until_exec(void)
{
	int64_t start = now();
	pid_t pid = vfork();

	CHECK(pid >= 0);
	if (pid == 0) {
		execl("/bin/sleep", "sleep", "2", NULL);
		_exit(127);
	}
	print_after("parent goes on", start);
	EXITS(pid, 0);
	CHECK(now() - start >= 2 * SECOND);
	printf("child has slept\n");
}

static void orphan(int64_t start)
{
	sleep_until(start + SECOND);
	printf("adopted by %s\n", getppid() == 1 ? "1" : "another");
	_exit(0);
}

static void orphan_is_adopted(void)
{
	int64_t start = now();
	pid_t pid = make_child();

	if (pid == 0) {
		if (make_child() == 0)
			orphan(start);
		_exit(0);
	}
	EXITS(pid, 0);
	FAILS(waitpid(-1, NULL, 0), ECHILD);
	sleep_until(start + 2 * SECOND);
	printf("not by its grandparent\n");
}

static void subreaper_adopts(void)
{
	int64_t start = now();
	pid_t pid, own = getpid();
	int status;

	EQUAL(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid = make_child();
	if (pid == 0) {
		if (make_child() == 0) {
			sleep_until(start + SECOND);
			_exit(getppid() == own ? 7 : 8);
		}
		_exit(0);
	}
	EXITS(pid, 0);
	CHECK(waitpid(-1, &status, 0) > 0);
	printf("grandchild: %d\n", WEXITSTATUS(status));
}

static void sessions_and_groups(void)
{
	pid_t pid, own = getpid();

	FAILS(setsid(), EPERM); /* it leads a group already */
	pid = make_child();
	if (pid == 0) {
		EQUAL(setpgid(0, 0), 0);
		EQUAL(getpgrp(), getpid());
		EQUAL(setpgid(0, own), 0);
		EQUAL(setsid(), getpid());
		EQUAL(getsid(0), getpid());
		FAILS(setpgid(0, own), EPERM); /* a session's leader stays in its group */
		_exit(0);
	}
	EXITS(pid, 0);
	FAILS(setpgid(pid, 0), ESRCH);
	FAILS(getsid(pid), ESRCH);
	printf("sessions and groups\n");
}

static void say_prepare(void) { printf("prepare\n"); }
static void say_parent(void) { printf("parent\n"); }
static void say_child(void) { printf("child\n"); }

static void fork_handlers(void)
{
	pid_t pid;

	RETURNS(pthread_atfork(say_prepare, say_parent, say_child), 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	EXITS(pid, 0);
	/* Whether parent or child goes on first is the scheduler's; that both do is not. */
}

static void a_hundred_children(void)
{
	pid_t pids[100];
	int sum = 0;

	for (int i = 0; i < (int)COUNT(pids); i++) {
		pids[i] = make_child();
		if (pids[i] == 0)
			_exit(i);
	}
	for (int i = COUNT(pids) - 1; i >= 0; i--) {
		EXITS(pids[i], i);
		sum += i;
	}
	FAILS(wait(NULL), ECHILD);
	printf("sum of exit codes: %d\n", sum);
}

BEHAVIOURS(
	{"memory-is-copied", memory_is_copied},
	{"shared-memory-is-shared", shared_memory_is_shared},
	{"file-offset-is-shared", file_offset_is_shared},
	{"identities", identities},
	{"alarms-and-pending-signals-stay", alarms_and_pending_signals_stay},
	{"vfork-suspends-the-parent", vfork_suspends_the_parent},
	{"vfork-until-exec", vfork_until_exec},
	{"orphan-is-adopted", orphan_is_adopted},
	{"subreaper-adopts", subreaper_adopts},
	{"sessions-and-groups", sessions_and_groups},
	{"fork-handlers", fork_handlers},
	{"a-hundred-children", a_hundred_children},
)
