/* SPDX-License-Identifier: MIT */
/*
 * demi_layout LIBRARY: a C program against include/demi.h in a node: the sizes and places of all fields, and calls of the
 * library whose results are seen by them. Prints one line per layout; exit status 1 and a word on stderr where one differs.
 */
#include "../../../testbed/libos/include/demi.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE(type) printf("%s %zu\n", #type, sizeof(type))
#define FIELD(type, field) printf("%s.%s %zu %zu\n", #type, #field, offsetof(type, field), sizeof(((type *)0)->field))
#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #what);                                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void *library;

static void *function(const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "no function %s\n", name);
        exit(1);
    }
    return found;
}

static void layouts(void)
{
    SIZE(demi_qtoken_t);
    SIZE(demi_args_t);
    FIELD(demi_args_t, argv);
    FIELD(demi_args_t, log_callback);
    SIZE(demi_sgaseg_t);
    FIELD(demi_sgaseg_t, sgaseg_len);
    SIZE(demi_sgarray_t);
    FIELD(demi_sgarray_t, sga_numsegs);
    FIELD(demi_sgarray_t, sga_segs);
    FIELD(demi_sgarray_t, sga_addr);
    SIZE(demi_accept_result_t);
    FIELD(demi_accept_result_t, addr);
    SIZE(demi_qresult_t);
    FIELD(demi_qresult_t, qr_qd);
    FIELD(demi_qresult_t, qr_qt);
    FIELD(demi_qresult_t, qr_ret);
    FIELD(demi_qresult_t, qr_value);
}

/* An array of our own, with a guard behind it: what comes by value has 40 bytes, and says what was asked for. */
static void arrays(void)
{
    demi_sgarray_t (*sgaalloc)(size_t) = function("demi_sgaalloc");
    int (*sgafree)(demi_sgarray_t *) = function("demi_sgafree");
    struct {
        demi_sgarray_t sga;
        uint64_t guard;
    } it = {.guard = 0x5a5a5a5a5a5a5a5a};
    for (size_t size = 1; size <= 1 << 20; size *= 16) {
        it.sga = sgaalloc(size);
        CHECK(it.sga.sga_numsegs == 1 && it.sga.sga_segs[0].sgaseg_len == size && it.guard == 0x5a5a5a5a5a5a5a5a);
        memset(it.sga.sga_segs[0].sgaseg_buf, 0xff, size);
        demi_sgarray_t copy = it.sga;
        CHECK(sgafree(&it.sga) == 0);
        CHECK(sgafree(&copy) == EINVAL); /* it is freed already */
    }
    CHECK(sgaalloc(0).sga_numsegs == 0);
    CHECK(sgaalloc((size_t)-1).sga_numsegs == 0);
    demi_sgarray_t foreign = {.sga_buf = &foreign, .sga_numsegs = 1};
    CHECK(sgafree(&foreign) == EINVAL && sgafree(NULL) == EINVAL);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    layouts();
    library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*init)(const struct demi_args *) = function("demi_init");
    const demi_args_t args = {argc, argv, NULL};
    CHECK(init(&args) == 0 && init(&args) == EEXIST);
    arrays();
    demi_qresult_t result;
    memset(&result, 0xa5, sizeof result);
    int (*wait)(demi_qresult_t *, demi_qtoken_t, const struct timespec *) = function("demi_wait");
    const struct timespec now = {0, 0};
    CHECK(wait(&result, 1, &now) == EINVAL && result.qr_ret == (int64_t)0xa5a5a5a5a5a5a5a5);
    return 0;
}
