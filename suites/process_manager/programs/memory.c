// SPDX-License-Identifier: MIT
// Usage: memory BEHAVIOUR
// Memory of the heap and of mappings, and what a fault in it tells (malloc(3), mmap(2), sigaction(2)).
#include "behaviour.h"

#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>

enum { PAGE = 4096 };

static sigjmp_buf back;
static siginfo_t fault;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	fault = *info;
	siglongjmp(back, 1);
}

/* Touch an address; the signal that this raises, or 0. */
static int touch(volatile char *address, int writes)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	EQUAL(sigaction(SIGSEGV, &action, NULL), 0);
	EQUAL(sigaction(SIGBUS, &action, NULL), 0);
	if (sigsetjmp(back, 1))
		return fault.si_signo;
	if (writes)
		*address = 1;
	else
		(void)*address;
	return 0;
}

static char *map(size_t bytes, int protection, int flags, int fd)
{
	char *memory = mmap(NULL, bytes, protection, flags, fd, 0);

	CHECK(memory != MAP_FAILED);
	return memory;
}

static void heap(void)
{
	char *memory = calloc(1000, 1000);

	for (int i = 0; i < 1000000; i++)
		EQUAL(memory[i], 0);
	memset(memory, 'x', 1000000);
	memory = realloc(memory, 5000000);
	CHECK(memory);
	for (int i = 0; i < 1000000; i++)
		EQUAL(memory[i], 'x');
	CHECK(malloc_usable_size(memory) >= 5000000);
	free(memory);
	for (size_t alignment = 16; alignment <= 65536; alignment *= 2) {
		CHECK((memory = aligned_alloc(alignment, 2 * alignment)));
		EQUAL((uintptr_t)memory % alignment, 0);
		free(memory);
	}
	RETURNS(posix_memalign((void **)&memory, 3, 100), EINVAL);
	printf("zeroed, kept, aligned\n");
}

static void too_much(void)
{
	struct rlimit limit = {.rlim_cur = 64 << 20, .rlim_max = 64 << 20};
	volatile size_t overflow = SIZE_MAX / 2;

	CHECK(!calloc(overflow, 4));
	EQUAL(errno, ENOMEM);
	EQUAL(setrlimit(RLIMIT_AS, &limit), 0);
	CHECK(!malloc(100 << 20));
	EQUAL(errno, ENOMEM);
	CHECK(mmap(NULL, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	EQUAL(errno, ENOMEM);
	printf("ENOMEM\n");
}

static void anonymous_mapping(void)
{
	char *memory = map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	for (int i = 0; i < 16 * PAGE; i++)
		EQUAL(memory[i], 0);
	memory[8 * PAGE] = 1;
	EQUAL(munmap(memory + 4 * PAGE, PAGE), 0);
	EQUAL(touch(memory + 4 * PAGE, 0), SIGSEGV);
	CHECK(fault.si_addr == memory + 4 * PAGE);
	EQUAL(fault.si_code, SEGV_MAPERR);
	EQUAL(memory[8 * PAGE], 1);
	memory = mremap(memory + 8 * PAGE, PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(memory != MAP_FAILED);
	EQUAL(memory[0], 1);
	EQUAL(memory[63 * PAGE], 0);
	FAILS(munmap(memory + 1, PAGE), EINVAL);
	printf("zeroed, cut, moved\n");
}

static void protection(void)
{
	char *memory = map(2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	EQUAL(touch(memory, 0), 0);
	EQUAL(touch(memory + 123, 1), SIGSEGV);
	CHECK(fault.si_addr == memory + 123);
	EQUAL(fault.si_code, SEGV_ACCERR);
	EQUAL(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), 0);
	EQUAL(touch(memory + 123, 1), 0);
	EQUAL(touch(memory + PAGE, 1), SIGSEGV);
	EQUAL(mprotect(memory, PAGE, PROT_NONE), 0);
	EQUAL(touch(memory, 0), SIGSEGV);
	EQUAL(touch(NULL, 0), SIGSEGV);
	CHECK(fault.si_addr == NULL);
	printf("faults tell address and cause\n");
}

static int file_of(const char *path, size_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	EQUAL(ftruncate(fd, bytes), 0);
	return fd;
}

static void file_mapping(void)
{
	int fd = file_of("/tmp/mapped", PAGE + 100);
	char *shared = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	char *own = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd), byte;

	shared[10] = 's';
	EQUAL(own[10], 's');
	own[10] = 'o';
	EQUAL(shared[10], 's');
	EQUAL(pread(fd, &byte, 1, 10), 1);
	EQUAL(byte, 's');
	EQUAL(pwrite(fd, "w", 1, PAGE + 50), 1);
	EQUAL(shared[PAGE + 50], 'w');
	EQUAL(msync(shared, PAGE, MS_SYNC), 0);
	EQUAL(shared[PAGE + 100], 0); /* the rest of the last page */
	EQUAL(ftruncate(fd, 100), 0);
	EQUAL(touch(shared + PAGE, 0), SIGBUS); /* behind the end of the file */
	EQUAL(fault.si_code, BUS_ADRERR);
	printf("shared and private, SIGBUS behind the end\n");
}

static void memory_without_a_file(void)
{
	int fd = memfd_create("nameless", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *memory;
	pid_t pid;

	CHECK(fd >= 0);
	EQUAL(ftruncate(fd, PAGE), 0);
	memory = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	pid = make_child();
	if (pid == 0) {
		strcpy(memory, "written by a child");
		_exit(0);
	}
	EXITS(pid, 0);
	EQUAL(munmap(memory, PAGE), 0);
	EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	FAILS(write(fd, "x", 1), EPERM);
	printf("%s\n", map(PAGE, PROT_READ, MAP_SHARED, fd));
}

static void named_shared_memory(void)
{
	int fd = shm_open("/suite", O_RDWR | O_CREAT | O_EXCL, 0600), id;
	char *memory;

	CHECK(fd >= 0);
	EQUAL(ftruncate(fd, PAGE), 0);
	memory = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	strcpy(memory, "POSIX");
	fd = shm_open("/suite", O_RDONLY, 0);
	SAME_TEXT(map(PAGE, PROT_READ, MAP_SHARED, fd), "POSIX");
	EQUAL(shm_unlink("/suite"), 0);
	FAILS(shm_open("/suite", O_RDWR, 0), ENOENT);

	id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	CHECK(id >= 0);
	memory = shmat(id, NULL, 0);
	CHECK(memory != (void *)-1);
	strcpy(memory, "System V");
	SAME_TEXT((char *)shmat(id, NULL, SHM_RDONLY), "System V");
	EQUAL(shmctl(id, IPC_RMID, NULL), 0);
	printf("POSIX and System V\n");
}

/* Every level reads the room of the one above, so that no compiler makes a loop of it. */
static int deep(int levels, const volatile char *above)
{
	volatile char room[1024];

	room[0] = above[0];
	return levels == 0 ? room[0] : deep(levels - 1, room) + above[0];
}

static void stack(void)
{
	static char other_stack[65536];
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t alternate = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)};

	EQUAL(deep(4000, "\1"), 4001); /* 4 MiB of the 8 */
	EQUAL(sigaltstack(&alternate, NULL), 0);
	EQUAL(sigaction(SIGSEGV, &action, NULL), 0);
	if (sigsetjmp(back, 1) == 0)
		printf("%d levels without end\n", deep(1 << 30, "\1"));
	EQUAL(fault.si_signo, SIGSEGV);
	printf("grows, and ends with SIGSEGV\n");
}

BEHAVIOURS(
	{"heap", heap},
	{"too-much", too_much},
	{"anonymous-mapping", anonymous_mapping},
	{"protection", protection},
	{"file-mapping", file_mapping},
	{"memory-without-a-file", memory_without_a_file},
	{"named-shared-memory", named_shared_memory},
	{"stack", stack},
)
