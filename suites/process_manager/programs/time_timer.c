// SPDX-License-Identifier: MIT
// Usage: time-timer BEHAVIOUR
// Timers: of a descriptor (timerfd_create(2)), of a process (setitimer(2), alarm(2)) and of POSIX (timer_create(2)).
#include "behaviour.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static int64_t start;

static int timer_of(int flags, int64_t first, int64_t interval)
{
	struct itimerspec times = {.it_value = timespec_of(first), .it_interval = timespec_of(interval)};
	int fd = timerfd_create(CLOCK_MONOTONIC, flags);

	CHECK(fd >= 0);
	start = now();
	EQUAL(timerfd_settime(fd, 0, &times, NULL), 0);
	return fd;
}

static uint64_t expirations(int fd)
{
	uint64_t count;

	EQUAL(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

static void descriptor_counts_expirations(void)
{
	int fd = timer_of(0, 3 * SECOND / 2, 5 * SECOND / 2);

	printf("%" PRIu64 "\n", expirations(fd));
	print_after("first read", start);
	sleep_until(start + 7 * SECOND); /* due at 4 s and at 6.5 s */
	printf("%" PRIu64 "\n", expirations(fd));
	print_after("second read", start);
	printf("%" PRIu64 "\n", expirations(fd));
	print_after("third read", start);
}

static void descriptor_after_six_seconds(void)
{
	int fd = timer_of(0, 3 * SECOND / 2, 5 * SECOND / 2);

	printf("%" PRIu64 "\n", expirations(fd));
	sleep_until(start + 3 * SECOND / 2 + 6 * SECOND);
	printf("%" PRIu64 "\n", expirations(fd));
	print_after("read", start);
}

static void descriptor_that_does_not_block(void)
{
	int fd = timer_of(TFD_NONBLOCK, SECOND, 0);
	uint64_t count;

	FAILS(read(fd, &count, sizeof(count)), EAGAIN);
	FAILS(read(fd, &count, 4), EINVAL);
	sleep_until(start + 2 * SECOND);
	EQUAL(expirations(fd), 1);
	FAILS(read(fd, &count, sizeof(count)), EAGAIN);
	printf("EAGAIN, 1, EAGAIN\n");
}

static void descriptor_tells_and_stops(void)
{
	int fd = timer_of(TFD_NONBLOCK, 10 * SECOND, 3 * SECOND);
	struct itimerspec times, none = {0};
	uint64_t count;

	sleep_until(start + 4 * SECOND + SECOND / 2);
	EQUAL(timerfd_gettime(fd, &times), 0);
	EQUAL(times.it_value.tv_sec, 5); /* and half of the sixth */
	EQUAL(times.it_interval.tv_sec, 3);
	EQUAL(timerfd_settime(fd, 0, &none, &times), 0);
	EQUAL(times.it_interval.tv_sec, 3);
	sleep_until(start + 100 * SECOND);
	FAILS(read(fd, &count, sizeof(count)), EAGAIN);
	printf("next one told, stopped\n");
}

static void descriptor_at_a_time_of_day(void)
{
	int fd = timerfd_create(CLOCK_REALTIME, 0);
	struct itimerspec times = {0};

	CHECK(fd >= 0);
	start = now();
	clock_gettime(CLOCK_REALTIME, &times.it_value);
	times.it_value.tv_sec += 3600;
	EQUAL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &times, NULL), 0);
	EQUAL(expirations(fd), 1);
	print_after("an hour", start);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
	(void)number;
	alarms = alarms + 1;
}

static void on_alarm(void)
{
	struct sigaction action = {.sa_handler = count_alarm};

	EQUAL(sigaction(SIGALRM, &action, NULL), 0);
}

static void interval_timer(void)
{
	struct itimerval timer = {.it_value = timeval_of(SECOND / 2), .it_interval = timeval_of(2 * SECOND)}, found;

	on_alarm();
	start = now();
	EQUAL(setitimer(ITIMER_REAL, &timer, NULL), 0);
	for (int i = 1; i <= 3; i++) {
		FAILS(pause(), EINTR);
		EQUAL(alarms, i);
		print_after("alarm", start);
	}
	EQUAL(getitimer(ITIMER_REAL, &found), 0);
	EQUAL(found.it_interval.tv_sec, 2);
	EQUAL(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), 0);
	sleep_until(start + 60 * SECOND);
	EQUAL(alarms, 3);
	FAILS(setitimer(99, &timer, NULL), EINVAL);
}

static void alarm_replaces_alarm(void)
{
	on_alarm();
	start = now();
	EQUAL(alarm(100), 0);
	sleep_until(start + 10 * SECOND);
	printf("%u s were left\n", alarm(5));
	FAILS(pause(), EINTR);
	print_after("alarm", start);
	EQUAL(alarm(0), 0);
}

static timer_t posix_timer(int64_t first, int64_t interval)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
	struct itimerspec times = {.it_value = timespec_of(first), .it_interval = timespec_of(interval)};
	sigset_t set;
	timer_t timer;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	EQUAL(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	EQUAL(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	start = now();
	EQUAL(timer_settime(timer, 0, &times, NULL), 0);
	return timer;
}

static void take_expiration(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	EQUAL(sigwaitinfo(&set, &info), SIGRTMIN);
	EQUAL(info.si_code, SI_TIMER);
	printf("value %d, overrun %d\n", info.si_value.sival_int, info.si_overrun);
	print_after("taken", start);
}

static void posix_timer_signals(void)
{
	timer_t timer = posix_timer(3 * SECOND / 2, 5 * SECOND / 2);

	take_expiration();
	take_expiration();
	EQUAL(timer_delete(timer), 0);
	FAILS(timer_gettime(timer, &(struct itimerspec){0}), EINVAL);
}

static void posix_timer_overruns(void)
{
	timer_t timer = posix_timer(SECOND, SECOND);

	sleep_until(start + 10 * SECOND + SECOND / 2); /* due ten times: one signal, nine overruns */
	take_expiration();
	EQUAL(timer_getoverrun(timer), 9);
	EQUAL(timer_delete(timer), 0);
}

static sem_t called;

static void callback(union sigval value)
{
	print_after("called", start);
	printf("value %d\n", value.sival_int);
	sem_post(&called);
}

static void posix_timer_calls_in_a_thread(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = callback, .sigev_value.sival_int = 7};
	struct itimerspec times = {.it_value = timespec_of(2 * SECOND)};
	timer_t timer;

	EQUAL(sem_init(&called, 0, 0), 0);
	EQUAL(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	start = now();
	EQUAL(timer_settime(timer, 0, &times, NULL), 0);
	EQUAL(sem_wait(&called), 0);
	EQUAL(timer_delete(timer), 0);
}

BEHAVIOURS(
	{"descriptor-counts-expirations", descriptor_counts_expirations},
	{"descriptor-after-six-seconds", descriptor_after_six_seconds},
	{"descriptor-that-does-not-block", descriptor_that_does_not_block},
	{"descriptor-tells-and-stops", descriptor_tells_and_stops},
	{"descriptor-at-a-time-of-day", descriptor_at_a_time_of_day},
	{"interval-timer", interval_timer},
	{"alarm-replaces-alarm", alarm_replaces_alarm},
	{"posix-timer-signals", posix_timer_signals},
	{"posix-timer-overruns", posix_timer_overruns},
	{"posix-timer-calls-in-a-thread", posix_timer_calls_in_a_thread},
)
