# SPDX-License-Identifier: MIT
"""The suites of the kernel skip nothing on testbed's own one: which suites these are, and which kernel that is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from suites.conftest import COMPLETE
from testbed.backends.artifacts import release_of
from testbed.backends.timetravel import TimeTravelBackend
from testbed.paths import package_dir

if TYPE_CHECKING:
    from pathlib import Path

SUITES = package_dir().parent / "suites"


def test_every_suite_that_knows_of_older_kernels_is_complete() -> None:
    can_skip = re.compile(r"kernel import since|LACKS")
    found = {path.parent.name for path in SUITES.glob("*/*.py") if can_skip.search(path.read_text())} - {"common"}
    assert found
    assert found <= set(COMPLETE)
    assert all((SUITES / name / "__init__.py").is_file() for name in COMPLETE)


def test_default_kernel_is_one_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTBED_LINUX", raising=False)
    assert re.match(r"\d+\.\d+", TimeTravelBackend().own_release() or "")


def test_kernel_that_the_environment_names_is_not_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_LINUX", "/bin/true")
    assert TimeTravelBackend().own_release() is None


@pytest.mark.parametrize(
    ("name", "release"), [("linux-6.12.117-6c97b74d537f", "6.12.117"), ("linux", None), ("agent-0123456789ab", None)]
)
def test_release_is_that_of_the_artifact(tmp_path: Path, name: str, release: str | None) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    assert release_of(folder / "linux") == release


def test_program_outside_an_artifact_has_no_release(tmp_path: Path) -> None:
    assert release_of(tmp_path / "linux-6.12.117-6c97b74d537f" / "linux") is None
