# SPDX-License-Identifier: MIT
"""build: which flavors, and what is refused before anything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Testbed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("catnap", "catnip2"), "unknown flavor 'catnip2'"),
        (("catnap", "--patch", "one.patch"), "--source, --config and --patch are for linux"),
    ],
)
def test_wrong_words_are_refused_and_nothing_is_built(
    testbed: Testbed, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = testbed("build", *words)
    assert (done.returncode, done.stdout) == (4, "")
    assert message in done.stderr
    assert not (tmp_path / "cache").exists()


def test_without_a_compiler_it_says_so(testbed: Testbed) -> None:
    done = testbed("build", "catnap", env={"PATH": "/nonexistent"})
    assert (done.returncode, done.stdout) == (7, "")
    assert "building catnap needs cargo and rustc, which PATH does not have" in done.stderr


def test_doctor_tells_which_liboses_can_be_built(testbed: Testbed) -> None:
    assert any(line.split()[:3] == ["ok", "LibOS", "catnap"] for line in testbed("doctor").stdout.splitlines())
