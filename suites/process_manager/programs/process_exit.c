// SPDX-License-Identifier: MIT
// Usage: process-exit BEHAVIOUR [ARGUMENT]
// How a process ends, and what still runs then (exit(3), atexit(3), on_exit(3), quick_exit(3), signal(7)).
#include "behaviour.h"

#include <pthread.h>
#include <signal.h>

static void with_code(void)
{
	CHECK(arguments[0]);
	exit(atoi(arguments[0]));
}

/* After some seconds, with their number as the code. */
static void later(void)
{
	CHECK(arguments[0]);
	sleep_until(now() + atoi(arguments[0]) * SECOND);
	exit(atoi(arguments[0]));
}

static void by_signal(void)
{
	CHECK(arguments[0]);
	raise(atoi(arguments[0]));
	printf("outlived signal %s\n", arguments[0]);
}

static void say_first(void) { printf("registered first\n"); }
static void say_second(void) { printf("registered second\n"); }
static void say_third(void) { printf("registered third\n"); }

static void say_code(int code, void *text)
{
	printf("%s %d\n", (char *)text, code);
}

static void register_all(void)
{
	EQUAL(atexit(say_first), 0);
	EQUAL(atexit(say_second), 0);
	EQUAL(on_exit(say_code, "on exit with"), 0);
	EQUAL(atexit(say_third), 0);
}

static void handlers_in_reverse(void)
{
	register_all();
	exit(4);
}

static void handlers_on_return(void)
{
	register_all();
}

static void handlers_of_both_kinds(void)
{
	register_all();
	EQUAL(at_quick_exit(say_second), 0);
	EQUAL(at_quick_exit(say_first), 0);
	quick_exit(5);
}

static void no_handlers(void)
{
	register_all();
	_exit(6);
}

static void handler_registers_another(void)
{
	EQUAL(atexit(say_first), 0);
	EQUAL(atexit(register_all), 0);
	exit(0);
}

static void exit_in_a_handler(void)
{
	_exit(9);
}

static void code_of_the_last(void)
{
	EQUAL(atexit(say_first), 0);
	EQUAL(atexit(exit_in_a_handler), 0);
	exit(1);
}

/* What is still in a buffer is written by exit, and lost by _exit. */
static void buffers(void)
{
	pid_t pid;

	setvbuf(stdout, malloc(BUFSIZ), _IOFBF, BUFSIZ);
	pid = make_child();
	if (pid == 0) {
		printf("written by exit\n");
		exit(0);
	}
	EXITS(pid, 0);
	pid = make_child();
	if (pid == 0) {
		printf("lost by _exit\n");
		_exit(0);
	}
	EXITS(pid, 0);
}

static void *exits_all(void *unused)
{
	(void)unused;
	exit(7);
}

static void by_a_thread(void)
{
	pthread_t thread;

	EQUAL(atexit(say_first), 0);
	RETURNS(pthread_create(&thread, NULL, exits_all, NULL), 0);
	for (;;)
		pause();
}

static void *outlives_main(void *start)
{
	sleep_until(*(int64_t *)start + 2 * SECOND);
	printf("the last thread\n");
	return NULL;
}

static void main_ends_before_its_threads(void)
{
	static int64_t start;
	pthread_t thread;

	start = now();
	RETURNS(pthread_create(&thread, NULL, outlives_main, &start), 0);
	pthread_exit(NULL);
}

BEHAVIOURS(
	{"with-code", with_code},
	{"later", later},
	{"by-signal", by_signal},
	{"handlers-in-reverse", handlers_in_reverse},
	{"handlers-on-return", handlers_on_return},
	{"handlers-of-both-kinds", handlers_of_both_kinds},
	{"no-handlers", no_handlers},
	{"handler-registers-another", handler_registers_another},
	{"code-of-the-last", code_of_the_last},
	{"buffers", buffers},
	{"by-a-thread", by_a_thread},
	{"main-ends-before-its-threads", main_ends_before_its_threads},
)
