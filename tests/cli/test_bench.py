# SPDX-License-Identifier: MIT
"""bench: medians, goals that are missed, figures that a machine cannot give, and what is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from benchmarks import runs
from benchmarks.figure import Figure, Measured, Sample, take
from benchmarks.registry import FIGURES
from benchmarks.runs import FIRST, KERNEL, _process_s
from benchmarks.transfers import _check
from testbed.cli import bench, main
from testbed.errors import CapabilityError, ConfigError, TestbedError
from testbed.harness.plan import suites

if TYPE_CHECKING:
    from collections.abc import Callable


def values(*numbers: float) -> Callable[[], float]:
    """Make a measurement that gives these numbers, one after the other."""
    left = iter(numbers)
    return lambda: next(left)


def figure(**changes: object) -> Figure:
    """Make a figure with some fields changed."""
    given: dict[str, object] = {"name": "f", "what": "something", "unit": "s", "measure": values(9.0, 1.0, 3.0, 2.0)}
    return Figure(**{**given, **changes})  # type: ignore[arg-type]


def cannot() -> float:
    raise CapabilityError("no such thing here\nat all")


def test_the_first_of_several_runs_does_not_count() -> None:
    measured = take(figure(), 3)
    assert measured.values == (1.0, 3.0, 2.0)
    assert measured.median == 2.0


def test_a_single_run_and_a_figure_of_one_run_count_at_once() -> None:
    assert take(figure(), 1).values == (9.0,)
    assert take(figure(once=True), 3).values == (9.0,)


def test_what_a_machine_cannot_is_skipped_with_the_reason() -> None:
    measured = take(figure(measure=cannot, at_most=1.0), 3)
    assert (measured.median, measured.verdict, measured.skipped) == (None, "skipped", "no such thing here")


def test_what_fails_is_told_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> float:
        raise TestbedError("nothing came back\nfrom anywhere")

    figures = {"bad": figure(name="bad", measure=fails), "good": figure(name="good")}
    monkeypatch.setattr(bench, "_figures", lambda: figures)
    assert main.call(["bench", "--runs", "3"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"bad .* FAILED +something \(nothing came back\)", shown)
    assert re.search(r"good +2 s", shown)


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        ({"at_most": 2.0}, 2.0, "ok"),
        ({"at_most": 2.0}, 2.1, "MISSED"),
        ({"at_least": 10.0}, 10.0, "ok"),
        ({"at_least": 10.0}, 9.9, "MISSED"),
        ({"peer": True}, 99.0, ""),
    ],
)
def test_verdicts_of_goals(goal: dict[str, object], value: float, verdict: str) -> None:
    assert Measured(figure=figure(**goal), values=(value,)).verdict == verdict


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace all figures: a good one, a missed one, one that cannot be had, and a slow one."""
    figures = (
        figure(name="good", measure=lambda: 1.0, at_most=2.0),
        figure(name="bad", measure=lambda: 3.0, at_most=2.0),
        figure(name="absent", measure=cannot),
        figure(name="slow", measure=lambda: 1.0, slow=True),
    )
    monkeypatch.setattr(bench, "_figures", lambda: {entry.name: entry for entry in figures})


@pytest.mark.usefixtures("two")
def test_a_missed_goal_is_exit_1_and_everything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    with pytest.raises(typer.Exit) as raised:
        bench.bench(runs=2, json_file=file)
    assert raised.value.exit_code == 1
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["good", "bad", "absent"]
    assert "not measured because slow (--all, or by name): slow" in shown.err
    saved = json.loads(file.read_text())
    assert {entry["name"]: entry["verdict"] for entry in saved["figures"]} == {
        "good": "ok",
        "bad": "MISSED",
        "absent": "skipped",
    }
    assert saved["figures"][0]["values"] == [1.0, 1.0]


@pytest.mark.usefixtures("two")
def test_json_to_stdout_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    bench.bench(["good", "slow"], runs=1, json_file=Path("-"))
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)["figures"]] == ["good", "slow"]


@pytest.mark.usefixtures("two")
def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^unknown figure 'godo'"):
        bench.bench(["godo"])


@pytest.mark.usefixtures("two")
def test_a_group_is_all_its_figures_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    figures = (figure(name="alone"), figure(name="one", group="many"), figure(name="two", group="many"))
    monkeypatch.setattr(bench, "_figures", lambda: {entry.name: entry for entry in figures})
    bench.bench(["two", "many"], show=True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["two", "one"]
    with pytest.raises(ConfigError, match=r"^unknown figure 'man'"):
        bench.bench(["man"])


def test_what_a_sample_says_beside_its_number_is_kept() -> None:
    samples = iter([Sample(9.0, {}), Sample(1.0, {"ours": 1}), Sample(2.0, {"ours": 2})])
    measured = take(figure(measure=lambda: next(samples)), 2)
    assert (measured.values, measured.details) == ((1.0, 2.0), ({"ours": 1}, {"ours": 2}))
    assert measured.to_dict()["details"] == [{"ours": 1}, {"ours": 2}]


def test_round_trips_are_shown_by_their_percentiles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    percentiles = dict.fromkeys(bench._PERCENTILES, 1.5)
    sides = {
        "ours": {"rounds": 101, "percentiles_us": percentiles},
        "few": {"rounds": 3, "percentiles_us": percentiles},
    }
    entry = figure(name="echo", measure=lambda: Sample(1.0, sides))
    monkeypatch.setattr(bench, "_figures", lambda: {"echo": entry})
    bench.bench(["echo"], runs=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["echo", "ours", *["1.5"] * len(bench._PERCENTILES)]


def test_round_trips_are_drawn_into_a_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = {
        name: {"rounds": 900, "percentiles_us": dict.fromkeys(bench._PERCENTILES, 1.5)} for name in ("ours", "peer")
    }
    entries = {
        "echo": figure(name="echo", measure=lambda: Sample(1.0, sides)),
        "flat": figure(name="flat", measure=lambda: 1.0),
        "absent": figure(name="absent", measure=cannot),
    }
    monkeypatch.setattr(bench, "_figures", lambda: entries)
    file = tmp_path / "page.html"
    bench.bench(runs=1, html_file=file)
    text = file.read_text()
    assert [name for name in entries if f'<section id="{name}">' in text] == ["echo"]
    assert "Medians of 1 runs; the distributions are those of the last one." in text
    assert f"round trips are drawn in {file}" in capsys.readouterr().err


def test_every_goal_of_the_table_is_there() -> None:
    goals = {name: entry.at_most or entry.at_least for name, entry in FIGURES.items()}
    assert goals == {
        "boot": 0.06,
        "case": 0.20,
        "lan-guest": 1.0,
        "lan-host": 0.3,
        "lan-mininet": None,
        "lan-ratio": 10.0,
        "mininet-added": 10.0,
        "mptcp": 2.0,
        "captures": 15.0,
        "tcp-simple": 6.0,
        "memory": 150.0,
        "report-open": 2.0,
        "report-end": 1.2,
        "cloudlab-run": 20.0,
        "cloudlab-scp": 0.8,
        "ip6-tunnels": 2.5,
        "hundred-nodes": 10.0,
        "make-test-first": 60.0,
        "make-test-kernel": 120.0,
        "make-test-catnap": 90.0,
        "make-test-catnip": 90.0,
        "make-test-catpowder": 90.0,
        "make-test-catmem": 90.0,
        "make-test-catloop": 90.0,
        "build": 200.0,
        "catnap-tcp": 1.10,
        "catnap-udp": 1.10,
        "catpowder-udp": 1.5,
        "catnip-udp": 1.5,
        "catmem": 2.0,
        "catmem-us": 1.0,
        "catloop-tcp": 0.5,
        "catpowder-bulk": 0.7,
        "queue-cost": None,
    }


def measured(monkeypatch: pytest.MonkeyPatch, name: str, *, wall_s: float = 0.0, total_s: float = 0.0) -> list[str]:
    """Give the words after ``python -m testbed`` that a figure runs; its cases are made up."""
    seen: list[str] = []

    def process_s(argv: list[str], folder: str) -> float:
        seen.extend(argv[3:])
        run = Path(folder) / "run"
        assert argv[argv.index("--run-dir") + 1] == str(run)
        run.mkdir()
        cases = [{"virtual_s": 1.0, "wall_s": 9.0}, {"virtual_s": 7.0, "wall_s": wall_s}]
        (run / "run.json").write_text(json.dumps({"cases": cases}))
        return 12.5

    monkeypatch.setattr(runs, "_process_s", process_s)
    assert FIGURES[name].measure() == (total_s or wall_s or 12.5)
    return seen


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("make-test-first", [word for suite in FIRST for word in ("-s", suite)]),
        ("make-test-kernel", [word for suite in KERNEL for word in ("-s", suite)]),
        ("make-test-catnip", ["--libos", "catnip"]),
        ("make-test-catloop", ["--libos", "catloop"]),
    ],
)
def test_a_figure_of_suites_is_one_make_test(monkeypatch: pytest.MonkeyPatch, name: str, words: list[str]) -> None:
    seen = measured(monkeypatch, name)
    assert [*seen[:4], *seen[6:]] == ["make", "test", "-n", "2", *words]


def test_the_figure_of_a_suite_is_the_sum_of_its_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = measured(monkeypatch, "ip6-tunnels", wall_s=3.5, total_s=12.5)
    assert (seen[0], "ip6-tunnels" in seen) == ("run", True)


@pytest.mark.parametrize(("name", "word"), [("tcp-simple", "tcp-simple"), ("hundred-nodes", "process-manager")])
def test_a_figure_of_a_case_is_the_wall_time_of_the_longest(
    monkeypatch: pytest.MonkeyPatch, name: str, word: str
) -> None:
    seen = measured(monkeypatch, name, wall_s=3.5)
    assert seen[0] == "run"
    assert word in seen


def test_every_suite_of_the_kernel_is_measured() -> None:
    """A suite that takes the fixture ``flavor`` is one of the LibOSes, which have figures of their own."""
    root = Path(__file__).parents[2]
    of_kernel = {
        name
        for name, folder in suites(root).items()
        if not any(re.search(r"\bflavor\b", file.read_text()) for file in folder.rglob("*.py"))
    }
    assert set(KERNEL) == of_kernel
    assert set(FIRST) < of_kernel


def test_a_measured_program_that_fails_is_an_error_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"failed with exit code 3:\nlast words$"):
        _process_s(["sh", "-c", "echo last words; exit 3"], str(tmp_path))


def test_a_transfer_over_one_path_is_no_figure() -> None:
    report = json.dumps({"end": {"sum_received": {"bits_per_second": 9e6}}})
    _check(report, {"eth0": 20_000_000, "eth1": 20_000_000})
    with pytest.raises(TestbedError, match=r"^MPTCP did not use both paths: 9\.0 Mbit/s"):
        _check(report, {"eth0": 20_000_000, "eth1": 3_000})
