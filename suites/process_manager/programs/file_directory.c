// SPDX-License-Identifier: MIT
// Usage: file-directory BEHAVIOUR
// Folders and what is in them (opendir(3), scandir(3), nftw(3), mkdir(2), inotify(7)).
#include "behaviour.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <glob.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static void make_tree(void)
{
	static const char *files[] = {"/tmp/tree/b.txt", "/tmp/tree/a.txt", "/tmp/tree/c.bin", "/tmp/tree/sub/d.txt"};

	EQUAL(mkdir("/tmp/tree", 0755), 0);
	EQUAL(mkdir("/tmp/tree/sub", 0755), 0);
	for (size_t i = 0; i < COUNT(files); i++)
		EQUAL(close(open(files[i], O_WRONLY | O_CREAT, 0644)), 0);
	EQUAL(symlink("a.txt", "/tmp/tree/link"), 0);
}

static void made_and_removed(void)
{
	make_tree();
	FAILS(mkdir("/tmp/tree", 0755), EEXIST);
	FAILS(mkdir("/tmp/missing/below", 0755), ENOENT);
	FAILS(rmdir("/tmp/tree"), ENOTEMPTY);
	FAILS(rmdir("/tmp/tree/a.txt"), ENOTDIR);
	FAILS(rmdir("/tmp/missing"), ENOENT);
	EQUAL(unlink("/tmp/tree/sub/d.txt"), 0);
	EQUAL(rmdir("/tmp/tree/sub"), 0);
	FAILS(rmdir("/tmp/tree/sub"), ENOENT);
	printf("made and removed\n");
}

static void entries(void)
{
	int seen = 0, types = 0;
	struct dirent *entry;
	long place;
	DIR *folder;

	make_tree();
	CHECK((folder = opendir("/tmp/tree")));
	place = telldir(folder);
	while ((errno = 0, entry = readdir(folder))) {
		seen++;
		types += (entry->d_type == DT_REG) + 100 * (entry->d_type == DT_DIR) + 10000 * (entry->d_type == DT_LNK);
	}
	EQUAL(errno, 0);
	printf("%d entries, types %d\n", seen, types);
	seekdir(folder, place);
	CHECK(readdir(folder));
	rewinddir(folder);
	for (seen = 0; readdir(folder); seen++)
		;
	EQUAL(seen, 7);
	EQUAL(closedir(folder), 0);
	CHECK(!opendir("/tmp/tree/a.txt") && errno == ENOTDIR);
	CHECK(!opendir("/tmp/missing") && errno == ENOENT);
}

static int is_text(const struct dirent *entry)
{
	return fnmatch("*.txt", entry->d_name, 0) == 0;
}

static void sorted_and_chosen(void)
{
	struct dirent **found;
	glob_t matches;
	int count;

	make_tree();
	count = scandir("/tmp/tree", &found, is_text, alphasort);
	for (int i = 0; i < count; i++)
		printf("%s\n", found[i]->d_name);
	EQUAL(glob("/tmp/tree/*/*.txt", 0, NULL, &matches), 0);
	EQUAL(matches.gl_pathc, 1);
	printf("%s\n", matches.gl_pathv[0]);
	EQUAL(glob("/tmp/tree/*.none", 0, NULL, &matches), GLOB_NOMATCH);
}

static int remove_it(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	CHECK(kind == FTW_DP || kind == FTW_F || kind == FTW_SL);
	CHECK(place->level <= 2);
	return remove(path);
}

static void walked(void)
{
	make_tree();
	EQUAL(nftw("/tmp/tree", remove_it, 4, FTW_DEPTH | FTW_PHYS), 0);
	FAILS(access("/tmp/tree", F_OK), ENOENT);
	printf("removed from its depth\n");
}

static void relative_to_a_descriptor(void)
{
	int folder, fd;
	struct stat status;

	make_tree();
	folder = open("/tmp/tree", O_RDONLY | O_DIRECTORY);
	CHECK(folder >= 0);
	fd = openat(folder, "sub/d.txt", O_RDONLY);
	CHECK(fd >= 0);
	EQUAL(renameat(folder, "a.txt", folder, "sub/moved.txt"), 0);
	EQUAL(fstatat(folder, "link", &status, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISLNK(status.st_mode));
	FAILS(fstatat(folder, "link", &status, 0), ENOENT); /* it dangles now */
	EQUAL(unlinkat(folder, "sub/moved.txt", 0), 0);
	FAILS(unlinkat(folder, "sub", AT_REMOVEDIR), ENOTEMPTY);
	FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
	printf("relative to a descriptor\n");
}

static void watched(void)
{
	char events[4096] __attribute__((aligned(8)));
	int fd = inotify_init1(IN_NONBLOCK);
	ssize_t bytes;

	make_tree();
	CHECK(fd >= 0);
	EQUAL(inotify_add_watch(fd, "/tmp/tree", IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE), 1);
	FAILS(read(fd, events, sizeof(events)), EAGAIN);
	EQUAL(mkdir("/tmp/tree/new", 0755), 0);
	EQUAL(rename("/tmp/tree/a.txt", "/tmp/tree/z.txt"), 0);
	EQUAL(unlink("/tmp/tree/b.txt"), 0);
	bytes = read(fd, events, sizeof(events));
	CHECK(bytes > 0);
	for (char *at = events; at < events + bytes;) {
		const struct inotify_event *event = (void *)at;

		printf("%08x %s\n", event->mask, event->name);
		at += sizeof(*event) + event->len;
	}
}

BEHAVIOURS(
	{"made-and-removed", made_and_removed},
	{"entries", entries},
	{"sorted-and-chosen", sorted_and_chosen},
	{"walked", walked},
	{"relative-to-a-descriptor", relative_to_a_descriptor},
	{"watched", watched},
)
