// SPDX-License-Identifier: MIT
// Usage: time-clock BEHAVIOUR
// The clocks, and times of day as text (clock_gettime(2), strftime(3), tzset(3)).
#include "behaviour.h"

#include <sys/resource.h>
#include <sys/time.h>

static int64_t read_clock(clockid_t clock)
{
	struct timespec time;

	EQUAL(clock_gettime(clock, &time), 0);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static void clocks_advance_alike(void)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC,	CLOCK_MONOTONIC_RAW,
					   CLOCK_BOOTTIME, CLOCK_TAI};
	int64_t start = now(), before[COUNT(clocks)];

	for (size_t i = 0; i < COUNT(clocks); i++)
		before[i] = read_clock(clocks[i]);
	sleep_until(start + 3600 * SECOND);
	for (size_t i = 0; i < COUNT(clocks); i++)
		printf("clock %d after %" PRId64 " ns\n", clocks[i], read_clock(clocks[i]) - before[i]);
}

static void never_backwards(void)
{
	int64_t last = now();

	for (int i = 0; i < 1000; i++) {
		int64_t time = now();

		CHECK(time > last);
		last = time;
	}
	printf("a thousand readings, each later\n");
}

static void resolution(void)
{
	struct timespec found;

	EQUAL(clock_getres(CLOCK_MONOTONIC, &found), 0);
	printf("%ld.%09ld s\n", found.tv_sec, found.tv_nsec);
	EQUAL(clock_getres(CLOCK_REALTIME, &found), 0);
	printf("%ld.%09ld s\n", found.tv_sec, found.tv_nsec);
	FAILS(clock_getres(9999, &found), EINVAL);
	FAILS(clock_gettime(9999, &found), EINVAL);
}

static void calls_agree(void)
{
	int64_t before, between, after;
	struct timeval day;

	/* In the middle of a second: time(2) may be behind by a tick of the kernel. */
	sleep_until(now() + SECOND - (read_clock(CLOCK_REALTIME) + SECOND / 2) % SECOND);
	before = read_clock(CLOCK_REALTIME);
	EQUAL(gettimeofday(&day, NULL), 0);
	between = day.tv_sec * SECOND + day.tv_usec * 1000;
	after = read_clock(CLOCK_REALTIME);
	CHECK(between >= before - 1000 && between <= after); /* gettimeofday cuts nanoseconds off */
	EQUAL(time(NULL), before / SECOND);
	printf("the same time of day\n");
}

/* The network's clock is 2024-01-01T00:00:00Z plus its own time, on a virtual backend. */
static void time_of_day(void)
{
	time_t seconds = read_clock(CLOCK_REALTIME) / SECOND;
	char text[64];

	CHECK(strftime(text, sizeof(text), "%Y-%m-%d %H:%M", gmtime(&seconds)) > 0);
	printf("%s\n", text);
}

static void sleeping_takes_no_processor(void)
{
	int64_t start = now(), before = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	struct rusage usage;

	sleep_until(start + 100 * SECOND);
	CHECK(read_clock(CLOCK_PROCESS_CPUTIME_ID) - before < SECOND / 10);
	EQUAL(getrusage(RUSAGE_SELF, &usage), 0);
	CHECK(usage.ru_nvcsw > 0);
	printf("hardly any\n");
}

static void print_time(const char *zone, time_t seconds)
{
	struct tm parts;
	char text[64];

	EQUAL(setenv("TZ", zone, 1), 0);
	tzset();
	CHECK(localtime_r(&seconds, &parts) != NULL);
	CHECK(strftime(text, sizeof(text), "%a %F %T %Z %z %j", &parts) > 0);
	printf("%s\n", text);
	EQUAL(mktime(&parts), seconds);
}

static void time_zones(void)
{
	static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";
	struct tm parts = {0};

	print_time("UTC", 0);
	print_time("UTC", 951782400);	   /* a leap day */
	print_time(berlin, 1711846799);	   /* the last second of winter time */
	print_time(berlin, 1711846800);	   /* the first one of summer time */
	print_time("EST5", 4102444800);	   /* after 2038 */
	CHECK(strptime("2024-02-29 12:34:56", "%Y-%m-%d %H:%M:%S", &parts) != NULL);
	printf("%ld\n", timegm(&parts));
	printf("%.0f\n", difftime(1711846800, 951782400));
}

BEHAVIOURS(
	{"clocks-advance-alike", clocks_advance_alike},
	{"never-backwards", never_backwards},
	{"resolution", resolution},
	{"calls-agree", calls_agree},
	{"time-of-day", time_of_day},
	{"sleeping-takes-no-processor", sleeping_takes_no_processor},
	{"time-zones", time_zones},
)
