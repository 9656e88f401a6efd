// SPDX-License-Identifier: MIT
// Usage: strings BEHAVIOUR
// Texts and blocks of bytes: copying, searching, numbers, other alphabets (string(3), strtol(3), printf(3)).
#include "behaviour.h"

#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <regex.h>
#include <signal.h>
#include <wchar.h>
#include <wctype.h>

static void blocks(void)
{
	char text[32] = "0123456789";

	memmove(text + 2, text, 8);
	SAME_TEXT(text, "0101234567");
	memmove(text, text + 2, 8);
	SAME_TEXT(text, "0123456767");
	CHECK(memcmp("a\0b", "a\0c", 3) < 0);
	CHECK(memchr(text, '7', 8) == text + 7);
	CHECK(memrchr(text, '7', 10) == text + 9);
	CHECK(memmem("needle in hay", 13, "in", 2) != NULL);
	CHECK(mempcpy(text, "abc", 3) == text + 3);
	SAME_TEXT(text, "abc3456767");
	printf("blocks\n");
}

static void copies_and_searches(void)
{
	const char *volatile longer = ",three,four"; /* volatile: no warning that it is cut off, which is the point */
	char text[64] = "one", *rest, *word;

	strcat(text, ",two");
	strncat(text, longer, 6);
	SAME_TEXT(text, "one,two,three");
	EQUAL(strlen(text), 13);
	EQUAL(strnlen(text, 5), 5);
	CHECK(strstr(text, "two") == text + 4);
	CHECK(strrchr(text, ',') == text + 7);
	EQUAL(strspn(text, "eno"), 3);
	EQUAL(strcspn(text, ","), 3);
	CHECK(strcmp("a", "b") < 0 && strcmp("b", "a") > 0);
	EQUAL(strcasecmp("HeLLo", "hEllO"), 0);
	EQUAL(strncmp("abcd", "abxx", 2), 0);
	for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		printf("%s\n", word);
	word = strdup("copy");
	SAME_TEXT(word, "copy");
	free(word);
	memset(text, 'x', sizeof(text));
	strncpy(text, "ab", 5); /* fills with zeros */
	EQUAL(text[4], 0);
	EQUAL(text[5], 'x');
}

static void numbers_from_text(void)
{
	char *end;

	EQUAL(strtol("  -42rest", &end, 10), -42);
	SAME_TEXT(end, "rest");
	EQUAL(strtol("0x1f", NULL, 0), 31);
	EQUAL(strtol("0777", NULL, 0), 511);
	EQUAL(strtol("zz", NULL, 36), 1295);
	errno = 0;
	EQUAL(strtol("99999999999999999999", NULL, 10), INT64_MAX);
	EQUAL(errno, ERANGE);
	EQUAL(strtoul("-1", NULL, 10), -1);
	EQUAL(strtol("none", &end, 10), 0);
	SAME_TEXT(end, "none");
	CHECK(strtod("1.5e3", NULL) == 1500.0);
	CHECK(strtod("0x1p-2", NULL) == 0.25);
	CHECK(isinf(strtod("1e999", NULL)));
	CHECK(isnan(strtod("nan", NULL)));
	EQUAL(atoi("17 and more"), 17);
	printf("numbers\n");
}

static void formats(void)
{
	const char *volatile longer = "longer than that";
	void *nowhere = NULL;
	char small[8];

	EQUAL(snprintf(small, sizeof(small), "%s", longer), 16);
	SAME_TEXT(small, "longer ");
	printf("[%5d] [%-5d] [%05d] [%+d] [%x] [%#o]\n", 42, 42, 42, 42, 255, 8);
	printf("[%8.3f] [%e] [%g] [%a]\n", 3.14159, 12345.678, 1e-10, 0.5);
	printf("[%.3s] [%10s] [%-10s] [%c] [%%] [%p]\n", "abcdef", "right", "left", 'c', nowhere);
	printf("[%*d] [%hhd] [%lld] [%zu]\n", 6, 42, 300, 1LL << 40, (size_t)7);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void sorting(void)
{
	int numbers[1000], wanted = 500, missing = 5000;
	uint32_t state = 1;

	for (int i = 0; i < 1000; i++)
		numbers[i] = i;
	for (int i = 999; i > 0; i--) {
		int other = (state = state * 1664525 + 1013904223) % (i + 1), kept = numbers[i];

		numbers[i] = numbers[other];
		numbers[other] = kept;
	}
	qsort(numbers, 1000, sizeof(int), compare);
	for (int i = 0; i < 1000; i++)
		EQUAL(numbers[i], i);
	CHECK(bsearch(&wanted, numbers, 1000, sizeof(int), compare) == &numbers[500]);
	CHECK(!bsearch(&missing, numbers, 1000, sizeof(int), compare));
	printf("sorted and found\n");
}

static void other_alphabets(void)
{
	wchar_t wide[32];
	char back[32];

	SAME_TEXT(setlocale(LC_ALL, ""), "C.UTF-8");
	EQUAL(mbstowcs(wide, "Grüße, 世界", COUNT(wide)), 9);
	EQUAL(wide[2], 0xfc);
	EQUAL(wide[7], 0x4e16);
	EQUAL(wcstombs(back, wide, sizeof(back)), 15);
	SAME_TEXT(back, "Grüße, 世界");
	FAILS((int)mbstowcs(NULL, "\xff", 0), EILSEQ);
	EQUAL(towupper(0xfc), 0xdc);
	EQUAL(wcslen(L"世界"), 2);
	printf("%ls\n", wide);
}

static void error_texts(void)
{
	char small[64];

	SAME_TEXT(strerror(ENOENT), "No such file or directory");
	SAME_TEXT(strerror_r(ECONNREFUSED, small, sizeof(small)), "Connection refused");
	SAME_TEXT(strerror(12345), "Unknown error 12345");
	SAME_TEXT(strsignal(SIGSEGV), "Segmentation fault");
	errno = EPERM;
	fflush(stdout);
	perror("perror");
	printf("%m\n");
}

static void patterns(void)
{
	regmatch_t matches[3];
	regex_t pattern;

	EQUAL(regcomp(&pattern, "([a-z]+)=([0-9]+)", REG_EXTENDED), 0);
	EQUAL(regexec(&pattern, "x: port=8080;", 3, matches, 0), 0);
	EQUAL(matches[2].rm_so, 8);
	EQUAL(matches[2].rm_eo, 12);
	EQUAL(regexec(&pattern, "nothing here", 0, NULL, 0), REG_NOMATCH);
	regfree(&pattern);
	EQUAL(regcomp(&pattern, "(", REG_EXTENDED), REG_EPAREN);
	printf("matched\n");
}

static void options(void)
{
	static const struct option names[] = {{"long", required_argument, NULL, 'l'}, {0}};
	char *argv[] = {"program", "-ab", "word", "-c", "value", "--long=x", "-?", "rest", NULL};
	int option;

	opterr = 0;
	while ((option = getopt_long(8, argv, "abc:", names, NULL)) != -1)
		printf("%c %s\n", option, optarg ? optarg : "-");
	printf("rest: %s %s\n", argv[optind], argv[optind + 1]);
}

BEHAVIOURS(
	{"blocks", blocks},
	{"copies-and-searches", copies_and_searches},
	{"numbers-from-text", numbers_from_text},
	{"formats", formats},
	{"sorting", sorting},
	{"other-alphabets", other_alphabets},
	{"error-texts", error_texts},
	{"patterns", patterns},
	{"options", options},
)
