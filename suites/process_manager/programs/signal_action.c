// SPDX-License-Identifier: MIT
// Usage: signal-action BEHAVIOUR
// What a signal does: handlers and their flags, what they are told, and what is done without one (sigaction(2)).
#include "behaviour.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t count, depth, deepest;
static siginfo_t last;
static int ends[2];

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	count = count + 1;
	last = *info;
}

static void handle(int number, int flags)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};

	EQUAL(sigaction(number, &action, NULL), 0);
}

static void alarm_after(int64_t ns)
{
	struct itimerval timer = {.it_value = timeval_of(ns)};

	EQUAL(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void who_sent_it(void)
{
	pid_t pid;

	handle(SIGUSR1, 0);
	pid = make_child();
	if (pid == 0) {
		EQUAL(kill(getppid(), SIGUSR1), 0);
		_exit(0);
	}
	while (!count)
		pause();
	EQUAL(last.si_signo, SIGUSR1);
	EQUAL(last.si_code, SI_USER);
	EQUAL(last.si_pid, pid);
	EQUAL(last.si_uid, getuid());
	while (waitpid(pid, NULL, 0) != pid)
		;
	EQUAL(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = -5}), 0);
	EQUAL(last.si_code, SI_QUEUE);
	printf("value %d\n", last.si_value.sival_int);
	EQUAL(raise(SIGUSR1), 0);
	EQUAL(last.si_code, SI_TKILL);
	printf("%d signals\n", count);
}

static void read_is_interrupted(void)
{
	int64_t start;
	char byte;

	EQUAL(pipe(ends), 0);
	handle(SIGALRM, 0);
	start = now();
	alarm_after(3 * SECOND / 2);
	FAILS(read(ends[0], &byte, 1), EINTR);
	print_after("interrupted", start);
}

static void read_is_restarted(void)
{
	int64_t start;
	pid_t pid;
	char byte;

	EQUAL(pipe(ends), 0);
	handle(SIGALRM, SA_RESTART);
	start = now();
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 4 * SECOND);
		EQUAL(write(ends[1], "x", 1), 1);
		_exit(0);
	}
	alarm_after(3 * SECOND / 2);
	EQUAL(read(ends[0], &byte, 1), 1);
	EQUAL(count, 1);
	print_after("read", start);
	EXITS(pid, 0);
}

static void nest(int number)
{
	depth = depth + 1;
	deepest = depth > deepest ? depth : deepest;
	if (++count < 3)
		raise(number);
	depth = depth - 1;
}

static void handled_one_at_a_time(void)
{
	struct sigaction action = {.sa_handler = nest};

	EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	printf("%d calls, depth %d\n", count, deepest);
}

static void nested_without_defer(void)
{
	struct sigaction action = {.sa_handler = nest, .sa_flags = SA_NODEFER};

	EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	printf("%d calls, depth %d\n", count, deepest);
}

static void reset_after_one(void)
{
	struct sigaction action;
	pid_t pid = make_child();

	if (pid == 0) {
		handle(SIGUSR1, SA_RESETHAND);
		raise(SIGUSR1);
		EQUAL(count, 1);
		EQUAL(sigaction(SIGUSR1, NULL, &action), 0);
		CHECK(action.sa_handler == SIG_DFL);
		raise(SIGUSR1);
		_exit(0);
	}
	DIES_OF(pid, SIGUSR1);
	printf("handled, then fatal\n");
}

static void raise_inside(int number)
{
	sigset_t mask;

	(void)number;
	EQUAL(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
	EQUAL(sigismember(&mask, SIGUSR1), 1);
	EQUAL(sigismember(&mask, SIGUSR2), 1);
	raise(SIGUSR2);
	EQUAL(count, 0); /* it waits for the end of this handler */
}

static void mask_of_a_handler(void)
{
	struct sigaction action = {.sa_handler = raise_inside};

	sigaddset(&action.sa_mask, SIGUSR2);
	handle(SIGUSR2, 0);
	EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	EQUAL(count, 1);
	printf("after the handler\n");
}

static void default_and_ignored(void)
{
	const int fatal[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1, SIGRTMIN};
	const int harmless[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
	struct sigaction action = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < COUNT(fatal); i++) {
		pid_t pid = make_child();

		if (pid == 0) {
			signal(fatal[i], SIG_IGN);
			raise(fatal[i]);
			signal(fatal[i], SIG_DFL);
			raise(fatal[i]);
			_exit(0);
		}
		DIES_OF(pid, fatal[i]);
	}
	for (size_t i = 0; i < COUNT(harmless); i++)
		raise(harmless[i]);
	FAILS(sigaction(SIGKILL, &action, NULL), EINVAL);
	FAILS(sigaction(SIGSTOP, &action, NULL), EINVAL);
	FAILS(sigaction(65, &action, NULL), EINVAL);
	printf("as signal(7) says\n");
}

static sigjmp_buf back;

static void jump_out(int number, siginfo_t *info, void *context)
{
	(void)context;
	last = *info;
	siglongjmp(back, number);
}

static void faults(void)
{
	struct sigaction action = {.sa_sigaction = jump_out, .sa_flags = SA_SIGINFO};
	int *volatile nowhere = (int *)16;
	volatile int many = 1000, zero = 0;

	EQUAL(sigaction(SIGFPE, &action, NULL), 0);
	EQUAL(sigaction(SIGSEGV, &action, NULL), 0);
	EQUAL(sigaction(SIGILL, &action, NULL), 0);
	EQUAL(sigaction(SIGTRAP, &action, NULL), 0);
	if (!sigsetjmp(back, 1))
		many /= zero;
	printf("%s %d\n", sigabbrev_np(last.si_signo), last.si_code == FPE_INTDIV);
	if (!sigsetjmp(back, 1))
		*nowhere = 1;
	printf("%s %d at %p\n", sigabbrev_np(last.si_signo), last.si_code == SEGV_MAPERR, last.si_addr);
	if (!sigsetjmp(back, 1))
		__asm__ volatile("ud2");
	printf("%s %d\n", sigabbrev_np(last.si_signo), last.si_code == ILL_ILLOPN);
}

static void on_other_stack(int number, siginfo_t *info, void *context)
{
	stack_t stack;
	char here;

	(void)number;
	(void)info;
	(void)context;
	EQUAL(sigaltstack(NULL, &stack), 0);
	EQUAL(stack.ss_flags, SS_ONSTACK);
	CHECK(&here > (char *)stack.ss_sp && &here < (char *)stack.ss_sp + stack.ss_size);
	FAILS(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL), EPERM);
	count = count + 1;
}

static void alternate_stack(void)
{
	struct sigaction action = {.sa_sigaction = on_other_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, found;

	FAILS(sigaltstack(&(stack_t){.ss_sp = stack.ss_sp, .ss_size = 100}, NULL), ENOMEM);
	EQUAL(sigaltstack(&stack, NULL), 0);
	EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	EQUAL(count, 1);
	EQUAL(sigaltstack(NULL, &found), 0);
	EQUAL(found.ss_flags, 0);
	printf("on the other stack\n");
}

static void on_child(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	printf("code %d status %d\n", info->si_code, info->si_status);
	last = *info;
	count = count + 1;
}

static void what_children_do(void)
{
	struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
	int64_t start = now();
	pid_t pid;

	EQUAL(sigaction(SIGCHLD, &action, NULL), 0);
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + SECOND);
		raise(SIGSTOP);
		sleep_until(start + 3 * SECOND);
		_exit(42);
	}
	FAILS(pause(), EINTR); /* stopped */
	sleep_until(start + 2 * SECOND);
	EQUAL(kill(pid, SIGCONT), 0); /* continued: told at once, and again at its end */
	sleep_until(start + 4 * SECOND);
	EQUAL(last.si_pid, pid);
	EXITS(pid, 42);
	printf("%d signals\n", count);
	action.sa_flags |= SA_NOCLDSTOP;
	EQUAL(sigaction(SIGCHLD, &action, NULL), 0);
	start = now();
	pid = make_child();
	if (pid == 0) {
		raise(SIGSTOP);
		_exit(0);
	}
	EQUAL(waitpid(pid, NULL, WUNTRACED), pid);
	EQUAL(count, 3);
	EQUAL(kill(pid, SIGKILL), 0);
	DIES_OF(pid, SIGKILL);
}

BEHAVIOURS(
	{"who-sent-it", who_sent_it},
	{"read-is-interrupted", read_is_interrupted},
	{"read-is-restarted", read_is_restarted},
	{"handled-one-at-a-time", handled_one_at_a_time},
	{"nested-without-defer", nested_without_defer},
	{"reset-after-one", reset_after_one},
	{"mask-of-a-handler", mask_of_a_handler},
	{"default-and-ignored", default_and_ignored},
	{"faults", faults},
	{"alternate-stack", alternate_stack},
	{"what-children-do", what_children_do},
)
