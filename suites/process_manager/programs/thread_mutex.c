// SPDX-License-Identifier: MIT
// Usage: thread-mutex BEHAVIOUR
// Mutexes of each kind, and read-write and spin locks (pthread_mutexattr_settype(3), pthread_rwlock_rdlock(3p)).
#include "behaviour.h"
#include "thread.h"

#include <pthread.h>
#include <sys/mman.h>

static int64_t start;
static pthread_mutex_t mutex;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static void make_mutex(int type)
{
	pthread_mutexattr_t attributes;

	RETURNS(pthread_mutexattr_init(&attributes), 0);
	RETURNS(pthread_mutexattr_settype(&attributes, type), 0);
	RETURNS(pthread_mutex_init(&mutex, &attributes), 0);
	RETURNS(pthread_mutexattr_destroy(&attributes), 0);
}

static void is_busy(void)
{
	RETURNS(pthread_mutex_trylock(&mutex), EBUSY);
}

static void is_not_mine(void)
{
	RETURNS(pthread_mutex_unlock(&mutex), EPERM);
}

static void normal(void)
{
	make_mutex(PTHREAD_MUTEX_NORMAL);
	RETURNS(pthread_mutex_lock(&mutex), 0);
	is_busy();
	join(make_thread(is_busy));
	RETURNS(pthread_mutex_unlock(&mutex), 0);
	RETURNS(pthread_mutex_trylock(&mutex), 0);
	RETURNS(pthread_mutex_unlock(&mutex), 0);
	RETURNS(pthread_mutex_destroy(&mutex), 0);
	printf("EBUSY for owner and others\n");
}

static void error_checking(void)
{
	make_mutex(PTHREAD_MUTEX_ERRORCHECK);
	RETURNS(pthread_mutex_unlock(&mutex), EPERM);
	RETURNS(pthread_mutex_lock(&mutex), 0);
	RETURNS(pthread_mutex_lock(&mutex), EDEADLK);
	join(make_thread(is_not_mine));
	RETURNS(pthread_mutex_unlock(&mutex), 0);
	printf("EPERM, EDEADLK, EPERM\n");
}

static void recursive(void)
{
	make_mutex(PTHREAD_MUTEX_RECURSIVE);
	for (int i = 0; i < 3; i++)
		RETURNS(pthread_mutex_lock(&mutex), 0);
	for (int i = 0; i < 3; i++) {
		join(make_thread(is_busy));
		join(make_thread(is_not_mine));
		RETURNS(pthread_mutex_unlock(&mutex), 0);
	}
	RETURNS(pthread_mutex_unlock(&mutex), EPERM);
	printf("three times locked and unlocked\n");
}

static void wait_two_seconds(void)
{
	struct timespec limit = timespec_of(start + 2 * SECOND);

	RETURNS(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &limit), ETIMEDOUT);
	print_after("gave up", start);
	limit = timespec_of(start + 10 * SECOND);
	RETURNS(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &limit), 0);
	print_after("locked", start);
	RETURNS(pthread_mutex_unlock(&mutex), 0);
}

static void timed(void)
{
	pthread_t thread;

	make_mutex(PTHREAD_MUTEX_NORMAL);
	RETURNS(pthread_mutex_lock(&mutex), 0);
	start = now();
	thread = make_thread(wait_two_seconds);
	sleep_until(start + 5 * SECOND);
	RETURNS(pthread_mutex_unlock(&mutex), 0);
	join(thread);
}

static void lock_and_end(void)
{
	RETURNS(pthread_mutex_lock(&mutex), 0);
}

static void robust(void)
{
	pthread_mutexattr_t attributes;

	RETURNS(pthread_mutexattr_init(&attributes), 0);
	RETURNS(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), 0);
	RETURNS(pthread_mutex_init(&mutex, &attributes), 0);
	join(make_thread(lock_and_end));
	RETURNS(pthread_mutex_lock(&mutex), EOWNERDEAD);
	RETURNS(pthread_mutex_consistent(&mutex), 0);
	RETURNS(pthread_mutex_unlock(&mutex), 0);
	join(make_thread(lock_and_end));
	RETURNS(pthread_mutex_lock(&mutex), EOWNERDEAD);
	RETURNS(pthread_mutex_unlock(&mutex), 0);
	RETURNS(pthread_mutex_lock(&mutex), ENOTRECOVERABLE);
	printf("EOWNERDEAD, consistent, EOWNERDEAD, ENOTRECOVERABLE\n");
}

static void shared_by_processes(void)
{
	struct {
		pthread_mutex_t mutex;
		int count;
	} *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attributes;
	pid_t pid;

	CHECK(shared != MAP_FAILED);
	RETURNS(pthread_mutexattr_init(&attributes), 0);
	RETURNS(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), 0);
	RETURNS(pthread_mutex_init(&shared->mutex, &attributes), 0);
	RETURNS(pthread_mutex_lock(&shared->mutex), 0);
	start = now();
	pid = make_child();
	if (pid == 0) {
		RETURNS(pthread_mutex_lock(&shared->mutex), 0);
		print_after("child locked", start);
		shared->count++;
		RETURNS(pthread_mutex_unlock(&shared->mutex), 0);
		_exit(0);
	}
	sleep_until(start + 4 * SECOND);
	shared->count = 10;
	RETURNS(pthread_mutex_unlock(&shared->mutex), 0);
	EXITS(pid, 0);
	printf("count %d\n", shared->count);
}

static int counter;

static void count(void)
{
	for (int i = 0; i < 100; i++) {
		int seen;

		RETURNS(pthread_mutex_lock(&mutex), 0);
		seen = counter;
		if (i % 10 == 0)
			sched_yield();
		counter = seen + 1;
		RETURNS(pthread_mutex_unlock(&mutex), 0);
	}
}

static void no_count_is_lost(void)
{
	pthread_t threads[8];

	make_mutex(PTHREAD_MUTEX_NORMAL);
	for (int i = 0; i < 8; i++)
		threads[i] = make_thread(count);
	for (int i = 0; i < 8; i++)
		join(threads[i]);
	printf("counted %d\n", counter);
}

static void read_lock(void)
{
	RETURNS(pthread_rwlock_tryrdlock(&lock), 0);
	RETURNS(pthread_rwlock_unlock(&lock), 0);
}

static void no_write_lock(void)
{
	RETURNS(pthread_rwlock_trywrlock(&lock), EBUSY);
}

static void no_read_lock(void)
{
	RETURNS(pthread_rwlock_tryrdlock(&lock), EBUSY);
}

static void readers_share_writers_do_not(void)
{
	RETURNS(pthread_rwlock_rdlock(&lock), 0);
	RETURNS(pthread_rwlock_rdlock(&lock), 0);
	join(make_thread(read_lock));
	join(make_thread(no_write_lock));
	RETURNS(pthread_rwlock_unlock(&lock), 0);
	join(make_thread(no_write_lock));
	RETURNS(pthread_rwlock_unlock(&lock), 0);
	RETURNS(pthread_rwlock_wrlock(&lock), 0);
	join(make_thread(no_read_lock));
	join(make_thread(no_write_lock));
	RETURNS(pthread_rwlock_rdlock(&lock), EDEADLK);
	RETURNS(pthread_rwlock_unlock(&lock), 0);
	printf("readers with readers only\n");
}

static void write_within_two_seconds(void)
{
	struct timespec limit = timespec_of(start + 2 * SECOND);

	RETURNS(pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &limit), ETIMEDOUT);
	print_after("gave up", start);
	RETURNS(pthread_rwlock_wrlock(&lock), 0);
	print_after("locked", start);
	RETURNS(pthread_rwlock_unlock(&lock), 0);
}

static void writer_waits_for_readers(void)
{
	pthread_t thread;

	start = now();
	RETURNS(pthread_rwlock_rdlock(&lock), 0);
	thread = make_thread(write_within_two_seconds);
	sleep_until(start + 3 * SECOND);
	RETURNS(pthread_rwlock_unlock(&lock), 0);
	join(thread);
}

static pthread_spinlock_t spin;

static void spins_in_vain(void)
{
	RETURNS(pthread_spin_trylock(&spin), EBUSY);
}

static void spin_lock(void)
{
	RETURNS(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE), 0);
	RETURNS(pthread_spin_lock(&spin), 0);
	join(make_thread(spins_in_vain));
	RETURNS(pthread_spin_unlock(&spin), 0);
	RETURNS(pthread_spin_trylock(&spin), 0);
	RETURNS(pthread_spin_destroy(&spin), 0);
	printf("EBUSY while locked\n");
}

BEHAVIOURS(
	{"normal", normal},
	{"error-checking", error_checking},
	{"recursive", recursive},
	{"timed", timed},
	{"robust", robust},
	{"shared-by-processes", shared_by_processes},
	{"no-count-is-lost", no_count_is_lost},
	{"readers-share-writers-do-not", readers_share_writers_do_not},
	{"writer-waits-for-readers", writer_waits_for_readers},
	{"spin-lock", spin_lock},
)
