// SPDX-License-Identifier: MIT
// Usage: vectors BEHAVIOUR
// Vector registers belong to a thread: what a system call, a page fault, a signal or another thread does in between
// leaves them as they are (signal(7), fork(2); the processor's XSAVE state, arch/x86/kernel/fpu/ in a kernel tree).
#include "behaviour.h"
#include "thread.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define REGISTERS 16
#define BYTES 32 /* of a register: AVX; SSE alone has half of that */
#define ROUNDS 100
#define PAGE 4096

typedef struct {
	uint8_t bytes[REGISTERS][BYTES] __attribute__((aligned(BYTES)));
} Vectors;

static int has_avx;

#define EACH(DO) \
	DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOAD_AVX(n) "vmovdqa " #n "*32(%[in]), %%ymm" #n "\n\t"
#define STORE_AVX(n) "vmovdqa %%ymm" #n ", " #n "*32(%[out])\n\t"
#define LOAD_SSE(n) "movdqa " #n "*32(%[in]), %%xmm" #n "\n\t"
#define STORE_SSE(n) "movdqa %%xmm" #n ", " #n "*32(%[out])\n\t"
#define CLOBBERED \
	"rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
		"xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/* Loads all registers, makes a system call, writes a byte to a page, and stores all registers: nothing that a compiler
 * may put in between. */
#define BETWEEN(load, store) \
	asm volatile(load "syscall\n\tmovb $1, (%[page])\n\t" store \
		     : "+a"(number) \
		     : [in] "r"(in), [out] "r"(out), [page] "r"(page), "D"(first), "S"(second) \
		     : CLOBBERED)

static long between(const Vectors *in, Vectors *out, uint8_t *page, long number, long first, long second)
{
	if (has_avx)
		BETWEEN(EACH(LOAD_AVX), EACH(STORE_AVX) "vzeroupper\n\t");
	else
		BETWEEN(EACH(LOAD_SSE), EACH(STORE_SSE));
	return number;
}

static Vectors pattern(uint8_t seed)
{
	Vectors made = { 0 };

	for (int i = 0; i < REGISTERS; i++)
		for (int j = 0; j < (has_avx ? BYTES : BYTES / 2); j++)
			made.bytes[i][j] = (uint8_t)(seed * 31 + i * 7 + j);
	return made;
}

static uint8_t some_page[PAGE];

static void keeps(uint8_t seed, uint8_t *page, long number, long first, long second)
{
	Vectors in = pattern(seed), out = { 0 };

	CHECK(between(&in, &out, page, number, first, second) >= 0);
	CHECK(memcmp(&in, &out, sizeof(in)) == 0);
}

static void system_calls(void)
{
	for (int i = 0; i < ROUNDS; i++)
		keeps((uint8_t)i, some_page, SYS_getpid, 0, 0);
	puts("kept");
}

static int next_seed;

static void yield_often(void)
{
	uint8_t seed = (uint8_t)__atomic_add_fetch(&next_seed, 1, __ATOMIC_SEQ_CST);

	for (int i = 0; i < ROUNDS; i++)
		keeps(seed, some_page, SYS_sched_yield, 0, 0);
}

static void threads(void)
{
	pthread_t made[8];

	for (size_t i = 0; i < COUNT(made); i++)
		made[i] = make_thread(yield_often);
	for (size_t i = 0; i < COUNT(made); i++)
		join(made[i]);
	puts("each kept its own");
}

static void page_faults(void)
{
	uint8_t *pages = mmap(NULL, ROUNDS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	for (int i = 0; i < ROUNDS; i++)
		keeps((uint8_t)i, pages + i * PAGE, SYS_getpid, 0, 0);
	puts("kept");
}

static int handled;

static void overwrite(int signal)
{
	(void)signal;
	keeps(200, some_page, SYS_getpid, 0, 0);
	handled++;
}

static void signal_handlers(void)
{
	struct sigaction action = { .sa_handler = overwrite };

	RETURNS(sigaction(SIGUSR1, &action, NULL), 0);
	for (int i = 0; i < ROUNDS; i++)
		keeps((uint8_t)i, some_page, SYS_kill, getpid(), SIGUSR1);
	EQUAL(handled, ROUNDS);
	puts("kept");
}

static void forks(void)
{
	for (int i = 0; i < 10; i++) {
		Vectors in = pattern((uint8_t)i), out = { 0 };
		int status;
		long pid = between(&in, &out, some_page, SYS_fork, 0, 0);

		CHECK(pid >= 0);
		CHECK(memcmp(&in, &out, sizeof(in)) == 0); /* the parent's, and the child's copy */
		if (pid == 0) {
			keeps(100, some_page, SYS_sched_yield, 0, 0);
			_exit(0);
		}
		keeps((uint8_t)(i + 50), some_page, SYS_sched_yield, 0, 0);
		CHECK(waitpid((pid_t)pid, &status, 0) == pid);
		EQUAL(status, 0);
	}
	puts("kept by both");
}

__attribute__((constructor)) static void look(void)
{
	has_avx = __builtin_cpu_supports("avx");
}

BEHAVIOURS(
	{"system-calls", system_calls},
	{"threads", threads},
	{"page-faults", page_faults},
	{"signal-handlers", signal_handlers},
	{"forks", forks},
)
