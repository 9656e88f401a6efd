// SPDX-License-Identifier: MIT
// Usage: thread-life BEHAVIOUR
// Threads: made, joined, detached, cancelled, and what of these is an error (pthreads(7)).
#include "behaviour.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

static int64_t start;

static pthread_t make_thread(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	RETURNS(pthread_create(&thread, NULL, body, argument), 0);
	return thread;
}

static void *square(void *number)
{
	return (void *)((intptr_t)number * (intptr_t)number);
}

static void *until(void *seconds)
{
	sleep_until(start + (intptr_t)seconds * SECOND);
	return seconds;
}

static void *for_ever(void *unused)
{
	(void)unused;
	while (pause())
		;
	return NULL;
}

static void values_come_back(void)
{
	pthread_t threads[50];
	intptr_t sum = 0;
	void *value;

	for (intptr_t i = 0; i < 50; i++)
		threads[i] = make_thread(square, (void *)i);
	for (int i = 0; i < 50; i++) {
		RETURNS(pthread_join(threads[i], &value), 0);
		sum += (intptr_t)value;
	}
	printf("sum of squares: %ld\n", sum);
}

static void create_errors(void)
{
	struct rlimit limit;
	pthread_attr_t attributes;
	pthread_t thread;

	RETURNS(pthread_attr_init(&attributes), 0);
	RETURNS(pthread_attr_setstacksize(&attributes, 1), EINVAL); /* below PTHREAD_STACK_MIN */
	RETURNS(pthread_attr_setdetachstate(&attributes, 77), EINVAL);
	RETURNS(pthread_attr_setstacksize(&attributes, INT64_C(1) << 46), 0);
	RETURNS(pthread_create(&thread, &attributes, square, NULL), EAGAIN); /* more than the address space has left */
	RETURNS(pthread_attr_destroy(&attributes), 0);
	EQUAL(getrlimit(RLIMIT_NPROC, &limit), 0);
	EQUAL(setresuid(12345, 12345, 12345), 0); /* the limit does not hold for root */
	limit.rlim_cur = 1;			   /* of this user there is this thread already */
	EQUAL(setrlimit(RLIMIT_NPROC, &limit), 0);
	RETURNS(pthread_create(&thread, NULL, square, NULL), EAGAIN);
	limit.rlim_cur = 2;
	EQUAL(setrlimit(RLIMIT_NPROC, &limit), 0);
	RETURNS(pthread_join(make_thread(square, NULL), NULL), 0);
	printf("EINVAL, EAGAIN for its stack, EAGAIN for its user\n");
}

static void join_waits(void)
{
	pthread_t thread;

	start = now();
	thread = make_thread(until, (void *)3);
	RETURNS(pthread_tryjoin_np(thread, NULL), EBUSY);
	RETURNS(pthread_join(thread, NULL), 0);
	print_after("joined", start);
}

static void timed_join(void)
{
	struct timespec limit;
	pthread_t thread;
	void *value;

	start = now();
	thread = make_thread(until, (void *)10);
	limit = timespec_of(start + 2 * SECOND);
	RETURNS(pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &limit), ETIMEDOUT);
	print_after("gave up", start);
	limit = timespec_of(start + 20 * SECOND);
	RETURNS(pthread_clockjoin_np(thread, &value, CLOCK_MONOTONIC, &limit), 0);
	EQUAL((intptr_t)value, 10);
	print_after("joined", start);
}

static void join_errors(void)
{
	pthread_t thread = make_thread(for_ever, NULL);

	RETURNS(pthread_join(pthread_self(), NULL), EDEADLK);
	RETURNS(pthread_detach(thread), 0);
	RETURNS(pthread_detach(thread), EINVAL);
	RETURNS(pthread_join(thread, NULL), EINVAL);
	printf("EDEADLK, EINVAL, EINVAL\n");
}

static void made_detached(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int state;

	start = now();
	RETURNS(pthread_attr_init(&attributes), 0);
	RETURNS(pthread_attr_setdetachstate(&attributes, 12345), EINVAL);
	RETURNS(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), 0);
	RETURNS(pthread_create(&thread, &attributes, until, (void *)1), 0);
	RETURNS(pthread_join(thread, NULL), EINVAL);
	RETURNS(pthread_getattr_np(thread, &attributes), 0);
	RETURNS(pthread_attr_getdetachstate(&attributes, &state), 0);
	EQUAL(state, PTHREAD_CREATE_DETACHED);
	sleep_until(start + 2 * SECOND);
	printf("detached from its start\n");
}

static void *use_stack(void *unused)
{
	volatile char room[1 << 20];

	(void)unused;
	for (size_t at = 0; at < sizeof(room); at += 4096)
		room[at] = 1;
	return (void *)(intptr_t)room[0];
}

static void stack_size(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	size_t size;

	RETURNS(pthread_attr_init(&attributes), 0);
	RETURNS(pthread_attr_setstacksize(&attributes, 1), EINVAL);
	RETURNS(pthread_attr_setstacksize(&attributes, 2 << 20), 0);
	RETURNS(pthread_create(&thread, &attributes, use_stack, NULL), 0);
	RETURNS(pthread_getattr_np(thread, &attributes), 0);
	RETURNS(pthread_attr_getstacksize(&attributes, &size), 0);
	RETURNS(pthread_join(thread, NULL), 0);
	printf("%zu bytes\n", size);
}

static void say(void *text)
{
	printf("cleanup %s\n", (char *)text);
}

static void *sleeps_with_cleanup(void *unused)
{
	(void)unused;
	pthread_cleanup_push(say, "first");
	pthread_cleanup_push(say, "second");
	sleep(1000000);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancelled_in_its_sleep(void)
{
	pthread_t thread;
	void *value;

	start = now();
	thread = make_thread(sleeps_with_cleanup, NULL);
	sleep_until(start + SECOND);
	RETURNS(pthread_cancel(thread), 0);
	RETURNS(pthread_join(thread, &value), 0);
	CHECK(value == PTHREAD_CANCELED);
	print_after("cancelled", start);
}

static void *puts_it_off(void *unused)
{
	int before;

	(void)unused;
	RETURNS(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before), 0);
	EQUAL(before, PTHREAD_CANCEL_ENABLE);
	sleep_until(start + 5 * SECOND);
	printf("not yet\n");
	RETURNS(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL), 0);
	pthread_testcancel();
	fail(__FILE__, __LINE__, "outlived its cancellation");
}

static void cancellation_put_off(void)
{
	pthread_t thread;
	void *value;

	start = now();
	thread = make_thread(puts_it_off, NULL);
	sleep_until(start + SECOND);
	RETURNS(pthread_cancel(thread), 0);
	RETURNS(pthread_join(thread, &value), 0);
	CHECK(value == PTHREAD_CANCELED);
	print_after("cancelled", start);
}

static _Thread_local int mine = 1;

static void *set_mine(void *value)
{
	EQUAL(mine, 1);
	mine = (intptr_t)value;
	errno = EPERM;
	return (void *)(intptr_t)mine;
}

static void variables_of_a_thread(void)
{
	void *value;

	errno = 0;
	RETURNS(pthread_join(make_thread(set_mine, (void *)5), &value), 0);
	printf("thread %ld, main %d, errno %s\n", (intptr_t)value, mine, error_name(errno));
}

static void *who(void *ids)
{
	((pid_t *)ids)[0] = getpid();
	((pid_t *)ids)[1] = gettid();
	return NULL;
}

static void one_process(void)
{
	pid_t ids[2];
	pthread_t thread = make_thread(who, ids);

	RETURNS(pthread_join(thread, NULL), 0);
	EQUAL(ids[0], getpid());
	CHECK(ids[1] != getpid());
	EQUAL(gettid(), getpid());
	CHECK(!pthread_equal(thread, pthread_self()));
	printf("one process, two threads\n");
}

static void *forks(void *unused)
{
	pid_t pid = make_child();

	(void)unused;
	if (pid == 0)
		_exit(getpid() == gettid() ? 3 : 4);
	EXITS(pid, 3);
	return NULL;
}

static void fork_in_a_thread(void)
{
	pthread_t other = make_thread(for_ever, NULL);

	RETURNS(pthread_join(make_thread(forks, NULL), NULL), 0);
	RETURNS(pthread_kill(other, 0), 0);
	printf("the child has one thread\n");
}

static void names(void)
{
	char name[32];

	RETURNS(pthread_setname_np(pthread_self(), "fifteen letters"), 0);
	RETURNS(pthread_setname_np(pthread_self(), "sixteen letters!"), ERANGE);
	RETURNS(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
	printf("%s\n", name);
}

BEHAVIOURS(
	{"values-come-back", values_come_back},
	{"create-errors", create_errors},
	{"join-waits", join_waits},
	{"timed-join", timed_join},
	{"join-errors", join_errors},
	{"made-detached", made_detached},
	{"stack-size", stack_size},
	{"cancelled-in-its-sleep", cancelled_in_its_sleep},
	{"cancellation-put-off", cancellation_put_off},
	{"variables-of-a-thread", variables_of_a_thread},
	{"one-process", one_process},
	{"fork-in-a-thread", fork_in_a_thread},
	{"names", names},
)
