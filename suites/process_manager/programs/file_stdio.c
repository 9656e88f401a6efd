// SPDX-License-Identifier: MIT
// Usage: file-stdio BEHAVIOUR
// Files as streams: buffers, positions, ends, text in and out (stdio(3)).
#include "behaviour.h"

#include <fcntl.h>
#include <sys/stat.h>

#define PATH "/tmp/stream"

static off_t size_of_file(void)
{
	struct stat found;

	EQUAL(stat(PATH, &found), 0);
	return found.st_size;
}

static FILE *open_stream(const char *mode)
{
	FILE *stream = fopen(PATH, mode);

	CHECK(stream);
	return stream;
}

static void buffers(void)
{
	FILE *stream = open_stream("w");

	setvbuf(stream, NULL, _IOFBF, 4096);
	fputs("line\n", stream);
	printf("full: %ld,", size_of_file());
	fflush(stream);
	printf(" %ld after fflush\n", size_of_file());
	stream = freopen(PATH, "w", stream);
	setvbuf(stream, NULL, _IOLBF, 4096);
	fputs("part", stream);
	printf("line: %ld,", size_of_file());
	fputs(" and end\n", stream);
	printf(" %ld after its end\n", size_of_file());
	stream = freopen(PATH, "w", stream);
	setvbuf(stream, NULL, _IONBF, 0);
	fputs("x", stream);
	printf("none: %ld\n", size_of_file());
	fputs("yz", stream);
	EQUAL(fclose(stream), 0);
	EQUAL(size_of_file(), 3);
}

static void positions(void)
{
	FILE *stream = open_stream("w+");
	fpos_t place;

	fputs("0123456789", stream);
	EQUAL(ftell(stream), 10);
	EQUAL(fseek(stream, 3, SEEK_SET), 0);
	EQUAL(fgetc(stream), '3');
	EQUAL(fgetpos(stream, &place), 0);
	EQUAL(fseek(stream, -1, SEEK_END), 0);
	EQUAL(fgetc(stream), '9');
	EQUAL(fsetpos(stream, &place), 0);
	EQUAL(fgetc(stream), '4');
	EQUAL(ungetc('X', stream), 'X');
	EQUAL(fgetc(stream), 'X');
	EQUAL(fgetc(stream), '5');
	rewind(stream);
	EQUAL(fgetc(stream), '0');
	FAILS(fseek(stream, -5, SEEK_SET), EINVAL);
	printf("positions\n");
}

static void ends_and_errors(void)
{
	FILE *stream = open_stream("w");

	EQUAL(fgetc(stream), EOF);
	CHECK(ferror(stream) && !feof(stream));
	clearerr(stream);
	CHECK(!ferror(stream));
	fputs("ab", stream);
	fclose(stream);
	stream = open_stream("r");
	EQUAL(fgetc(stream), 'a');
	EQUAL(fgetc(stream), 'b');
	CHECK(!feof(stream)); /* only a read that finds nothing tells */
	EQUAL(fgetc(stream), EOF);
	CHECK(feof(stream) && !ferror(stream));
	CHECK(!fopen("/tmp/missing", "r") && errno == ENOENT);
	CHECK(!fopen(PATH, "nonsense") && errno == EINVAL);
	CHECK(!fopen(PATH, "wx") && errno == EEXIST);
	stream = fopen("/dev/full", "w");
	fputs("x", stream);
	FAILS(fclose(stream), ENOSPC);
	printf("ends and errors\n");
}

static void lines(void)
{
	FILE *stream = open_stream("w+");
	char small[8], *line = NULL;
	size_t room = 0;

	fputs("short\na much longer line\n\nlast", stream);
	rewind(stream);
	while (fgets(small, sizeof(small), stream))
		printf("[%s]", small);
	rewind(stream);
	for (ssize_t bytes; (bytes = getline(&line, &room, stream)) >= 0;)
		printf("%zd ", bytes);
	printf("\n");
	free(line);
}

static void scanning(void)
{
	FILE *stream = open_stream("w+");
	int number, count;
	unsigned int hex;
	char word[16], set[16];
	double real;

	fprintf(stream, "%d %x %s %.2f [%s]\n", -17, 0xbeef, "word", 2.5, "a-z");
	rewind(stream);
	count = fscanf(stream, "%d %x %15s %lf [%15[^]]]", &number, &hex, word, &real, set);
	printf("%d: %d %x %s %.2f %s\n", count, number, hex, word, real, set);
	EQUAL(sscanf("12 x", "%d %d", &number, &number), 1);
	EQUAL(sscanf("", "%d", &number), EOF);
}

static void blocks(void)
{
	FILE *stream = open_stream("w+");
	uint32_t numbers[1000], found[1000];

	for (int i = 0; i < 1000; i++)
		numbers[i] = i * 2654435761U;
	EQUAL(fwrite(numbers, sizeof(uint32_t), 1000, stream), 1000);
	rewind(stream);
	EQUAL(fread(found, sizeof(uint32_t), 600, stream), 600);
	EQUAL(fread(found + 600, sizeof(uint32_t), 600, stream), 400); /* the last ones */
	EQUAL(memcmp(numbers, found, sizeof(numbers)), 0);
	printf("%ld bytes\n", ftell(stream));
}

static void streams_without_a_file(void)
{
	char room[16] = "", *text;
	size_t bytes;
	FILE *stream = fmemopen(room, sizeof(room), "w");

	fprintf(stream, "%d", 12345);
	fclose(stream);
	SAME_TEXT(room, "12345");
	stream = open_memstream(&text, &bytes);
	for (int i = 0; i < 100; i++)
		fprintf(stream, "%d,", i);
	fclose(stream);
	printf("%zu bytes\n", bytes);
	stream = tmpfile();
	CHECK(stream);
	fputs("gone when closed", stream);
	rewind(stream);
	CHECK(fgets(room, sizeof(room), stream));
	SAME_TEXT(room, "gone when close");
}

static void pipes_to_programs(void)
{
	FILE *stream = popen("echo from a shell; exit 3", "r");
	char line[64];

	CHECK(stream);
	CHECK(fgets(line, sizeof(line), stream));
	printf("%s", line);
	EQUAL(WEXITSTATUS(pclose(stream)), 3);
	stream = popen("tr a-z A-Z", "w");
	CHECK(stream);
	fputs("to a program\n", stream);
	EQUAL(pclose(stream), 0);
	EQUAL(WEXITSTATUS(system("exit 4")), 4);
	EQUAL(WTERMSIG(system("kill -9 $$")), 9);
}

static void descriptors(void)
{
	int fd = open(PATH, O_RDWR | O_CREAT | O_TRUNC, 0600);
	FILE *stream = fdopen(fd, "w");

	CHECK(stream);
	EQUAL(fileno(stream), fd);
	fputs("twelve bytes", stream);
	EQUAL(fclose(stream), 0);
	FAILS(close(fd), EBADF);
	EQUAL(size_of_file(), 12);
	CHECK(!fdopen(999, "r") && errno == EBADF);
	EQUAL(dprintf(1, "%s\n", "straight to a descriptor"), 25);
}

BEHAVIOURS(
	{"buffers", buffers},
	{"positions", positions},
	{"ends-and-errors", ends_and_errors},
	{"lines", lines},
	{"scanning", scanning},
	{"blocks", blocks},
	{"streams-without-a-file", streams_without_a_file},
	{"pipes-to-programs", pipes_to_programs},
	{"descriptors", descriptors},
)
