# SPDX-License-Identifier: MIT
"""--summary, --badges and the page of a GitHub job, from real runs of a suite without a guest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.cli.publish import Publish
from testbed.errors import ConfigError
from testbed.harness.plan import run_suites
from tests.harness.conftest import inner
from tests.reports.made_up import case, run

if TYPE_CHECKING:
    from tests.harness.inner import Inner

    from .conftest import Testbed

__all__ = ["inner"]


def play(inner: Inner, publish: Publish, *words: str) -> int:
    """Run the inner suite as ``testbed run`` would."""
    inner.suite("def test_ok(network):\n    network['h1'].run(['echo', 'x'])\n")
    words = ("-p", "no:cacheprovider", *words)
    return run_suites(["mini-suite"], backend="fake", run_dir=inner.run_dir, pytest_args=words, ended=publish)


def test_a_run_writes_its_summary_and_its_badges(inner: Inner, tmp_path: Path) -> None:
    summary, badges = tmp_path / "summary.md", tmp_path / "badges"
    summary.write_text("old")
    assert play(inner, Publish.checked(summary, badges)) == 0
    assert summary.read_text().startswith("## testbed: PASS\n\n**1 passed**")
    assert sorted(path.name for path in badges.iterdir()) == ["linux.json", "linux.svg", "testbed.json", "testbed.svg"]


def test_the_page_of_a_github_job_is_appended_to(inner: Inner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "step.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert play(inner, Publish.checked(None, None)) == 0
    assert page.read_text().startswith("before\n## testbed: PASS")
    Publish.checked(page, None)(run(case()), tmp_path)  # the same file by both ways: once
    assert page.read_text().count("## testbed") == 1


def test_a_run_that_never_began_writes_nothing(inner: Inner, tmp_path: Path) -> None:
    assert play(inner, Publish.checked(tmp_path / "summary.md", None), "--no-such-option") == 4
    assert not (tmp_path / "summary.md").exists()


@pytest.mark.parametrize(
    ("summary", "badges", "message"),
    [
        ("none/summary.md", None, r"^cannot write the summary '.*none/summary.md': there is no folder .*none$"),
        (".", None, r"^cannot write the summary '.*': it is a folder$"),
        (None, "file", r"^cannot write badges into '.*file': it is no folder$"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_run(
    summary: str | None, badges: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as raised:
        Publish.checked(tmp_path / summary if summary else None, tmp_path / badges if badges else None)
    assert re.search(message, raised.value.message)


def test_a_page_that_cannot_be_written_is_told_with_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write the summary '/proc/no': .*\nhint: the run itself is whole: "):
        Publish(None, None, Path("/proc/no"))(run(case()), tmp_path)


def test_a_run_that_is_over_gives_its_summary_and_badges_too(testbed: Testbed, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "20260101-120000-abcd"
    folder.mkdir(parents=True)
    run(case()).save(folder)
    page = tmp_path / "step.md"
    env = {"GITHUB_STEP_SUMMARY": str(page)}
    done = testbed("report", "latest", "--summary", "summary.md", "--badges", "badges", env=env)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "summary.md").read_text().startswith("## testbed: PASS")
    assert (tmp_path / "badges" / "linux.svg").exists()
    assert not page.exists()
    assert not (folder / "report.html").exists()


def test_a_job_of_github_hears_of_failures_but_not_what_tests_print(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(inner.run_dir.parent))
    publish = Publish.checked(None, None)
    inner.suite("def test_bad(network):\n    print('::add-mask::x')\n    assert network is None\n")
    words = ("-p", "no:cacheprovider", "-s")
    code = run_suites(
        ["mini-suite"],
        backend="fake",
        run_dir=inner.run_dir,
        pytest_args=words,
        around=publish.around(),
        ended=publish,
    )
    assert code == 1
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("::")]
    stop = lines[0].removeprefix("::stop-commands::")
    resume = lines.index(f"::{stop}::")
    assert "::add-mask::x" in lines[1:resume]
    (error,) = lines[resume + 1 :]
    assert error.startswith(
        "::error title=failed%3A test_it.py%3A%3Atest_bad,file=suites/mini_suite/test_it.py,line=3::"
    )
