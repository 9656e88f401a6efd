# SPDX-License-Identifier: MIT
"""bench: medians, goals that are missed, figures that a machine cannot give, and what is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer

from benchmarks.figure import Figure, Measured, Sample, take
from benchmarks.registry import FIGURES
from benchmarks.runs import _process_s
from benchmarks.transfers import _check
from testbed.cli import bench
from testbed.errors import CapabilityError, ConfigError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
    from pathlib import Path  # noqa: PLC0415  # only for this value

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
        "make-test": 60.0,
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


def test_a_measured_program_that_fails_is_an_error_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"failed with exit code 3:\nlast words$"):
        _process_s(["sh", "-c", "echo last words; exit 3"], str(tmp_path))


def test_a_transfer_over_one_path_is_no_figure() -> None:
    report = json.dumps({"end": {"sum_received": {"bits_per_second": 9e6}}})
    _check(report, {"eth0": 20_000_000, "eth1": 20_000_000})
    with pytest.raises(TestbedError, match=r"^MPTCP did not use both paths: 9\.0 Mbit/s"):
        _check(report, {"eth0": 20_000_000, "eth1": 3_000})
