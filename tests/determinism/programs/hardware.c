// SPDX-License-Identifier: MIT
// hardware WHAT: print what the processor itself gives away, which no kernel sees: rdrand, rdseed, cpu.
#include <cpuid.h>
#include <immintrin.h>
#include <stdio.h>
#include <string.h>

__attribute__((target("rdrnd,rdseed"))) int main(int argc, char **argv) {
    unsigned long long value = 0;
    unsigned a = 0, b = 0, c = 0, d = 0;
    const char *what = argc > 1 ? argv[1] : "";
    __get_cpuid(1, &a, &b, &c, &d);
    if (!strcmp(what, "rdrand")) {
        if (!(c & bit_RDRND)) return 3;
        while (!_rdrand64_step(&value)) {}
    } else if (!strcmp(what, "rdseed")) {
        unsigned features = 0;
        __get_cpuid_count(7, 0, &a, &features, &c, &d);
        if (!(features & bit_RDSEED)) return 3;
        while (!_rdseed64_step(&value)) {}
    } else {
        return 2;
    }
    printf("%s: %016llx\n", what, value);
    return 0;
}
