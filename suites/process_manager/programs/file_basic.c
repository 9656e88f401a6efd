// SPDX-License-Identifier: MIT
// Usage: file-basic BEHAVIOUR
// Files by their descriptors: open, read and write at a place, names, status, locks (open(2), stat(2), fcntl(2)).
#include "behaviour.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int make(const char *path, const char *text)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	EQUAL(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void print_file(const char *path)
{
	char text[128] = "";
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) >= 0);
	printf("%s\n", text);
	close(fd);
}

static void open_flags(void)
{
	int fd;

	FAILS(open("/tmp/new", O_RDWR), ENOENT);
	fd = open("/tmp/new", O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	FAILS(open("/tmp/new", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open("/tmp/new/below", O_RDONLY), ENOTDIR);
	FAILS(open("/tmp", O_WRONLY), EISDIR);
	FAILS(open("/tmp/new", O_RDONLY | O_DIRECTORY), ENOTDIR);
	EQUAL(write(fd, "long text", 9), 9);
	fd = open("/tmp/new", O_WRONLY | O_TRUNC);
	EQUAL(write(fd, "short", 5), 5);
	FAILS(read(fd, &fd, 1), EBADF);
	fd = open("/tmp/new", O_WRONLY | O_APPEND);
	EQUAL(lseek(fd, 0, SEEK_SET), 0);
	EQUAL(write(fd, " end", 4), 4); /* at the end, wherever the offset is */
	fd = open("/tmp/new", O_RDONLY);
	FAILS(write(fd, "x", 1), EBADF);
	FAILS(close(999), EBADF);
	print_file("/tmp/new");
}

static void lowest_descriptor(void)
{
	EQUAL(open("/dev/null", O_RDONLY), 3);
	EQUAL(dup(3), 4);
	EQUAL(dup2(3, 10), 10);
	EQUAL(fcntl(3, F_DUPFD, 7), 7);
	EQUAL(close(3), 0);
	EQUAL(open("/dev/null", O_RDONLY), 3);
	FAILS(dup2(999, 5), EBADF);
	FAILS(dup3(3, 3, 0), EINVAL);
	EQUAL(dup3(3, 20, O_CLOEXEC), 20);
	EQUAL(fcntl(20, F_GETFD), FD_CLOEXEC);
	printf("the lowest that is free\n");
}

static void limit_of_descriptors(void)
{
	int fd, last = 0;

	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	EQUAL(errno, EMFILE);
	printf("the last one is %d\n", last);
}

static void status(void)
{
	int fd = make("/tmp/file", "0123456789"), umask_before = umask(077);
	struct stat found, by_name;

	EQUAL(fstat(fd, &found), 0);
	printf("%ld bytes, mode %o, %ld name\n", found.st_size, found.st_mode, found.st_nlink);
	EQUAL(link("/tmp/file", "/tmp/other"), 0);
	EQUAL(stat("/tmp/other", &by_name), 0);
	EQUAL(by_name.st_ino, found.st_ino);
	EQUAL(by_name.st_nlink, 2);
	EQUAL(fchmod(fd, 0640), 0);
	EQUAL(stat("/tmp/file", &found), 0);
	printf("mode %o\n", found.st_mode);
	EQUAL(umask_before, 022);
	make("/tmp/masked", "");
	EQUAL(stat("/tmp/masked", &found), 0);
	printf("mode %o\n", found.st_mode);
	EQUAL(stat("/tmp", &found), 0);
	CHECK(S_ISDIR(found.st_mode));
	EQUAL(stat("/dev/null", &found), 0);
	CHECK(S_ISCHR(found.st_mode));
	FAILS(stat("/tmp/missing", &found), ENOENT);
	FAILS(stat("", &found), ENOENT);
}

static int64_t modified(const char *path)
{
	struct stat found;

	EQUAL(stat(path, &found), 0);
	return found.st_mtim.tv_sec * SECOND + found.st_mtim.tv_nsec;
}

static void times(void)
{
	int64_t start = now(), first;
	int fd = make("/tmp/file", "x");
	struct timespec set[2] = {{.tv_sec = 1}, {.tv_sec = 2, .tv_nsec = 3}};

	first = modified("/tmp/file");
	sleep_until(start + 3600 * SECOND);
	EQUAL(modified("/tmp/file"), first);
	EQUAL(write(fd, "y", 1), 1);
	/* To the tick: the kernel stamps files with its coarse clock. */
	printf("%" PRId64 " s later\n", (modified("/tmp/file") - first + SECOND / 2) / SECOND);
	EQUAL(futimens(fd, set), 0);
	printf("%" PRId64 " ns\n", modified("/tmp/file"));
}

static void removed_but_open(void)
{
	int fd = make("/tmp/file", "still here");
	char text[32] = "";
	struct stat found;

	EQUAL(unlink("/tmp/file"), 0);
	FAILS(open("/tmp/file", O_RDONLY), ENOENT);
	FAILS(unlink("/tmp/file"), ENOENT);
	FAILS(unlink("/tmp"), EISDIR);
	EQUAL(fstat(fd, &found), 0);
	EQUAL(found.st_nlink, 0);
	EQUAL(pread(fd, text, sizeof(text), 0), 10);
	printf("%s\n", text);
}

static void current_folder(void)
{
	char path[64], small[3];
	int before = open(".", O_RDONLY);

	EQUAL(mkdir("/tmp/a", 0755), 0);
	EQUAL(mkdir("/tmp/a/b", 0755), 0);
	EQUAL(chdir("/tmp/a/b"), 0);
	SAME_TEXT(getcwd(path, sizeof(path)), "/tmp/a/b");
	CHECK(!getcwd(small, sizeof(small)) && errno == ERANGE);
	EQUAL(chdir(".."), 0);
	SAME_TEXT(getcwd(path, sizeof(path)), "/tmp/a");
	FAILS(chdir("missing"), ENOENT);
	FAILS(chdir("/etc/passwd"), ENOTDIR);
	make("here", "by a relative name");
	print_file("/tmp/a/here");
	EQUAL(chdir("b"), 0);
	EQUAL(rmdir("/tmp/a/b"), 0);
	CHECK(!getcwd(path, sizeof(path)) && errno == ENOENT);
	FAILS(open("below", O_CREAT | O_RDWR, 0600), ENOENT);
	EQUAL(fchdir(before), 0);
	SAME_TEXT(getcwd(path, sizeof(path)), "/");
}

static void at_a_place(void)
{
	int fd = make("/tmp/file", "0123456789");
	char text[32] = "";
	struct iovec parts[2] = {{text, 3}, {text + 8, 4}};

	EQUAL(pread(fd, text, 4, 3), 4);
	SAME_TEXT(text, "3456");
	EQUAL(pwrite(fd, "AB", 2, 1), 2);
	EQUAL(lseek(fd, 0, SEEK_CUR), 10); /* both leave the offset alone */
	EQUAL(pread(fd, text, 10, 100), 0);
	FAILS(pread(fd, text, 1, -1), EINVAL);
	EQUAL(lseek(fd, -3, SEEK_END), 7);
	EQUAL(read(fd, text, 32), 3);
	EQUAL(preadv(fd, parts, 2, 0), 7);
	printf("%.3s %.4s\n", text, text + 8);
	EQUAL(pwritev(fd, parts, 2, 10), 7);
	print_file("/tmp/file");
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
}

static void holes(void)
{
	int fd = make("/tmp/file", "begin");
	struct stat found;
	char byte = 1;

	EQUAL(pwrite(fd, "end", 3, 10 << 20), 3);
	EQUAL(fstat(fd, &found), 0);
	EQUAL(found.st_size, (10 << 20) + 3);
	CHECK(found.st_blocks * 512 < 1 << 20);
	EQUAL(pread(fd, &byte, 1, 5 << 20), 1);
	EQUAL(byte, 0);
	EQUAL(lseek(fd, 0, SEEK_HOLE), 4096);
	EQUAL(lseek(fd, 4096, SEEK_DATA), 10 << 20);
	EQUAL(ftruncate(fd, 3), 0);
	EQUAL(truncate("/tmp/file", 6), 0);
	EQUAL(pread(fd, &byte, 1, 4), 1);
	EQUAL(byte, 0);
	printf("zeros that take no room\n");
}

static void names(void)
{
	char target[64] = "";

	make("/tmp/one", "one");
	make("/tmp/two", "two");
	EQUAL(rename("/tmp/one", "/tmp/two"), 0); /* replaces it */
	FAILS(open("/tmp/one", O_RDONLY), ENOENT);
	print_file("/tmp/two");
	FAILS(renameat2(AT_FDCWD, "/tmp/two", AT_FDCWD, "/tmp/two", RENAME_NOREPLACE), EEXIST);
	EQUAL(symlink("two", "/tmp/link"), 0);
	EQUAL(readlink("/tmp/link", target, sizeof(target)), 3);
	print_file("/tmp/link");
	FAILS(open("/tmp/link", O_RDONLY | O_NOFOLLOW), ELOOP);
	EQUAL(symlink("loop", "/tmp/loop"), 0);
	FAILS(open("/tmp/loop", O_RDONLY), ELOOP);
	FAILS(link("/tmp", "/tmp/folder"), EPERM);
	EQUAL(access("/tmp/two", R_OK | W_OK), 0);
	FAILS(access("/tmp/missing", F_OK), ENOENT);
	SAME_TEXT(realpath("/tmp/../tmp/./link", NULL), "/tmp/two");
}

static void write_lock(int fd, int command, int wanted)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};

	errno = 0;
	EQUAL(fcntl(fd, command, &lock) == -1 ? errno : 0, wanted);
}

static void record_locks(void)
{
	int64_t start = now();
	int fd = make("/tmp/file", "");
	pid_t parent = getpid(), pid;

	write_lock(fd, F_SETLK, 0);
	pid = make_child();
	if (pid == 0) {
		struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};

		write_lock(fd, F_SETLK, EAGAIN);
		EQUAL(fcntl(fd, F_GETLK, &lock), 0);
		EQUAL(lock.l_pid, parent);
		printf("bytes %ld to %ld are locked\n", lock.l_start, lock.l_start + lock.l_len - 1);
		write_lock(fd, F_SETLKW, 0);
		print_after("child locked", start);
		_exit(0);
	}
	sleep_until(start + 3 * SECOND);
	EQUAL(fcntl(fd, F_SETLK, &(struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET}), 0);
	EXITS(pid, 0);
}

static void file_locks(void)
{
	int64_t start = now();
	int fd = make("/tmp/file", "");
	pid_t pid;

	EQUAL(flock(fd, LOCK_EX), 0);
	pid = make_child();
	if (pid == 0) {
		fd = open("/tmp/file", O_RDONLY);
		FAILS(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
		EQUAL(flock(fd, LOCK_SH), 0);
		print_after("child locked", start);
		_exit(0);
	}
	sleep_until(start + 2 * SECOND);
	EQUAL(flock(fd, LOCK_UN), 0);
	EXITS(pid, 0);
}

static void largest_file(void)
{
	int fd = make("/tmp/file", "");
	pid_t pid = make_child();

	if (pid == 0) {
		FAILS(pwrite(fd, "x", 1, 1LL << 40), 0); /* beyond RLIMIT_FSIZE: it does not come back */
		_exit(0);
	}
	DIES_OF(pid, SIGXFSZ);
	signal(SIGXFSZ, SIG_IGN);
	FAILS(pwrite(fd, "x", 1, 1LL << 40), EFBIG);
	printf("SIGXFSZ or EFBIG\n");
}

BEHAVIOURS(
	{"open-flags", open_flags},
	{"lowest-descriptor", lowest_descriptor},
	{"limit-of-descriptors", limit_of_descriptors},
	{"status", status},
	{"times", times},
	{"removed-but-open", removed_but_open},
	{"current-folder", current_folder},
	{"at-a-place", at_a_place},
	{"holes", holes},
	{"names", names},
	{"record-locks", record_locks},
	{"file-locks", file_locks},
	{"largest-file", largest_file},
)
