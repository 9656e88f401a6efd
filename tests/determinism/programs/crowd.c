// SPDX-License-Identifier: MIT
// Many threads and processes that compete: what comes first is decided by the scheduler alone, and printed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 50, CHILDREN = 24, TIMERS = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static char log_[THREADS * ROUNDS + 1];
static int used;

// Eight threads take a lock in turn as they get it, some with a system call inside, some with none.
static void *compete(void *arg) {
    int me = (int)(long)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        log_[used++] = (char)('a' + me);
        if (i % 7 == me) usleep(1);
        if (i % 5 == me) pthread_cond_signal(&turn);
        pthread_mutex_unlock(&mutex);
        if (i % 3 == 0) sched_yield();
    }
    return NULL;
}

static void contention(void) {
    pthread_t thread[THREADS];
    for (long i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, compete, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    printf("contention: %s\n", log_);
}

// Children of a fork storm write their numbers to one pipe; some compute first, some sleep.
static void storm(void) {
    int pipe_[2];
    if (pipe(pipe_)) exit(1);
    for (int i = 0; i < CHILDREN; i++) {
        if (fork()) continue;
        if (i % 3 == 0) usleep((useconds_t)(1 + i % 2));
        if (i % 4 == 0 && fork() == 0) (void)!write(pipe_[1], "+", 1), _exit(0);
        char mark = (char)('a' + i);
        (void)!write(pipe_[1], &mark, 1);
        _exit(i);
    }
    close(pipe_[1]);
    printf("ends:");
    for (int status; waitpid(-1, &status, 0) > 0;) printf(" %d", WEXITSTATUS(status));
    char order[4 * CHILDREN] = "";
    for (ssize_t n, at = 0; (n = read(pipe_[0], order + at, sizeof order - 1 - (size_t)at)) > 0;) at += n;
    printf("\nstorm: %s\n", order);
    close(pipe_[0]);
}

static struct timespec deadline;

static void *sleeper(void *arg) {
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
    pthread_mutex_lock(&mutex);
    log_[used++] = (char)('a' + (int)(long)arg);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

// Threads and timer descriptors that are due at the very same nanosecond.
static void same_deadline(void) {
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec++;
    used = 0;
    memset(log_, 0, sizeof log_);
    pthread_t thread[THREADS];
    for (long i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, sleeper, (void *)i);
    int epoll = epoll_create1(0);
    struct itimerspec at = {.it_value = deadline};
    for (int i = 0; i < TIMERS; i++) {
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (unsigned)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    }
    printf("timers:");
    for (int seen = 0; seen < TIMERS;) {
        struct epoll_event e[TIMERS];
        int n = epoll_wait(epoll, e, TIMERS, -1);
        for (int i = 0; i < n; i++, seen++) {
            printf(" %u", e[i].data.u32);
            epoll_ctl(epoll, EPOLL_CTL_DEL, (int)e[i].data.u32 + epoll + 1, NULL);
        }
    }
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    printf("\nsleepers: %s\n", log_);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number) {
    (void)number;
    alarms++;
}

// A real-time and a CPU-time interval timer against a loop: how far did it get at each signal?
static void signals(void) {
    struct sigaction act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    sigaction(SIGVTALRM, &act, NULL);
    struct itimerval each = {{0, 700}, {0, 700}};
    setitimer(ITIMER_REAL, &each, NULL);
    setitimer(ITIMER_VIRTUAL, &each, NULL);
    printf("alarms:");
    int last = 0;
    for (long calls = 0; alarms < 10 && calls < 100000; calls++) {
        getppid();
        if (alarms != last) printf(" %ld", calls), last = alarms;
    }
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    setitimer(ITIMER_VIRTUAL, &none, NULL);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("\nend: %ld.%09ld\n", now.tv_sec, now.tv_nsec);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 1 << 12);
    contention();
    fflush(stdout);
    storm();
    same_deadline();
    signals();
    return 0;
}
