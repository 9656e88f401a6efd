/* SPDX-License-Identifier: MIT */
/* A thread that runs a function without arguments, and its end. */
#ifndef THREAD_H
#define THREAD_H

#include "behaviour.h"

#include <pthread.h>

static void *call_in_thread(void *body)
{
	((void (*)(void))body)();
	return NULL;
}

static pthread_t make_thread(void (*body)(void))
{
	pthread_t thread;

	RETURNS(pthread_create(&thread, NULL, call_in_thread, body), 0);
	return thread;
}

static void join(pthread_t thread)
{
	RETURNS(pthread_join(thread, NULL), 0);
}

#endif
