// SPDX-License-Identifier: MIT
// Usage: signal-queue BEHAVIOUR
// Signals that wait: blocked, pending, queued with their values, waited for, and sent to groups and threads
// (sigprocmask(2), sigpending(2), sigwaitinfo(2), sigqueue(3), kill(2)).
#include "behaviour.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

static volatile sig_atomic_t order[16], count;

static void note(int number)
{
	order[count % 16] = number;
	count = count + 1;
}

static sigset_t block(int first, int last)
{
	sigset_t set;

	sigemptyset(&set);
	for (int number = first; number <= last; number++)
		sigaddset(&set, number);
	RETURNS(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	return set;
}

static void queue(int number, int value)
{
	EQUAL(sigqueue(getpid(), number, (union sigval){.sival_int = value}), 0);
}

static void pending_until_unblocked(void)
{
	sigset_t set = block(SIGUSR1, SIGUSR1), pending;

	signal(SIGUSR1, note);
	for (int i = 0; i < 3; i++)
		raise(SIGUSR1);
	EQUAL(count, 0);
	EQUAL(sigpending(&pending), 0);
	EQUAL(sigismember(&pending, SIGUSR1), 1);
	EQUAL(sigismember(&pending, SIGUSR2), 0);
	EQUAL(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	EQUAL(sigpending(&pending), 0);
	EQUAL(sigismember(&pending, SIGUSR1), 0);
	printf("three times sent, %d time handled\n", count);
}

static void ignored_ones_are_dropped(void)
{
	sigset_t set = block(SIGUSR1, SIGUSR1), pending;

	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	EQUAL(sigpending(&pending), 0);
	EQUAL(sigismember(&pending, SIGUSR1), 0);
	signal(SIGUSR1, SIG_DFL);
	EQUAL(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	printf("still here\n");
}

static void never_blocked(void)
{
	sigset_t set, found;
	pid_t pid;

	sigfillset(&set);
	EQUAL(sigprocmask(SIG_SETMASK, &set, NULL), 0);
	EQUAL(sigprocmask(SIG_SETMASK, NULL, &found), 0);
	EQUAL(sigismember(&found, SIGTERM), 1);
	EQUAL(sigismember(&found, SIGKILL), 0);
	EQUAL(sigismember(&found, SIGSTOP), 0);
	FAILS(sigprocmask(77, &set, NULL), EINVAL);
	pid = make_child();
	if (pid == 0) {
		raise(SIGKILL);
		_exit(0);
	}
	DIES_OF(pid, SIGKILL);
	printf("not SIGKILL and SIGSTOP\n");
}

static void suspended_with_a_mask(void)
{
	sigset_t set = block(SIGUSR1, SIGUSR2), none;
	int64_t start = now();
	pid_t parent = getpid(), pid;

	signal(SIGUSR1, note);
	signal(SIGUSR2, note);
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + SECOND);
		kill(parent, SIGUSR2);
		sleep_until(start + 2 * SECOND);
		kill(parent, SIGUSR1);
		_exit(0);
	}
	sigemptyset(&none);
	sigaddset(&none, SIGUSR2); /* goes on waiting */
	FAILS(sigsuspend(&none), EINTR);
	print_after("suspended", start);
	EQUAL(count, 1);
	EQUAL(sigpending(&none), 0);
	EQUAL(sigismember(&none, SIGUSR2), 1);
	EXITS(pid, 0);
	EQUAL(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	EQUAL(count, 2);
}

static void real_time_ones_in_order(void)
{
	sigset_t set = block(SIGRTMIN, SIGRTMIN + 2);
	siginfo_t info;

	queue(SIGRTMIN + 2, 1);
	queue(SIGRTMIN, 2);
	queue(SIGRTMIN + 1, 3);
	queue(SIGRTMIN, 4);
	queue(SIGRTMIN, 5);
	for (int i = 0; i < 5; i++) {
		EQUAL(sigwaitinfo(&set, &info), info.si_signo);
		EQUAL(info.si_code, SI_QUEUE);
		EQUAL(info.si_pid, getpid());
		printf("RTMIN+%d %d\n", info.si_signo - SIGRTMIN, info.si_value.sival_int);
	}
	FAILS(sigtimedwait(&set, &info, &(struct timespec){0}), EAGAIN);
}

static void lowest_number_first(void)
{
	sigset_t set = block(SIGHUP, SIGRTMAX);

	for (int number = SIGRTMIN; number < SIGRTMIN + 4; number++) {
		struct sigaction action = {.sa_handler = note};

		sigfillset(&action.sa_mask); /* one handler at a time */
		EQUAL(sigaction(number, &action, NULL), 0);
	}
	for (int number = SIGRTMIN + 3; number >= SIGRTMIN; number--)
		raise(number);
	EQUAL(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	for (int i = 0; i < count; i++)
		printf("RTMIN+%d\n", order[i] - SIGRTMIN);
}

static void limit_of_the_queue(void)
{
	struct rlimit limit;
	int queued = 0;

	block(SIGRTMIN, SIGRTMIN);
	EQUAL(getrlimit(RLIMIT_SIGPENDING, &limit), 0);
	limit.rlim_cur = 10;
	EQUAL(setrlimit(RLIMIT_SIGPENDING, &limit), 0);
	while (queued < 100 && sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0)
		queued++;
	EQUAL(errno, EAGAIN);
	printf("%d queued\n", queued);
}

static void waited_for(void)
{
	sigset_t set = block(SIGUSR1, SIGUSR1);
	int64_t start = now();
	pid_t parent = getpid(), pid = make_child();
	int number;

	if (pid == 0) {
		sleep_until(start + 5 * SECOND / 2);
		kill(parent, SIGUSR1);
		_exit(0);
	}
	RETURNS(sigwait(&set, &number), 0);
	EQUAL(number, SIGUSR1);
	print_after("taken", start);
	EXITS(pid, 0);
}

static void waiting_times_out(void)
{
	sigset_t set = block(SIGUSR1, SIGUSR1);
	struct timespec limit = timespec_of(3 * SECOND / 2);
	siginfo_t info;
	int64_t start = now();

	FAILS(sigtimedwait(&set, &info, &limit), EAGAIN);
	print_after("gave up", start);
	FAILS(sigtimedwait(&set, &info, &(struct timespec){.tv_nsec = -1}), EINVAL);
	signal(SIGALRM, note);
	alarm(2);
	start = now();
	FAILS(sigwaitinfo(&set, &info), EINTR);
	print_after("interrupted by another", start);
}

static void by_descriptor(void)
{
	sigset_t set = block(SIGUSR1, SIGUSR2);
	int fd = signalfd(-1, &set, SFD_NONBLOCK);
	struct signalfd_siginfo info[4];

	CHECK(fd >= 0);
	FAILS(read(fd, info, sizeof(info)), EAGAIN);
	FAILS(read(fd, info, 1), EINVAL);
	queue(SIGUSR2, 7);
	raise(SIGUSR1);
	EQUAL(read(fd, info, sizeof(info)), 2 * sizeof(*info));
	for (int i = 0; i < 2; i++)
		printf("%s %d\n", sigabbrev_np(info[i].ssi_signo), info[i].ssi_code == SI_QUEUE ? info[i].ssi_int : 0);
	FAILS(read(fd, info, sizeof(info)), EAGAIN);
}

static void a_whole_group(void)
{
	int64_t start = now();
	pid_t pids[3], leader, own = getpid();

	leader = pids[0] = 0;
	for (int i = 0; i < 3; i++) {
		pids[i] = make_child();
		if (pids[i] == 0) {
			setpgid(0, leader);
			sleep_until(start + 100 * SECOND);
			_exit(0);
		}
		if (i == 0)
			leader = pids[0];
		setpgid(pids[i], leader);
	}
	EQUAL(kill(-leader, 0), 0);
	EQUAL(killpg(leader, SIGTERM), 0);
	for (int i = 0; i < 3; i++)
		DIES_OF(pids[i], SIGTERM);
	FAILS(killpg(leader, SIGTERM), ESRCH);
	FAILS(kill(0x3fffff, 0), ESRCH);
	FAILS(kill(own, 65), EINVAL);
	CHECK(now() - start < SECOND);
	printf("three children, not their parent\n");
}

static void not_allowed(void)
{
	pid_t parent = getpid(), pid = make_child();

	if (pid == 0) {
		EQUAL(setresuid(1000, 1000, 1000), 0);
		FAILS(kill(parent, SIGTERM), EPERM);
		FAILS(kill(parent, 0), EPERM);
		EQUAL(kill(getpid(), 0), 0);
		_exit(0);
	}
	EXITS(pid, 0);
	printf("EPERM\n");
}

static pthread_t receiver;

static void *receive(void *unused)
{
	sigset_t set;
	int number;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	RETURNS(sigwait(&set, &number), 0);
	return (void *)(intptr_t)number;
}

static void to_a_thread(void)
{
	sigset_t pending;
	void *taken;

	block(SIGUSR1, SIGUSR1); /* inherited by the thread */
	RETURNS(pthread_create(&receiver, NULL, receive, NULL), 0);
	raise(SIGUSR1); /* to this thread alone */
	EQUAL(sigpending(&pending), 0);
	EQUAL(sigismember(&pending, SIGUSR1), 1);
	RETURNS(pthread_tryjoin_np(receiver, NULL), EBUSY);
	RETURNS(pthread_kill(receiver, SIGUSR1), 0);
	RETURNS(pthread_join(receiver, &taken), 0);
	EQUAL((intptr_t)taken, SIGUSR1);
	RETURNS(pthread_kill(pthread_self(), 999), EINVAL);
	printf("each its own\n");
}

static void stopped_and_continued(void)
{
	int64_t start = now();
	pid_t pid = make_child();

	if (pid == 0) {
		sleep_until(start + 2 * SECOND);
		print_after("child goes on", start);
		_exit(0);
	}
	sleep_until(start + SECOND);
	EQUAL(kill(pid, SIGSTOP), 0);
	sleep_until(start + 5 * SECOND);
	EQUAL(kill(pid, SIGCONT), 0);
	EXITS(pid, 0);
}

BEHAVIOURS(
	{"pending-until-unblocked", pending_until_unblocked},
	{"ignored-ones-are-dropped", ignored_ones_are_dropped},
	{"never-blocked", never_blocked},
	{"suspended-with-a-mask", suspended_with_a_mask},
	{"real-time-ones-in-order", real_time_ones_in_order},
	{"lowest-number-first", lowest_number_first},
	{"limit-of-the-queue", limit_of_the_queue},
	{"waited-for", waited_for},
	{"waiting-times-out", waiting_times_out},
	{"by-descriptor", by_descriptor},
	{"a-whole-group", a_whole_group},
	{"not-allowed", not_allowed},
	{"to-a-thread", to_a_thread},
	{"stopped-and-continued", stopped_and_continued},
)
