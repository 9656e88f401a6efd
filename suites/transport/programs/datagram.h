/* SPDX-License-Identifier: MIT */
/* A datagram: its number, then pseudo-random bytes that follow from the number, so that each can be checked alone. */
#ifndef DATAGRAM_H
#define DATAGRAM_H

#include "../../common/programs/bytes.h"

#define MOST_BYTES 1400 /* of one datagram */
#define MOST_NUMBERS 65536

static inline void make_datagram(uint64_t *words, size_t bytes, uint64_t number)
{
	uint64_t state = number;

	words[0] = number;
	fill(words + 1, bytes - 8, &state);
}

/* The hash of one datagram. Those of many are added up: in which order they come does not matter. */
static inline uint64_t datagram_hash(const uint64_t *words, size_t bytes)
{
	return hash_more(HASH_START, words, bytes);
}

#endif
