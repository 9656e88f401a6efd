# SPDX-License-Identifier: MIT
"""Names of suites and cases, seeds, run folders: pure functions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.errors import CapabilityError, ConfigError, DeadlineError, GuestCrashed, InternalError
from testbed.harness import runfolder
from testbed.harness.identity import case_id, normal_suite_name, suite_folder, suite_kind
from testbed.harness.plan import resolve, suites
from testbed.harness.runfolder import RunFolder
from testbed.harness.settings import settings_of
from testbed.harness.verdicts import of_exception
from testbed.verdict import Verdict


def tree(root: Path) -> Path:
    for name in ("tcp_simple", "mptcp", "netlink_socket"):
        (root / "suites" / name).mkdir(parents=True)
        (root / "suites" / name / f"test_{name}.py").touch()
    (root / "suites/common").mkdir()
    return root


@pytest.mark.parametrize("word", ["tcp-simple", "tcp_simple", "dce-tcp-simple", "dce-tcp_simple", "tcp_simple/"])
def test_suite_is_found_by_any_of_its_names(tmp_path: Path, word: str) -> None:
    root = tree(tmp_path)
    assert resolve([word], root) == [str(root / "suites/tcp_simple")]


def test_no_word_is_all_suites_and_a_folder_without_tests_is_none(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert list(suites(root)) == ["mptcp", "netlink-socket", "tcp-simple"]
    assert resolve([], root) == [str(root / "suites" / name) for name in ("mptcp", "netlink_socket", "tcp_simple")]


def test_node_id_is_handed_on(tmp_path: Path) -> None:
    root = tree(tmp_path)
    word = f"{root}/suites/mptcp/test_mptcp.py::test_x"
    assert resolve([word, "mptcp", word], root) == [word, str(root / "suites/mptcp")]


def test_unknown_suite_names_near_misses(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^no suite 'tcp-simpel'; did you mean 'tcp-simple'\?\nhint: testbed list suites$"
    ):
        resolve(["tcp-simpel"], tree(tmp_path))


def test_no_suite_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^there is no suite below "):
        resolve([], tmp_path)


def test_without_a_name_a_users_folder_means_its_own_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path)
    monkeypatch.chdir(root)
    assert resolve([]) == [str(root / "suites" / name) for name in ("mptcp", "netlink_socket", "tcp_simple")]
    assert Path(resolve(["udp-simple"])[0]).is_dir(), "testbed's own are there by name"
    (tmp_path / "nothing").mkdir()
    monkeypatch.chdir(tmp_path / "nothing")
    assert len(resolve([])) > 10, "who has none means testbed's"


@pytest.mark.parametrize(
    ("path", "test", "suite", "name"),
    [
        ("/r/suites/tcp_simple/test_a.py", "test_x", "tcp-simple", "test_a.test_x"),
        ("/r/suites/tcp_simple/deep/test_a.py", "T::test_x[v4-0.5]", "tcp-simple", "deep.test_a.T.test_x-v4-0.5"),
        ("/r/tests/test_plain.py", "test_x", "plain", "test_plain.test_x"),
        ("/r/suites/dce-mptcp/test_a.py", "test_x", "mptcp", "test_a.test_x"),
        ("/suites/r/suites/mptcp/test_a.py", "test_x", "mptcp", "test_a.test_x"),
    ],
)
def test_case_has_a_readable_name(path: str, test: str, suite: str, name: str) -> None:
    found = case_id(Path(path), f"x.py::{test}")
    assert (found.suite, found.name) == (suite, name)


def test_case_names_that_a_path_cannot_hold_stay_apart() -> None:
    names = {
        case_id(Path("/r/suites/s/test_a.py"), f"x.py::test_x[{parameter}]").name
        for parameter in ("a/b", "a b", "a_b", "ä" * 300, "ä" * 301)
    }
    assert len(names) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9._+=,@-]{1,130}", name) for name in names)


def test_seed_depends_on_run_and_test_but_not_on_the_place() -> None:
    here = case_id(Path("/here/suites/s/test_a.py"), "suites/s/test_a.py::test_x")
    there = case_id(Path("/there/suites/s/test_a.py"), "test_a.py::test_x")
    other = case_id(Path("/here/suites/s/test_a.py"), "suites/s/test_a.py::test_y")
    assert here.seed(1) == there.seed(1)
    assert len({here.seed(1), here.seed(2), other.seed(1)}) == 3
    assert 0 <= here.seed(1) < 1 << 63


def test_suite_says_its_kind(tmp_path: Path) -> None:
    assert suite_kind(tmp_path) == "TestSuite"
    (tmp_path / "__init__.py").write_text('"""Doc."""\nSUITE_KIND: str = "Example"\n')
    assert suite_kind(tmp_path) == "Example"
    (tmp_path / "__init__.py").write_text("SUITE_KIND = print\n")
    assert suite_kind(tmp_path) == "TestSuite"


def test_file_without_a_suite_has_no_folder() -> None:
    assert suite_folder(Path("/r/suites/test_a.py")) is None
    assert suite_folder(Path("/r/suites/x/y/test_a.py")) == Path("/r/suites/x")
    assert normal_suite_name("dce-tcp_simple") == "tcp-simple"


def test_run_folders_of_two_runs_at_once_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path))
    first, second = RunFolder.choose(None), RunFolder.choose(None)
    assert first.path != second.path
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", first.path.name)
    first.make()
    second.make()
    assert (tmp_path / "latest").resolve() == second.path
    assert (first.path / runfolder.RESERVE).stat().st_size == runfolder.RESERVE_BYTES


def test_latest_of_the_user_stays(tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("mine")
    RunFolder.choose(tmp_path / "run").make()
    assert (tmp_path / "latest").read_text() == "mine"


def test_run_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ConfigError, match=r"^the run folder .*/run exists and is no folder\nhint: "):
        RunFolder.choose(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"^cannot make the run folder .*/run/below: Not a directory\nhint: "):
        RunFolder(tmp_path / "run/below").make()


@pytest.mark.parametrize(
    ("error", "when", "verdict"),
    [
        (AssertionError("x"), "call", Verdict.FAILED),
        (AssertionError("x"), "setup", Verdict.ERROR),
        (OSError(111, "refused"), "call", Verdict.FAILED),
        (GuestCrashed("x"), "teardown", Verdict.CRASHED),
        (DeadlineError("x"), "setup", Verdict.TIMED_OUT),
        (CapabilityError("x"), "setup", Verdict.SKIPPED),
        (InternalError("x"), "call", Verdict.ERROR),
        (ConfigError("x"), "call", Verdict.ERROR),
        (ExceptionGroup("x", [AssertionError("x"), GuestCrashed("y")]), "call", Verdict.CRASHED),
    ],
)
def test_exception_gives_its_verdict(error: BaseException, when: str, verdict: Verdict) -> None:
    assert of_exception(error, when) is verdict


def test_exception_inside_testbed_is_an_error_and_outside_a_failure() -> None:
    def outside() -> None:
        raise RuntimeError("the test's own")

    with pytest.raises(RuntimeError) as own:
        outside()
    assert of_exception(own.value, "call") is Verdict.FAILED
    with pytest.raises(AttributeError) as ours:
        settings_of(None)  # type: ignore[arg-type]
    assert of_exception(ours.value, "call") is Verdict.ERROR
