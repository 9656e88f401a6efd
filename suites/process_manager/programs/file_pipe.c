// SPDX-License-Identifier: MIT
// Usage: file-pipe BEHAVIOUR
// Pipes, FIFOs and counters between processes (pipe(7), fifo(7), eventfd(2), mq_overview(7), splice(2)).
#include "behaviour.h"

#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int ends[2];

static void make_pipe(int flags)
{
	EQUAL(pipe2(ends, flags), 0);
}

static void bytes_in_order(void)
{
	static unsigned char block[10007];
	size_t total = 0;
	ssize_t got;
	pid_t pid;

	make_pipe(0);
	pid = make_child();
	if (pid == 0) {
		for (size_t i = 0; i < 1000000; i++) {
			block[i % sizeof(block)] = i % 251;
			if (i % sizeof(block) == sizeof(block) - 1 || i == 999999)
				EQUAL(write(ends[1], block, i % sizeof(block) + 1), i % sizeof(block) + 1);
		}
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], block, sizeof(block))) > 0)
		for (ssize_t i = 0; i < got; i++)
			EQUAL(block[i], total++ % 251);
	EXITS(pid, 0);
	printf("%zu bytes\n", total);
}

static void read_waits_for_a_writer(void)
{
	int64_t start = now();
	char text[8] = "";
	pid_t pid;

	make_pipe(0);
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 2 * SECOND);
		EQUAL(write(ends[1], "late", 4), 4);
		sleep_until(start + 5 * SECOND);
		_exit(0);
	}
	close(ends[1]);
	EQUAL(read(ends[0], text, sizeof(text)), 4);
	print_after(text, start);
	EQUAL(read(ends[0], text, sizeof(text)), 0);
	print_after("end", start);
	EXITS(pid, 0);
}

static void write_waits_for_room(void)
{
	static char block[65536];
	int64_t start = now();
	pid_t pid;

	make_pipe(0);
	EQUAL(write(ends[1], block, sizeof(block)), sizeof(block));
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 3 * SECOND);
		EQUAL(read(ends[0], block, sizeof(block)), sizeof(block));
		_exit(0);
	}
	EQUAL(write(ends[1], block, sizeof(block)), sizeof(block));
	print_after("room", start);
	EXITS(pid, 0);
}

static void without_blocking(void)
{
	static char block[4096];
	size_t total = 0;
	ssize_t wrote;
	int waiting;

	make_pipe(O_NONBLOCK);
	FAILS(read(ends[0], block, 1), EAGAIN);
	while ((wrote = write(ends[1], block, sizeof(block))) > 0)
		total += wrote;
	EQUAL(errno, EAGAIN);
	EQUAL(ioctl(ends[0], FIONREAD, &waiting), 0);
	EQUAL(waiting, total);
	EQUAL(fcntl(ends[0], F_GETPIPE_SZ), total);
	EQUAL(fcntl(ends[0], F_SETPIPE_SZ, 4 * total), 4 * total);
	EQUAL(write(ends[1], block, sizeof(block)), sizeof(block));
	printf("%zu bytes of room\n", total);
}

static void without_a_reader(void)
{
	pid_t pid;

	make_pipe(0);
	close(ends[0]);
	pid = make_child();
	if (pid == 0) {
		FAILS(write(ends[1], "x", 1), 0); /* does not come back */
		_exit(0);
	}
	DIES_OF(pid, SIGPIPE);
	signal(SIGPIPE, SIG_IGN);
	FAILS(write(ends[1], "x", 1), EPIPE);
	printf("SIGPIPE or EPIPE\n");
}

static void wrong_ends(void)
{
	make_pipe(O_CLOEXEC);
	EQUAL(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	FAILS(write(ends[0], "x", 1), EBADF);
	FAILS(read(ends[1], ends, 1), EBADF);
	FAILS(lseek(ends[0], 0, SEEK_CUR), ESPIPE);
	FAILS(pipe2(ends, 0x1), EINVAL);
	printf("EBADF, EBADF, ESPIPE, EINVAL\n");
}

static void packets(void)
{
	char text[16] = "";

	make_pipe(O_DIRECT);
	EQUAL(write(ends[1], "first", 5), 5);
	EQUAL(write(ends[1], "second", 6), 6);
	EQUAL(read(ends[0], text, 3), 3); /* the rest of a packet is lost */
	SAME_TEXT(text, "fir");
	EQUAL(read(ends[0], text, sizeof(text)), 6);
	printf("%s\n", text);
}

static void fifo(void)
{
	int64_t start = now();
	char text[16] = "";
	pid_t pid;
	int fd;

	EQUAL(mkfifo("/tmp/fifo", 0600), 0);
	FAILS(mkfifo("/tmp/fifo", 0600), EEXIST);
	FAILS(open("/tmp/fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	pid = make_child();
	if (pid == 0) {
		sleep_until(start + 4 * SECOND);
		fd = open("/tmp/fifo", O_WRONLY);
		CHECK(fd >= 0);
		EQUAL(write(fd, "by name", 7), 7);
		_exit(0);
	}
	fd = open("/tmp/fifo", O_RDONLY); /* waits for the other end */
	CHECK(fd >= 0);
	print_after("open", start);
	EQUAL(read(fd, text, sizeof(text)), 7);
	printf("%s\n", text);
	EXITS(pid, 0);
}

static void event_counter(void)
{
	int fd = eventfd(3, EFD_NONBLOCK), semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	eventfd_t value;

	EQUAL(eventfd_write(fd, 4), 0);
	EQUAL(eventfd_read(fd, &value), 0);
	EQUAL(value, 7);
	FAILS(eventfd_read(fd, &value), EAGAIN);
	EQUAL(eventfd_write(fd, UINT64_MAX - 1), 0);
	FAILS(eventfd_write(fd, 1), EAGAIN);
	FAILS(eventfd_write(fd, UINT64_MAX), EINVAL);
	for (int i = 0; i < 2; i++) {
		EQUAL(eventfd_read(semaphore, &value), 0);
		EQUAL(value, 1);
	}
	FAILS(eventfd_read(semaphore, &value), EAGAIN);
	printf("sums, and counts down as a semaphore\n");
}

static void moved_without_copies(void)
{
	int from = open("/tmp/from", O_RDWR | O_CREAT, 0600), to = open("/tmp/to", O_RDWR | O_CREAT, 0600), copy[2];
	char text[32] = "";

	make_pipe(0);
	EQUAL(pipe(copy), 0);
	EQUAL(write(from, "0123456789", 10), 10);
	EQUAL(splice(from, &(loff_t){2}, ends[1], NULL, 8, 0), 8);
	EQUAL(tee(ends[0], copy[1], 8, 0), 8);
	EQUAL(splice(ends[0], NULL, to, NULL, 8, 0), 8);
	EQUAL(read(copy[0], text, sizeof(text)), 8);
	EQUAL(pread(to, text + 8, 8, 0), 8);
	printf("%s\n", text);
	EQUAL(copy_file_range(from, &(loff_t){0}, to, &(loff_t){8}, 5, 0), 5);
	EQUAL(pread(to, text, 5, 8), 5);
	EQUAL(memcmp(text, "01234", 5), 0);
}

static void message_queue(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 16};
	mqd_t queue = mq_open("/suite", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
	unsigned int priority;
	char text[16];

	CHECK(queue >= 0);
	EQUAL(mq_send(queue, "low", 4, 1), 0);
	EQUAL(mq_send(queue, "high", 5, 9), 0);
	EQUAL(mq_send(queue, "low too", 8, 1), 0);
	FAILS(mq_send(queue, "longer than a message may be", 20, 0), EMSGSIZE);
	EQUAL(mq_send(queue, "last", 5, 0), 0);
	FAILS(mq_send(queue, "full", 5, 0), EAGAIN);
	while (mq_receive(queue, text, sizeof(text), &priority) > 0)
		printf("%u %s\n", priority, text);
	EQUAL(errno, EAGAIN);
	EQUAL(mq_unlink("/suite"), 0);
}

BEHAVIOURS(
	{"bytes-in-order", bytes_in_order},
	{"read-waits-for-a-writer", read_waits_for_a_writer},
	{"write-waits-for-room", write_waits_for_room},
	{"without-blocking", without_blocking},
	{"without-a-reader", without_a_reader},
	{"wrong-ends", wrong_ends},
	{"packets", packets},
	{"fifo", fifo},
	{"event-counter", event_counter},
	{"moved-without-copies", moved_without_copies},
	{"message-queue", message_queue},
)
