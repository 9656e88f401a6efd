# SPDX-License-Identifier: MIT
"""Memory and texts: what the C library and the kernel below it promise of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

MEMORY = {
    "heap": "zeroed, kept, aligned",
    "too-much": "ENOMEM",
    "anonymous-mapping": "zeroed, cut, moved",
    "protection": "faults tell address and cause",
    "file-mapping": "shared and private, SIGBUS behind the end",
    "memory-without-a-file": "written by a child",
    "named-shared-memory": "POSIX and System V",
    "stack": "grows, and ends with SIGSEGV",
}
STRINGS = {
    "blocks": "blocks",
    "copies-and-searches": "one\ntwo\nthree",
    "numbers-from-text": "numbers",
    "formats": "[   42] [42   ] [00042] [+42] [ff] [010]\n[   3.142] [1.234568e+04] [1e-10] [0x1p-1]\n"
    "[abc] [     right] [left      ] [c] [%] [(nil)]\n[    42] [44] [1099511627776] [7]",
    "sorting": "sorted and found",
    "other-alphabets": "Grüße, 世界",
    "patterns": "matched",
    "options": "a -\nb -\nc value\nl x\n? -\nrest: word rest",
}


@table(MEMORY)
def test_memory(behave: Behave, behaviour: str, expected: str) -> None:
    """The heap, mappings, faults and shared memory (malloc(3), mmap(2), shm_overview(7))."""
    behave("memory", behaviour, expected=expected)


def test_strings(behave: Behave) -> None:
    """Texts are copied, searched, converted, formatted and sorted (string(3), printf(3), qsort(3), regex(3))."""
    behave.each("strings", STRINGS)


def test_error_texts(behave: Behave) -> None:
    """What errors are called, on both streams (strerror(3), perror(3))."""
    place = behave.network["h1"]
    done = place.run([behave.program(place, "strings"), "error-texts"])
    assert done.stdout == "Operation not permitted\n"
    assert done.stderr == "perror: Operation not permitted\n"
