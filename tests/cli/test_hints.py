# SPDX-License-Identifier: MIT
"""Errors end with a hint of their own, long work says how long is left, and what cannot be written is refused first."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.figure import Figure
from testbed.cli import bench
from testbed.cli.main import call
from testbed.harness.durations import Durations
from testbed.harness.lookup import HOW_CASES
from tests.harness.conftest import inner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

__all__ = ["inner"]
USAGE, NOTHING_RAN = 4, 5


def said(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Give the exit status of a command, and what it said on stderr."""
    capfd.readouterr()
    return call(words), capfd.readouterr().err


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a user's folder with one suite, which needs no network."""
    suite = tmp_path / "suites" / "mini"
    suite.mkdir(parents=True)
    (suite / f"test_{tmp_path.name[-2:]}.py").write_text(
        "import pytest\n\n@pytest.mark.skip(reason='no moon')\ndef test_x():\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    return tmp_path


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (
            ("-k", "nothing"),
            NOTHING_RAN,
            r"error: nothing was run: mini with -k nothing selects no case\nhint: .*testbed",
        ),
        (("--bogus",), USAGE, r"hint: --bogus went to pytest as it stands; "),
        ((), NOTHING_RAN, r"error: nothing was run: all 1 cases were skipped; .*\nhint: .*doctor"),
    ],
)
def test_a_run_of_nothing_says_why(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, told: str
) -> None:
    monkeypatch.setattr("testbed.cli.run.set_up", lambda *_: None)
    found, text = said(capfd, "run", "mini", "-n", "1", *(["--", *words] if words else []))
    assert found == code
    assert re.search(told, text), text


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("packets", "no-such-run", "x"), "testbed run makes one"),
        (("show", "pair", "--svg", "/no/such/x"), "--svg FILE, in a folder that is there"),
        (("show", "pair", "--svg", "/proc"), "--svg FILE, in a folder that is there"),
    ],
)
def test_hints_are_about_the_error(user: Path, capfd: pytest.CaptureFixture[str], words: list[str], hint: str) -> None:
    del user
    code, text = said(capfd, *words)
    assert code == USAGE
    assert f"hint: {hint}" in text.replace("./testbed.sh", "testbed"), text


def test_a_case_that_is_not_there_has_a_hint(inner: Inner, capfd: pytest.CaptureFixture[str]) -> None:
    inner.suite("def test_x(network):\n    pass\n")
    inner.run()
    code, text = said(capfd, "packets", str(inner.run_dir), "nowhere")
    assert code == USAGE
    assert f"hint: {HOW_CASES.replace('testbed', '', 1)}" in re.sub(r"hint: \S*testbed(\.sh)?", "hint: ", text), text


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def measure() -> float:
        pytest.fail("it was measured")

    figure = Figure(name="one", what="it", unit="s", measure=measure)
    monkeypatch.setattr(bench, "_figures", lambda: {"one": figure})
    code, text = said(capfd, "bench", "one", "--json", "/no/such/x")
    assert code == USAGE
    assert "error: cannot write the values to '/no/such/x': there is no folder /no/such\nhint: --json FILE\n" in text


def test_bench_says_how_long_it_took_the_last_time(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path))
    figures = {name: Figure(name=name, what="it", unit="s", measure=lambda: 1.0) for name in ("one", "two")}
    monkeypatch.setattr(bench, "_figures", lambda: figures)
    durations = Durations.load()
    durations.put("bench one", 20.0)
    durations.put("bench two", 40.0)
    durations.save()
    _, text = said(capfd, "bench", "--runs", "3")
    assert "measuring one: it (it took 60 s the last time; about 3 min left in all)" in text
    assert "measuring two: it (it took 2 min the last time)" in text
    known = json.loads(Durations.load().path.read_text())
    assert known["bench one"] < 20.0
    capfd.readouterr()


def test_long_comparison_shows_how_far_it_is(inner: Inner, capfd: pytest.CaptureFixture[str]) -> None:
    inner.suite("def test_x(network):\n    pass\n")
    inner.run()
    file = inner.run_dir / "run.json"
    document = json.loads(file.read_text())
    (one,) = document["cases"]
    document["cases"] = [one | {"case": f"test_it.test_{number}"} for number in range(120)]
    file.write_text(json.dumps(document))
    code, text = said(capfd, "diff", str(inner.run_dir), str(inner.run_dir))
    assert code == 0
    assert re.search(r"^diff: cases 60/120 \(\d+ s", text, re.MULTILINE), text
