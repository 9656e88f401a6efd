# SPDX-License-Identifier: MIT
"""Which crates run under which sanitizer; all need a nightly toolchain."""

from __future__ import annotations

from dataclasses import dataclass

TARGET = "x86_64-unknown-linux-gnu"
_TEST = ("test", "--quiet", "--locked", "--lib", "--tests", "--target", TARGET)


@dataclass(frozen=True)
class Run:
    """One run of cargo.

    Args:
        name: Of the sanitizer.
        needs: Components of the toolchain, as ``rustup component add`` names them.
        words: What cargo is asked for.
        env: Variables beside those of this process.
    """

    name: str
    needs: tuple[str, ...]
    words: tuple[str, ...]
    env: dict[str, str]


def _crates(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("-p", name))


RUNS = (
    # The programs in C are linked without the sanitizer's library; valgrind looks at them.
    Run(
        name="address",
        needs=("rust-std",),
        words=(
            *_TEST,
            *_crates("abi", "catloop", "catmem", "catnap", "inetstack", "null", "queue", "shm"),
            "--",
            "--skip=c_program",
            "--skip=valgrind",
        ),
        env={"RUSTFLAGS": "-Zsanitizer=address", "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1"},
    ),
    # The standard library has to be built with it, too: else what it orders is taken for a race.
    Run(
        name="thread",
        needs=("rust-src",),
        words=(*_TEST, "-Zbuild-std", *_crates("catmem", "shm"), "--", "--skip=c_program", "--skip=valgrind"),
        env={"RUSTFLAGS": "-Zsanitizer=thread", "TSAN_OPTIONS": "halt_on_error=1"},
    ),
    # What the hardware does not see: aliasing, provenance. No system calls, and no test that goes by the clock.
    Run(
        name="miri",
        needs=("miri", "rust-src"),
        words=("miri", "test", "--quiet", "--locked", "--lib", "--target", TARGET, *_crates("queue")),
        env={"MIRIFLAGS": "-Zmiri-disable-isolation"},
    ),
)
"""Of each sanitizer: the crates that can run under it (``doc/libos-internals.md``)."""
