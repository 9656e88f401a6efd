/* SPDX-License-Identifier: MIT */
/* What all programs of this suite share. A program is a list of behaviours, of which its first argument names one:
 * it checks itself, prints what it saw, and at the first surprise says what was wanted and ends with status 1. */
#ifndef BEHAVIOUR_H
#define BEHAVIOUR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000) /* in nanoseconds, as all times here */
#define MILLISECOND INT64_C(1000000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct {
	const char *name;
	void (*run)(void);
} Behaviour;

/* The program's own path, and what follows the name of the behaviour; ends with NULL. */
static char *own_path;
static char **arguments;

/* In a child, too: ends it without its parent's exit handlers. */
__attribute__((format(printf, 3, 4), noreturn)) static inline void fail(const char *file, int line, const char *format,
									 ...)
{
	va_list values;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fputc('\n', stderr);
	_exit(1);
}

static inline const char *error_name(int error)
{
	return error == 0 ? "success" : strerrorname_np(error);
}

/* A condition that has to hold. */
#define CHECK(condition) \
	do { \
		if (!(condition)) \
			fail(__FILE__, __LINE__, "wanted %s (errno is %s)", #condition, error_name(errno)); \
	} while (0)

/* Two numbers that have to be the same. */
#define EQUAL(found, wanted) \
	do { \
		long long found_ = (found), wanted_ = (wanted); \
		if (found_ != wanted_) \
			fail(__FILE__, __LINE__, "%s: found %lld, wanted %lld (errno is %s)", #found, found_, wanted_, \
			     error_name(errno)); \
	} while (0)

/* Two texts that have to be the same. */
#define SAME_TEXT(found, wanted) \
	do { \
		const char *found_ = (found), *wanted_ = (wanted); \
		if (found_ == NULL || strcmp(found_, wanted_) != 0) \
			fail(__FILE__, __LINE__, "%s: found \"%s\", wanted \"%s\"", #found, found_ ? found_ : "(null)", \
			     wanted_); \
	} while (0)

/* A call that has to give -1 with an errno. */
#define FAILS(call, error) \
	do { \
		errno = 0; \
		long long result_ = (call); \
		if (result_ != -1 || errno != (error)) \
			fail(__FILE__, __LINE__, "%s: found %lld with %s, wanted -1 with %s", #call, result_, \
			     error_name(errno), error_name(error)); \
	} while (0)

/* A call of pthread's kind, that has to return an error number; 0 is success. */
#define RETURNS(call, error) \
	do { \
		int result_ = (call); \
		if (result_ != (error)) \
			fail(__FILE__, __LINE__, "%s: found %s, wanted %s", #call, error_name(result_), error_name(error)); \
	} while (0)

/* Nanoseconds of the monotonic clock. */
static inline int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static inline struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
}

static inline struct timeval timeval_of(int64_t ns)
{
	return (struct timeval){.tv_sec = ns / SECOND, .tv_usec = ns % SECOND / 1000};
}

static inline void sleep_until(int64_t at)
{
	struct timespec until = timespec_of(at);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static inline void print_after(const char *what, int64_t start)
{
	printf("%s after %" PRId64 " ns\n", what, now() - start);
}

#define NETWORK_EPOCH (INT64_C(1704067200) * SECOND) /* 2024-01-01: the network's clock begins, where it is virtual */

/* A wait that the kernel's timer wheel ended: what it lasts depends on when it began, by the network's clock. */
static inline void print_expiry(const char *what, int64_t start)
{
	struct timespec day;
	int64_t length = now() - start;

	clock_gettime(CLOCK_REALTIME, &day);
	printf("%s after %" PRId64 " ns from %" PRId64 " ns\n", what, length,
	       day.tv_sec * SECOND + day.tv_nsec - NETWORK_EPOCH - length);
}

static inline pid_t make_child(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	return pid;
}

/* Wait for a child that has to exit with a status. */
#define EXITS(pid, wanted_status) \
	do { \
		int status_; \
		EQUAL(waitpid((pid), &status_, 0), (pid)); \
		CHECK(WIFEXITED(status_)); \
		EQUAL(WEXITSTATUS(status_), (wanted_status)); \
	} while (0)

/* Wait for a child that a signal has to end. */
#define DIES_OF(pid, wanted_signal) \
	do { \
		int status_; \
		EQUAL(waitpid((pid), &status_, 0), (pid)); \
		CHECK(WIFSIGNALED(status_)); \
		EQUAL(WTERMSIG(status_), (wanted_signal)); \
	} while (0)

static inline int run_behaviour(int argc, char **argv, const Behaviour *behaviours, size_t count)
{
	/* Line by line: a child must not write again what its parent has not written yet. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	own_path = argv[0];
	for (size_t i = 0; argc > 1 && i < count; i++) {
		if (strcmp(behaviours[i].name, argv[1]) != 0)
			continue;
		arguments = argv + 2;
		behaviours[i].run();
		return 0;
	}
	fprintf(stderr, "usage: %s BEHAVIOUR [ARGUMENT ...], with a BEHAVIOUR of:\n", argv[0]);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "  %s\n", behaviours[i].name);
	return 2;
}

/* The program's main function, from pairs of name and function. */
#define BEHAVIOURS(...) \
	int main(int argc, char **argv) \
	{ \
		static const Behaviour behaviours[] = {__VA_ARGS__}; \
		return run_behaviour(argc, argv, behaviours, COUNT(behaviours)); \
	}

#endif
