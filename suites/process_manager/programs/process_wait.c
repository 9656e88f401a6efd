// SPDX-License-Identifier: MIT
// Usage: process-wait BEHAVIOUR
// Waiting for children: which, how long, and what a wait status says (waitpid(2), waitid(2), wait4(2)).
#include "behaviour.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* A child that ends at a time with an exit code. */
static pid_t child_until(int64_t at, int code)
{
	pid_t pid = make_child();

	if (pid == 0) {
		sleep_until(at);
		_exit(code);
	}
	return pid;
}

static pid_t child_that_waits(void)
{
	pid_t pid = make_child();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

/* The state of a process in /proc/PID/stat: R, S, T, Z ... */
static char state_of(pid_t pid)
{
	char path[64], text[256] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return '-';
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strrchr(text, ')')[2];
}

static void until_the_end(void)
{
	int64_t start = now();
	pid_t pid = child_until(start + 5 * SECOND / 2, 3);

	EXITS(pid, 3);
	print_after("child ended", start);
}

static void any_child_in_order_of_their_ends(void)
{
	int64_t start = now();
	int status;

	for (int i = 3; i >= 1; i--)
		child_until(start + i * SECOND, i);
	for (int i = 1; i <= 3; i++) {
		CHECK(wait(&status) > 0);
		printf("child %d ended\n", WEXITSTATUS(status));
	}
	FAILS(wait(&status), ECHILD);
	print_after("all ended", start);
}

static void one_of_several(void)
{
	int64_t start = now();
	pid_t first = child_until(start + SECOND, 1), second = child_until(start + 2 * SECOND, 2);

	EXITS(second, 2);
	print_after("second ended", start);
	EQUAL(waitpid(first, NULL, WNOHANG), first);
	print_after("first had ended", start);
}

static void without_hanging(void)
{
	int64_t start = now();
	pid_t pid = child_until(start + SECOND, 0);
	int status = 77;

	EQUAL(waitpid(pid, &status, WNOHANG), 0);
	EQUAL(status, 77);
	sleep_until(start + 2 * SECOND);
	EQUAL(waitpid(pid, &status, WNOHANG), pid);
	FAILS(waitpid(pid, &status, WNOHANG), ECHILD);
	printf("not yet, ended, none left\n");
}

static void refused(void)
{
	siginfo_t info;

	FAILS(wait(NULL), ECHILD);
	FAILS(waitpid(getppid(), NULL, 0), ECHILD); /* no child of ours */
	FAILS(waitpid(-1, NULL, 0x1000), EINVAL);
	FAILS(waitid(P_ALL, 0, &info, 0), EINVAL); /* waits for nothing */
	printf("refused\n");
}

static void stopped_and_continued(void)
{
	pid_t pid = child_that_waits();
	int status;

	EQUAL(kill(pid, SIGSTOP), 0);
	EQUAL(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	EQUAL(WSTOPSIG(status), SIGSTOP);
	printf("stopped: state %c\n", state_of(pid));
	EQUAL(kill(pid, SIGTERM), 0); /* waits until it is continued */
	EQUAL(waitpid(pid, &status, WNOHANG), 0);
	EQUAL(kill(pid, SIGCONT), 0);
	EQUAL(waitpid(pid, &status, WCONTINUED), pid);
	if (WIFCONTINUED(status)) /* seen before it has ended */
		EQUAL(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	printf("continued: ended by signal %d\n", WTERMSIG(status));
}

static void zombie_until_waited_for(void)
{
	int64_t start = now();
	pid_t pid = child_until(start + SECOND, 9);

	sleep_until(start + 2 * SECOND);
	printf("before: state %c\n", state_of(pid));
	EQUAL(kill(pid, 0), 0); /* a zombie still takes signals */
	EXITS(pid, 9);
	printf("after: state %c\n", state_of(pid));
	FAILS(kill(pid, 0), ESRCH);
}

static void looked_at_and_left(void)
{
	pid_t pid = child_until(now(), 5);
	siginfo_t info = {0};

	for (int i = 0; i < 2; i++) {
		EQUAL(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
		EQUAL(info.si_code, CLD_EXITED);
		EQUAL(info.si_pid, pid);
		EQUAL(info.si_status, 5);
	}
	printf("state %c\n", state_of(pid));
	EXITS(pid, 5);
}

static void details(void)
{
	pid_t exits = child_until(now(), 255), dies = child_that_waits();
	siginfo_t info = {0};

	EQUAL(waitid(P_PID, exits, &info, WEXITED), 0);
	printf("signal %d code %d status %d\n", info.si_signo, info.si_code, info.si_status);
	EQUAL(kill(dies, SIGKILL), 0);
	EQUAL(waitid(P_PID, dies, &info, WEXITED), 0);
	printf("signal %d code %d status %d\n", info.si_signo, info.si_code, info.si_status);
	EQUAL(info.si_uid, getuid());
}

static void a_group(void)
{
	pid_t leader = child_that_waits(), member, other = child_that_waits();
	int status;

	EQUAL(setpgid(leader, leader), 0);
	member = child_that_waits();
	EQUAL(setpgid(member, leader), 0);
	EQUAL(killpg(leader, SIGTERM), 0);
	for (int i = 0; i < 2; i++) {
		pid_t found = waitpid(-leader, &status, 0);

		CHECK(found == leader || found == member);
		EQUAL(WTERMSIG(status), SIGTERM);
	}
	FAILS(waitpid(-leader, &status, 0), ECHILD);
	EQUAL(waitpid(other, &status, WNOHANG), 0);
	EQUAL(kill(other, SIGKILL), 0);
	DIES_OF(other, SIGKILL);
	printf("two of the group, not the third\n");
}

static void by_descriptor(void)
{
	int64_t start = now();
	pid_t pid = child_until(start + SECOND, 6);
	int fd = syscall(SYS_pidfd_open, pid, 0);
	siginfo_t info = {0};

	CHECK(fd >= 0);
	EQUAL(waitid(P_PIDFD, fd, &info, WEXITED), 0);
	EQUAL(info.si_pid, pid);
	printf("status %d\n", info.si_status);
	print_after("child ended", start);
	FAILS(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
}

static void ignored_children_leave_nothing(void)
{
	int64_t start = now();
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = child_until(start + SECOND, 0);
	FAILS(wait(NULL), ECHILD); /* but only when all have ended */
	print_after("none left", start);
	printf("state %c\n", state_of(pid));
}

static void usage_of_a_child(void)
{
	struct rusage usage;
	pid_t pid = make_child();
	int status;

	if (pid == 0) {
		volatile char *memory = malloc(8 << 20);

		for (size_t at = 0; at < 8 << 20; at += 4096)
			memory[at] = 1;
		_exit(0);
	}
	EQUAL(wait4(pid, &status, 0, &usage), pid);
	CHECK(usage.ru_maxrss >= 8 << 10);
	CHECK(usage.ru_minflt >= 2048);
	printf("more than 8 MiB, more than 2048 faults\n");
}

BEHAVIOURS(
	{"until-the-end", until_the_end},
	{"any-child-in-order-of-their-ends", any_child_in_order_of_their_ends},
	{"one-of-several", one_of_several},
	{"without-hanging", without_hanging},
	{"refused", refused},
	{"stopped-and-continued", stopped_and_continued},
	{"zombie-until-waited-for", zombie_until_waited_for},
	{"looked-at-and-left", looked_at_and_left},
	{"details", details},
	{"a-group", a_group},
	{"by-descriptor", by_descriptor},
	{"ignored-children-leave-nothing", ignored_children_leave_nothing},
	{"usage-of-a-child", usage_of_a_child},
)
