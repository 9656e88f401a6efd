// SPDX-License-Identifier: MIT
// Usage: process-exec BEHAVIOUR
// The eight variants of exec(3), what a program starts with, what it keeps, and what is refused.
#include "behaviour.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

extern char **environ;

/* What the started program does: print how it was called. */
static void report(void)
{
	for (char **word = arguments - 2; *word; word++)
		printf("argument %s\n", *word);
	for (char **variable = environ; *variable; variable++)
		printf("variable %s\n", *variable);
}

static char *words[] = {"a program", "report", "two words", "", NULL};
static char *variables[] = {"GIVEN=by exec", NULL};

static void own_environment(void)
{
	clearenv();
	setenv("KEPT", "from before", 1);
}

/* The p-variants look along PATH, which is that of the caller. */
static void own_path_folder(void)
{
	*strrchr(own_path, '/') = '\0';
	own_environment();
	setenv("PATH", own_path, 1);
}

#define PROGRAM "/testbin/process-exec"

static void variant_execl(void)
{
	own_environment();
	execl(PROGRAM, words[0], words[1], words[2], words[3], NULL);
}

static void variant_execle(void)
{
	own_environment();
	execle(PROGRAM, words[0], words[1], words[2], words[3], NULL, variables);
}

static void variant_execlp(void)
{
	own_path_folder();
	execlp("process-exec", words[0], words[1], words[2], words[3], NULL);
}

static void variant_execv(void)
{
	own_environment();
	execv(PROGRAM, words);
}

static void variant_execve(void)
{
	own_environment();
	execve(PROGRAM, words, variables);
}

static void variant_execvp(void)
{
	own_path_folder();
	execvp("process-exec", words);
}

static void variant_execvpe(void)
{
	own_path_folder();
	execvpe("process-exec", words, variables);
}

static void variant_fexecve(void)
{
	int fd = open(PROGRAM, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	fexecve(fd, words, variables);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	CHECK(fd >= 0);
	EQUAL(write(fd, text, strlen(text)), strlen(text));
	EQUAL(close(fd), 0);
}

static void refused(void)
{
	char *argv[] = {"x", NULL};

	FAILS(execv("/tmp/missing", argv), ENOENT);
	FAILS(execvp("missing-in-path", argv), ENOENT);
	FAILS(execv("/tmp", argv), EACCES);
	FAILS(execv("/etc/passwd/x", argv), ENOTDIR);
	write_file("/tmp/plain", "text", 0644);
	FAILS(execv("/tmp/plain", argv), EACCES);
	write_file("/tmp/garbage", "text", 0755);
	FAILS(execv("/tmp/garbage", argv), ENOEXEC);
	write_file("/tmp/lost", "#!/tmp/missing\n", 0755);
	FAILS(execv("/tmp/lost", argv), ENOENT);
	printf("still here\n");
}

static void arguments_too_long(void)
{
	size_t bytes = 200 * 1024; /* one word may have 128 KiB: MAX_ARG_STRLEN */
	char *word = malloc(bytes);

	memset(word, 'x', bytes);
	word[bytes - 1] = '\0';
	FAILS(execv(PROGRAM, (char *[]){"x", word, NULL}), E2BIG);
	printf("still here\n");
}

static void interpreter(void)
{
	write_file("/tmp/script", "#!/testbin/process-exec report\n", 0755);
	execle("/tmp/script", "lost", "kept", NULL, (char *[]){NULL});
}

static void shell_for_execvp(void)
{
	write_file("/tmp/bare", "echo run by a shell: $0 $1\n", 0755);
	execlp("/tmp/bare", "bare", "one", NULL);
}

/* What a program finds that was started by "keeps": descriptors, signals, itself. */
static void after(void)
{
	struct sigaction action;
	sigset_t set;

	CHECK(arguments[0]);
	EQUAL(getpid(), atol(arguments[0]));
	EQUAL(fcntl(3, F_GETFD), 0);
	FAILS(fcntl(4, F_GETFD), EBADF);
	EQUAL(sigaction(SIGUSR1, NULL, &action), 0);
	CHECK(action.sa_handler == SIG_DFL); /* the handler is gone with its program */
	EQUAL(sigaction(SIGUSR2, NULL, &action), 0);
	CHECK(action.sa_handler == SIG_IGN);
	EQUAL(sigprocmask(SIG_BLOCK, NULL, &set), 0);
	EQUAL(sigismember(&set, SIGTERM), 1);
	EQUAL(sigpending(&set), 0);
	EQUAL(sigismember(&set, SIGTERM), 1);
	EQUAL(umask(0), 027);
	printf("%d s until the alarm\n", (int)alarm(0));
	printf("folder %s\n", getcwd(NULL, 0));
}

static void handler(int number)
{
	(void)number;
}

static void keeps(void)
{
	char own[32];
	sigset_t set;

	EQUAL(open("/dev/null", O_RDONLY), 3);
	EQUAL(open("/dev/null", O_RDONLY | O_CLOEXEC), 4);
	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	EQUAL(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	raise(SIGTERM);
	umask(027);
	EQUAL(chdir("/tmp"), 0);
	alarm(100);
	snprintf(own, sizeof(own), "%d", getpid());
	execl(PROGRAM, "process-exec", "after", own, NULL);
}

static void environment(void)
{
	SAME_TEXT(getenv("HOME"), "/tmp");
	CHECK(getenv("MISSING") == NULL);
	EQUAL(setenv("NEW", "one", 0), 0);
	EQUAL(setenv("NEW", "two", 0), 0);
	SAME_TEXT(getenv("NEW"), "one");
	EQUAL(setenv("NEW", "two", 1), 0);
	SAME_TEXT(getenv("NEW"), "two");
	FAILS(setenv("", "x", 1), EINVAL);
	FAILS(setenv("A=B", "x", 1), EINVAL);
	EQUAL(unsetenv("NEW"), 0);
	CHECK(getenv("NEW") == NULL);
	static char mine[] = "MINE=before";
	EQUAL(putenv(mine), 0);
	strcpy(mine, "MINE=after");
	SAME_TEXT(getenv("MINE"), "after");
	EQUAL(system("echo shell: $MINE"), 0);
	EQUAL(clearenv(), 0);
	CHECK(getenv("HOME") == NULL);
	printf("environment\n");
}

BEHAVIOURS(
	{"report", report},
	{"execl", variant_execl},
	{"execle", variant_execle},
	{"execlp", variant_execlp},
	{"execv", variant_execv},
	{"execve", variant_execve},
	{"execvp", variant_execvp},
	{"execvpe", variant_execvpe},
	{"fexecve", variant_fexecve},
	{"refused", refused},
	{"arguments-too-long", arguments_too_long},
	{"interpreter", interpreter},
	{"shell-for-execvp", shell_for_execvp},
	{"after", after},
	{"keeps", keeps},
	{"environment", environment},
)
