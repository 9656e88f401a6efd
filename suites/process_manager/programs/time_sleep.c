// SPDX-License-Identifier: MIT
// Usage: time-sleep BEHAVIOUR
// Sleeping: how long it takes, what ends it early, and what is left of it then (nanosleep(2), clock_nanosleep(2)).
#include "behaviour.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

static void do_nothing(int number)
{
	(void)number;
}

/* Interrupt whatever sleeps, after some time. */
static void interrupt_after(int64_t ns)
{
	struct sigaction action = {.sa_handler = do_nothing};
	struct itimerval timer = {.it_value = timeval_of(ns)};

	EQUAL(sigaction(SIGALRM, &action, NULL), 0);
	EQUAL(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void second_and_five_microseconds(void)
{
	struct timespec length = timespec_of(SECOND + 5000);
	int64_t start;

	EQUAL(prctl(PR_GET_TIMERSLACK), 1);
	start = now();
	EQUAL(nanosleep(&length, NULL), 0);
	print_after("awake", start);
}

static void single_nanoseconds(void)
{
	for (int64_t ns = 1; ns <= 10000; ns *= 10) {
		struct timespec length = timespec_of(ns);
		int64_t start = now();

		EQUAL(nanosleep(&length, NULL), 0);
		print_after("awake", start);
	}
}

static void a_day(void)
{
	int64_t start = now();

	EQUAL(sleep(24 * 3600), 0);
	print_after("awake", start);
}

static void interrupted(void)
{
	struct timespec length = timespec_of(10 * SECOND), left;
	int64_t start, slept;

	interrupt_after(3 * SECOND / 2);
	start = now();
	FAILS(nanosleep(&length, &left), EINTR);
	slept = now() - start;
	printf("interrupted after %" PRId64 " ns\n", slept);
	printf("slept and left over: %" PRId64 " ns\n", slept + left.tv_sec * SECOND + left.tv_nsec);
}

static void sleep_tells_the_rest(void)
{
	int64_t start;

	interrupt_after(3 * SECOND + SECOND / 4);
	start = now();
	printf("%u s were left\n", sleep(10));
	print_after("interrupted", start);
}

static void until_a_time(void)
{
	int64_t start = now();
	struct timespec until = timespec_of(start + 7 * SECOND), past = timespec_of(start - SECOND);

	RETURNS(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
	print_after("awake", start);
	RETURNS(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL), 0);
	print_after("not asleep", start);
}

static void bad_lengths(void)
{
	struct timespec negative = {.tv_sec = -1}, large = {.tv_nsec = SECOND};
	int64_t start = now();

	FAILS(nanosleep(&negative, NULL), EINVAL);
	FAILS(nanosleep(&large, NULL), EINVAL);
	RETURNS(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &large, NULL), EINVAL);
	RETURNS(clock_nanosleep(9999, 0, &(struct timespec){.tv_sec = 1}, NULL), EINVAL);
	print_after("refused", start);
}

BEHAVIOURS(
	{"second-and-five-microseconds", second_and_five_microseconds},
	{"single-nanoseconds", single_nanoseconds},
	{"a-day", a_day},
	{"interrupted", interrupted},
	{"sleep-tells-the-rest", sleep_tells_the_rest},
	{"until-a-time", until_a_time},
	{"bad-lengths", bad_lengths},
)
