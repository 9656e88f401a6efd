// SPDX-License-Identifier: MIT
// Print all that a program can learn of time, chance and the machine, one "key: value" per line.
// A real host gives other values at each start; a guest in virtual time must not.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

extern char **environ;

static void hex(const char *key, const void *data, size_t size) {
    const unsigned char *byte = data;
    printf("%s: ", key);
    for (size_t i = 0; i < size; i++) printf("%02x", byte[i]);
    printf("\n");
}

// Print a file's lines, each with the key in front: "maps.3: ...".
static void file(const char *key, const char *path) {
    char line[4096];
    FILE *f = fopen(path, "r");
    for (int n = 0; f && fgets(line, sizeof line, f); n++) {
        line[strcspn(line, "\n")] = 0;
        printf("%s.%d: %s\n", key, n, line);
    }
    if (!f) printf("%s: absent\n", key);
    else fclose(f);
}

static void counters(void) {
    unsigned aux = 77;
    printf("rdtsc: %llu\n", (unsigned long long)__rdtsc());
    printf("rdtsc.again: %llu\n", (unsigned long long)__rdtsc());
    unsigned long long tsc = __rdtscp(&aux);
    printf("rdtscp: %llu aux %u\n", tsc, aux);
}

static void chance(void) {
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) == sizeof bytes) hex("random.getrandom", bytes, sizeof bytes);
    for (const char **p = (const char *[]){"urandom", "random", NULL}; *p; p++) {
        char path[32], key[32];
        snprintf(path, sizeof path, "/dev/%s", *p);
        snprintf(key, sizeof key, "random.dev_%s", *p);
        int fd = open(path, O_RDONLY);
        if (fd >= 0 && read(fd, bytes, sizeof bytes) == sizeof bytes) hex(key, bytes, sizeof bytes);
        close(fd);
    }
    hex("random.at_random", (void *)getauxval(AT_RANDOM), 16);
    file("random.boot_id", "/proc/sys/kernel/random/boot_id");
    file("random.uuid", "/proc/sys/kernel/random/uuid");
    char name[] = "/tmp/probe-XXXXXX";
    int fd = mkstemp(name);
    printf("random.mkstemp: %s\n", name);
    struct stat st;
    if (fstat(fd, &st) == 0) printf("inode.tmpfs: %lu dev %lx\n", st.st_ino, st.st_dev);
    close(fd);
    unlink(name);
}

static void addresses(void) {
    int here;
    printf("address.stack: %p\n", (void *)&here);
    printf("address.malloc: %p\n", malloc(100));
    printf("address.big_malloc: %p\n", malloc(1 << 20));
    printf("address.brk: %p\n", sbrk(0));
    printf("address.mmap: %p\n", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    printf("address.code: %p\n", (void *)addresses);
    printf("address.libc: %p\n", (void *)printf);
    printf("address.environ: %p\n", (void *)environ);
    printf("address.thread: %p\n", (void *)pthread_self());
    printf("address.vdso: %#lx\n", getauxval(AT_SYSINFO_EHDR));
    file("address.maps", "/proc/self/maps");
}

static void clocks(void) {
    static const int ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
                              CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct timespec t = {0}, r = {0};
        int bad = clock_gettime(ids[i], &t) | clock_getres(ids[i], &r);
        printf("clock.%d: %ld.%09ld resolution %ld bad %d\n", ids[i], t.tv_sec, t.tv_nsec, r.tv_nsec, bad);
    }
    struct timeval tv;
    gettimeofday(&tv, NULL);
    printf("clock.gettimeofday: %ld.%06ld\n", tv.tv_sec, tv.tv_usec);
    printf("clock.time: %ld\n", time(NULL));
    struct tms tms;
    long ticks = times(&tms);
    printf("clock.times: %ld %ld %ld\n", ticks, tms.tms_utime, tms.tms_stime);
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    printf("usage: %ld.%06ld %ld.%06ld maxrss %ld minflt %ld majflt %ld nvcsw %ld nivcsw %ld\n", ru.ru_utime.tv_sec,
           ru.ru_utime.tv_usec, ru.ru_stime.tv_sec, ru.ru_stime.tv_usec, ru.ru_maxrss, ru.ru_minflt, ru.ru_majflt,
           ru.ru_nvcsw, ru.ru_nivcsw);
    struct timespec nap = {0, 1234567}, before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&nap, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf("clock.nap: %ld\n", (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
}

static void machine(void) {
    struct utsname u;
    uname(&u);
    printf("machine.uname: %s %s %s %s %s\n", u.sysname, u.nodename, u.release, u.version, u.machine);
    printf("machine.cpus: %ld %ld %d\n", sysconf(_SC_NPROCESSORS_CONF), sysconf(_SC_NPROCESSORS_ONLN), sched_getcpu());
    for (unsigned long t = 0; t < 64; t++)
        if (t != AT_RANDOM && getauxval(t)) printf("machine.aux.%lu: %#lx\n", t, getauxval(t));
    char *platform = (char *)getauxval(AT_PLATFORM);
    printf("machine.platform: %s\n", platform ? platform : "none");
    struct sysinfo si;
    sysinfo(&si);
    printf("machine.sysinfo: up %ld loads %lu total %lu free %lu shared %lu procs %d\n", si.uptime, si.loads[0], si.totalram,
           si.freeram, si.sharedram, si.procs);
    static const char *const files[] = {"cpuinfo", "uptime", "loadavg", "stat", "meminfo", "interrupts", "self/stat",
                                        "self/status", "self/mountinfo", "self/limits", "cmdline", "version", "vmstat",
                                        "timer_list", "net/tcp", "net/netstat", "sys/kernel/random/entropy_avail"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char key[80], path[80];
        snprintf(key, sizeof key, "proc.%s", files[i]);
        snprintf(path, sizeof path, "/proc/%s", files[i]);
        file(key, path);
    }
}

// The address family's socket, bound to port 0 and asked which port it got; and one that connects to it.
static void ports(int family, const char *key) {
    struct sockaddr_storage a = {.ss_family = (sa_family_t)family};
    socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET) ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        int s = socket(family, type, 0), c = socket(family, type, 0);
        struct sockaddr_storage b = a, d = {0};
        if (bind(s, (struct sockaddr *)&b, size) || getsockname(s, (struct sockaddr *)&b, &size)) perror(key);
        if (type == SOCK_STREAM) listen(s, 5);
        if (connect(c, (struct sockaddr *)&b, size) || getsockname(c, (struct sockaddr *)&d, &size)) perror(key);
        printf("port.%s.%d: bound %d connected %d\n", key, type, ntohs(((struct sockaddr_in *)&b)->sin_port),
               ntohs(((struct sockaddr_in *)&d)->sin_port));
        uint64_t cookie = 0;
        socklen_t length = sizeof cookie;
        getsockopt(c, SOL_SOCKET, SO_COOKIE, &cookie, &length);
        printf("cookie.%s.%d: %lu\n", key, type, cookie);
        close(c);
        close(s);
    }
}

static void order(const char *path) {
    DIR *dir = opendir(path);
    printf("order.%s:", path);
    for (struct dirent *e; dir && (e = readdir(dir));) printf(" %s", e->d_name);
    printf("\n");
    if (dir) closedir(dir);
}

static void folders(void) {
    for (int i = 0; i < 20; i++) {
        char path[40];
        snprintf(path, sizeof path, "/tmp/file-%d", i * 37 % 20);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    order("/tmp");
    order("/");
    order("/etc");
    order("/proc/self/fd");
    struct stat st;
    if (stat("/etc/passwd", &st) == 0)
        printf("inode.passwd: %lu dev %lx blocks %ld atime %ld.%09ld mtime %ld\n", st.st_ino, st.st_dev, st.st_blocks,
               st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec);
}

int main(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    counters();
    chance();
    addresses();
    clocks();
    printf("pid: %d parent %d group %d session %d\n", getpid(), getppid(), getpgrp(), getsid(0));
    machine();
    ports(AF_INET, "v4");
    ports(AF_INET6, "v6");
    folders();
    counters();
    return 0;
}
