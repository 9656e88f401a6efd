/* SPDX-License-Identifier: MIT */
/* The bytes of a round: block N is the 128 words that follow N in a 64-bit linear congruential generator. */
#ifndef SIMPLE_H
#define SIMPLE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_BYTES 1024
#define BLOCK_WORDS (BLOCK_BYTES / 8)

/* Knuth's MMIX constants: cheap, and no two blocks are alike. */
static inline void fill_block(uint64_t *block, uint64_t number)
{
	uint64_t state = number;

	for (int i = 0; i < BLOCK_WORDS; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		block[i] = state;
	}
}

static inline void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

#endif
