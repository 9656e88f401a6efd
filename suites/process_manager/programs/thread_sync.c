// SPDX-License-Identifier: MIT
// Usage: thread-sync BEHAVIOUR
// What threads wait for each other with: once, keys, conditions, barriers, semaphores (pthreads(7), sem_overview(7)),
// and the futexes below them (futex(2)).
#include "behaviour.h"
#include "thread.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static int64_t start;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;

static pthread_once_t only = PTHREAD_ONCE_INIT;

static void first_call(void)
{
	sleep_until(start + SECOND);
	print_after("once", start);
}

static void call_once(void)
{
	RETURNS(pthread_once(&only, first_call), 0);
	CHECK(now() - start >= SECOND); /* the others wait for the one */
}

static void once(void)
{
	pthread_t threads[10];

	start = now();
	for (int i = 0; i < 10; i++)
		threads[i] = make_thread(call_once);
	for (int i = 0; i < 10; i++)
		join(threads[i]);
	call_once();
}

static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *value)
{
	atomic_fetch_add(&destroyed, (int)(intptr_t)value);
}

static void use_key(void)
{
	CHECK(pthread_getspecific(key) == NULL);
	RETURNS(pthread_setspecific(key, (void *)5), 0);
	EQUAL((intptr_t)pthread_getspecific(key), 5);
}

static void keys(void)
{
	pthread_t threads[4];

	RETURNS(pthread_key_create(&key, destroy), 0);
	RETURNS(pthread_setspecific(key, (void *)1000), 0);
	for (int i = 0; i < 4; i++)
		threads[i] = make_thread(use_key);
	for (int i = 0; i < 4; i++)
		join(threads[i]);
	printf("destroyed %d, main has %ld\n", destroyed, (intptr_t)pthread_getspecific(key));
	RETURNS(pthread_key_delete(key), 0);
	RETURNS(pthread_setspecific(key, (void *)1), EINVAL);
}

static void make_condition(void)
{
	pthread_condattr_t attributes;

	RETURNS(pthread_condattr_init(&attributes), 0);
	RETURNS(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), 0);
	RETURNS(pthread_cond_init(&condition, &attributes), 0);
}

static int woken, ready;

static void wait_for_condition(void)
{
	RETURNS(pthread_mutex_lock(&mutex), 0);
	while (!ready)
		RETURNS(pthread_cond_wait(&condition, &mutex), 0);
	ready--;
	woken++;
	RETURNS(pthread_mutex_unlock(&mutex), 0);
}

static void make_ready(int count, int everybody)
{
	RETURNS(pthread_mutex_lock(&mutex), 0);
	ready = count;
	RETURNS(everybody ? pthread_cond_broadcast(&condition) : pthread_cond_signal(&condition), 0);
	RETURNS(pthread_mutex_unlock(&mutex), 0);
}

static void condition_wakes_one_or_all(void)
{
	pthread_t threads[5];

	make_condition();
	start = now();
	for (int i = 0; i < 5; i++)
		threads[i] = make_thread(wait_for_condition);
	sleep_until(start + SECOND);
	make_ready(1, 0);
	sleep_until(start + 2 * SECOND);
	printf("woken %d\n", woken);
	make_ready(4, 1);
	for (int i = 0; i < 5; i++)
		join(threads[i]);
	printf("woken %d\n", woken);
	print_after("all", start);
}

static void condition_times_out(void)
{
	struct timespec limit;

	make_condition();
	RETURNS(pthread_mutex_lock(&mutex), 0);
	start = now();
	limit = timespec_of(start + 5 * SECOND / 2);
	RETURNS(pthread_cond_timedwait(&condition, &mutex, &limit), ETIMEDOUT);
	print_after("gave up", start);
	RETURNS(pthread_mutex_trylock(&mutex), EBUSY); /* it is locked again */
	RETURNS(pthread_cond_timedwait(&condition, &mutex, &limit), ETIMEDOUT);
	print_after("gave up at once", start);
	limit.tv_nsec = -1;
	RETURNS(pthread_cond_timedwait(&condition, &mutex, &limit), EINVAL);
}

static void signal_at_two_seconds(void)
{
	sleep_until(start + 2 * SECOND);
	make_ready(1, 0);
}

static void condition_in_time(void)
{
	struct timespec limit;
	pthread_t thread;

	make_condition();
	RETURNS(pthread_mutex_lock(&mutex), 0);
	start = now();
	limit = timespec_of(start + 60 * SECOND);
	thread = make_thread(signal_at_two_seconds);
	while (!ready)
		RETURNS(pthread_cond_timedwait(&condition, &mutex, &limit), 0);
	print_after("woken", start);
	RETURNS(pthread_mutex_unlock(&mutex), 0);
	join(thread);
}

enum { PARTIES = 4, ROUNDS = 1000 };

static pthread_barrier_t barrier;
static atomic_int arrived, serial;

static void meet(void)
{
	for (int round = 1; round <= ROUNDS; round++) {
		int result;

		atomic_fetch_add(&arrived, 1);
		result = pthread_barrier_wait(&barrier);
		if (result == PTHREAD_BARRIER_SERIAL_THREAD)
			atomic_fetch_add(&serial, 1);
		else
			EQUAL(result, 0);
		CHECK(arrived >= round * PARTIES); /* nobody leaves before all have come */
		CHECK(arrived <= round * PARTIES + PARTIES);
	}
}

static void barrier_of_four(void)
{
	pthread_t threads[PARTIES];

	RETURNS(pthread_barrier_init(&barrier, NULL, 0), EINVAL);
	RETURNS(pthread_barrier_init(&barrier, NULL, PARTIES), 0);
	for (int i = 0; i < PARTIES; i++)
		threads[i] = make_thread(meet);
	for (int i = 0; i < PARTIES; i++)
		join(threads[i]);
	printf("arrived %d times, %d serial threads\n", arrived, serial);
	RETURNS(pthread_barrier_destroy(&barrier), 0);
}

static sem_t ping, pong;
static char rally[256];
static int shots;

static void answer(void)
{
	for (int i = 0; i < 100; i++) {
		EQUAL(sem_wait(&ping), 0);
		rally[shots++] = 'o';
		EQUAL(sem_post(&pong), 0);
	}
}

static void semaphores_ping_pong(void)
{
	pthread_t thread;

	EQUAL(sem_init(&ping, 0, 0), 0);
	EQUAL(sem_init(&pong, 0, 0), 0);
	thread = make_thread(answer);
	for (int i = 0; i < 100; i++) {
		rally[shots++] = 'i';
		EQUAL(sem_post(&ping), 0);
		EQUAL(sem_wait(&pong), 0);
	}
	join(thread);
	printf("%s\n", rally);
}

static void post_at_three_seconds(void)
{
	sleep_until(start + 3 * SECOND);
	EQUAL(sem_post(&ping), 0);
}

static void semaphore_times_out(void)
{
	struct timespec limit;
	pthread_t thread;
	int value;

	EQUAL(sem_init(&ping, 0, 1), 0);
	EQUAL(sem_trywait(&ping), 0);
	FAILS(sem_trywait(&ping), EAGAIN);
	start = now();
	thread = make_thread(post_at_three_seconds);
	limit = timespec_of(start + 2 * SECOND);
	FAILS(sem_clockwait(&ping, CLOCK_MONOTONIC, &limit), ETIMEDOUT);
	print_after("gave up", start);
	EQUAL(sem_wait(&ping), 0);
	print_after("taken", start);
	EQUAL(sem_getvalue(&ping, &value), 0);
	EQUAL(value, 0);
	FAILS(sem_init(&pong, 0, 0x80000000U), EINVAL);
	join(thread);
}

static void named_semaphore(void)
{
	sem_t *semaphore = sem_open("/suite", O_CREAT | O_EXCL, 0600, 0);
	pid_t pid;

	CHECK(semaphore != SEM_FAILED);
	CHECK(sem_open("/suite", O_CREAT | O_EXCL, 0600, 0) == SEM_FAILED && errno == EEXIST);
	start = now();
	pid = make_child();
	if (pid == 0) {
		sem_t *same = sem_open("/suite", 0);

		CHECK(same != SEM_FAILED);
		sleep_until(start + SECOND);
		EQUAL(sem_post(same), 0);
		_exit(0);
	}
	EQUAL(sem_wait(semaphore), 0);
	print_after("posted by another process", start);
	EXITS(pid, 0);
	EQUAL(sem_unlink("/suite"), 0);
	CHECK(sem_open("/suite", 0) == SEM_FAILED && errno == ENOENT);
}

static uint32_t word;

static long futex(int operation, uint32_t value)
{
	return syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void wait_for_word(void)
{
	EQUAL(futex(FUTEX_WAIT, 0), 0);
}

static void futex_wakes_so_many(void)
{
	pthread_t threads[5];

	FAILS(futex(FUTEX_WAIT, 1), EAGAIN);
	for (int i = 0; i < 5; i++)
		threads[i] = make_thread(wait_for_word);
	sleep_until(now() + SECOND);
	EQUAL(futex(FUTEX_WAKE, 1), 1);
	EQUAL(futex(FUTEX_WAKE, 3), 3);
	EQUAL(futex(FUTEX_WAKE, 100), 1);
	EQUAL(futex(FUTEX_WAKE, 1), 0);
	for (int i = 0; i < 5; i++)
		join(threads[i]);
	printf("one, three, the last\n");
}

BEHAVIOURS(
	{"once", once},
	{"keys", keys},
	{"condition-wakes-one-or-all", condition_wakes_one_or_all},
	{"condition-times-out", condition_times_out},
	{"condition-in-time", condition_in_time},
	{"barrier-of-four", barrier_of_four},
	{"semaphores-ping-pong", semaphores_ping_pong},
	{"semaphore-times-out", semaphore_times_out},
	{"named-semaphore", named_semaphore},
	{"futex-wakes-so-many", futex_wakes_so_many},
)
