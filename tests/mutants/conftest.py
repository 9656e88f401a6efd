# SPDX-License-Identifier: MIT
"""Builders that need no compiler, and the marker of the tests that do."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from testbed.backends.artifacts import find_kernel
from testbed.libos.linux.progress import Progress, ignore
from tests.libos.conftest import pytest_collection_modifyitems, pytest_configure
from tests.mutants.mutant import Mutant, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["pytest_collection_modifyitems", "pytest_configure"]

NOTHING = "--- a/net/core/dev.c\n+++ b/net/core/dev.c\n@@ -1,1 +1,1 @@\n-one\n+two\n"


@dataclass
class DefaultKernels:
    """Gives the default kernel whatever the patch: what a patch that changes nothing would build.

    Args:
        runs: Folder of the runs.
        failure: Raised in place of a mutant's kernel.
        built, discarded: Names, in order.
    """

    runs: Path
    failure: Exception | None = None
    built: list[str] = field(default_factory=list)
    discarded: int = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold nothing."""
        yield

    def build(self, name: str, faults: Sequence[Path], progress: Progress = ignore) -> Path:  # noqa: ARG002
        """Give the default kernel."""
        self.built.append(name)
        if faults and self.failure is not None:
            raise self.failure
        return find_kernel(None)

    def discard(self, program: Path) -> None:  # noqa: ARG002
        """Keep the program: it is not ours."""
        self.discarded += 1


@pytest.fixture
def default_kernels(tmp_path: Path) -> DefaultKernels:
    """Give the builder of default kernels."""
    return DefaultKernels(tmp_path / "runs")


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Mutant]:
    """Give a function that writes a mutant of two cases of a suite, and reads it."""

    def plant(name: str, diff: str = NOTHING, cases: str = "test_udp_simple.py", suite: str = "udp-simple") -> Mutant:
        patch = tmp_path / f"{name}.patch"
        patch.write_text(f"Subject: nothing is wrong\nSuite: {suite}\nCases: {cases}\n\n---\n{diff}")
        return read(patch)

    return plant
