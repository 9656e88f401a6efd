# SPDX-License-Identifier: MIT
"""The page without a browser: when it is written, what goes into it, and what it says when something is gone."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from testbed.cli.report import report
from testbed.errors import CapabilityError, ConfigError
from testbed.harness.records import CaseRecord, load_run
from testbed.reports import html
from testbed.reports.html import BAD_WITH_PACKETS, _seconds, _with_packets, write
from testbed.reports.marked import breakable, escape, marked
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

SUITE = """
    def test_ok(network):
        network["h1"].run(["echo", "fine"])

    def test_bad(network):
        assert network["h1"].run(["echo", "word"]) == "other"
"""


def details(page: Path) -> list[dict[str, Any]]:
    """Unpack the data of all cases, as the page's script does."""
    found = re.findall(r'<script type="text/plain" id="data-\d+">([^<]*)</script>', page.read_text())
    return [json.loads(zlib.decompress(base64.b64decode(text), wbits=-15)) for text in found]


def test_run_leaves_a_page_and_says_where(inner: Inner) -> None:
    inner.suite(SUITE)
    result = inner.run("--testbed-terminal")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"records: {inner.run_dir}", f"report: {inner.run_dir}/report.html"])
    good, bad = details(inner.run_dir / "report.html")
    assert "packets" not in good
    assert bad["packets_total"] == 1
    assert bad["failure"]["line"] == 6
    assert bad["processes"][0]["stdout"] == {"head": "word", "tail": "", "bytes": 4, "left_out": 0}


def test_run_leaves_no_page_where_none_is_wanted(inner: Inner) -> None:
    inner.suite(SUITE)
    result = inner.run("--testbed-terminal", "--no-report")
    result.stdout.no_fnmatch_line("report: *")
    assert not (inner.run_dir / "report.html").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ZeroDivisionError("a fault")])
def test_page_that_fails_costs_no_verdict(inner: Inner, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(html, "write", fail)
    inner.suite(SUITE)
    result = inner.run()
    assert result.ret == 1
    assert inner.document()["state"] == "finished"
    result.stderr.fnmatch_lines([f"testbed: cannot write {inner.run_dir}/report.html: {type(error).__name__}: *"])


def test_command_reads_the_packets_of_all(inner: Inner, capsys: pytest.CaptureFixture[str]) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    capsys.readouterr()
    report(str(inner.run_dir))
    shown = capsys.readouterr()
    assert shown.out == f"{inner.run_dir}/report.html\n"
    assert "MB" in shown.err
    assert [len(case["packets"]) for case in details(inner.run_dir / "report.html")] == [1, 1]


def test_page_elsewhere_links_back(inner: Inner, tmp_path: Path) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    page = tmp_path / "a" / "page.html"
    page.parent.mkdir()
    write(inner.run_dir, page)
    base = json.loads(re.findall(r'id="page">(.*?)</script>', page.read_text())[0])["base"]
    assert base.startswith("./../")
    assert (page.parent / base / "run.json").exists()


def test_wrong_file_is_refused_before_the_work(inner: Inner, tmp_path: Path) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    with pytest.raises(ConfigError, match=r"^cannot write the page '.*': there is no folder .*nowhere\nhint:"):
        report(str(inner.run_dir), html=tmp_path / "nowhere" / "page.html")
    with pytest.raises(ConfigError, match=r"^cannot write the page '.*': it is a folder\nhint: --html FILE$"):
        report(str(inner.run_dir), html=tmp_path)
    with pytest.raises(ConfigError, match=r"^no run"):
        report(str(tmp_path / "nothing"))


def test_open_shows_the_page_in_the_browser_of_the_user(inner: Inner, tmp_path: Path) -> None:
    """The variable ``BROWSER`` names a program: it gets the page's address, and nothing else."""
    inner.suite("def test_x(network):\n    pass\n")
    inner.run()
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{told}.new"\nmv "{told}.new" "{told}"\n')
    browser.chmod(0o755)
    page = tmp_path / "a page.html"
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "report", str(inner.run_dir), "--html", str(page), "--open"],
        env={**os.environ, "BROWSER": f"{browser} %s"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, f"{page}\n"), done.stderr
    assert told.read_text() == f"{page.as_uri()}\n"
    assert page.read_text().startswith("<!doctype html>")


def test_open_without_a_browser_says_which_file(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    with pytest.raises(CapabilityError, match=r"^there is no browser to open the page with\nhint: open .*report.html"):
        report(str(inner.run_dir), open_it=True)


def test_empty_run_has_a_page(inner: Inner) -> None:
    inner.suite(SUITE)
    inner.run("-k", "nothing_like_this")
    text = (inner.run_dir / "report.html").read_text()
    assert "This run has no cases." in text
    assert "Nothing was compared" in text


def test_records_that_are_gone_are_told(inner: Inner) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    shutil.rmtree(inner.run_dir / "cases")
    page = write(inner.run_dir)
    assert [case["problem"] for case in details(page)] == [
        f"no record in {inner.run_dir}/cases/mini-suite/test_it.test_{name}/1: record.json is missing"
        for name in ("ok", "bad")
    ]


def test_files_of_a_record_that_are_gone_cost_only_themselves(inner: Inner) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    for name in ("captures", "processes", "commands.jsonl", "topology.json"):
        for path in inner.run_dir.glob(f"cases/*/*/1/{name}"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    good, bad = details(write(inner.run_dir))
    assert (good["packets"], good["commands"], good["processes"][0]["stdout"]) == ([], [], None)
    assert bad["failure"] is not None


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("captures/h1-h2.h1.pcapng", b"no capture at all", "is no pcapng file"),
        ("commands.jsonl", b"\xff\xfe\n", "UnicodeDecodeError"),
        ("commands.jsonl", b"[1, 2]\n", "TypeError"),
        ("record.json", b"{}", "has schema None"),
        ("record.json", b'{"schema": 1}', "cannot"),
        ("topology.json", b'{"nodes": 5}', "cannot"),
    ],
)
def test_damaged_record_costs_only_itself(inner: Inner, name: str, data: bytes, problem: str) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    (inner.run_dir / "cases/mini-suite/test_it.test_ok/1" / name).write_bytes(data)
    good, bad = details(write(inner.run_dir))
    assert problem in good["problem"]
    assert "problem" not in bad
    assert len(bad["packets"]) == 1


def test_run_that_was_killed_has_a_page(inner: Inner) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    document = inner.document() | {"state": "running", "exit_code": None}
    document["cases"] = []
    (inner.run_dir / "run.json").write_text(json.dumps(document))
    page = write(inner.run_dir)
    assert "running: not complete" in page.read_text()
    assert len(details(page)) == len(load_run(inner.run_dir).cases) == 2


def test_names_of_strangers_are_text(inner: Inner) -> None:
    inner.suite(SUITE)
    inner.run("--no-report")
    document = inner.document()
    evil = "suites/x.py::test[</script><script>alert(1)</script>\u202e\x1b[31m\u2028]"
    document["cases"][0] |= {"nodeid": evil, "suite": '"><img src=x>', "reason": "<b>\x00\ud800</b>", "case": "\ud800"}
    (inner.run_dir / "run.json").write_text(json.dumps(document))
    text = write(inner.run_dir).read_text()
    assert "<script>alert" not in text
    assert "<img" not in text
    assert not set(text) & set("\u202e\x1b\u2028\x00")
    assert '<b class="ctl">\\u202e</b><b class="ctl">\\x1b</b>' in text


def test_packets_of_the_first_bad_cases_are_in_the_page_of_a_run() -> None:
    verdicts = [Verdict.PASSED, *[Verdict.FAILED] * (BAD_WITH_PACKETS + 1)]
    cases = [CaseRecord("x", "s", "c", verdict, executions=[]) for verdict in verdicts]
    assert _with_packets(cases, every=False) == [False, *[True] * BAD_WITH_PACKETS, False]
    assert all(_with_packets(cases, every=True))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<b>&\"'", "a&lt;b&gt;&amp;&#34;&#39;"),
        ("\x1b[0m", '<b class="ctl">\\x1b</b>[0m'),
        ("tab\tline\n", "tab\tline\n"),
        (b"\xff".decode("utf-8", "surrogateescape"), '<b class="ctl">\\xff</b>'),
        (
            "\u202e\u2066\u200b\ufeff",
            "".join(f'<b class="ctl">\\u{code}</b>' for code in ("202e", "2066", "200b", "feff")),
        ),
        ("\U000e0041", '<b class="ctl">\\U000e0041</b>'),
        ("gr\u00fc\u00df \u4f60", "gr\u00fc\u00df \u4f60"),
    ],
)
def test_marked_text(text: str, shown: str) -> None:
    assert str(marked(text)) == shown


def test_breakable_text_is_marked_too() -> None:
    assert str(breakable("a_<b>_\x07")) == 'a_<wbr>&lt;b&gt;_<wbr><b class="ctl">\\x07</b>'
    assert escape("\ud800") == "\\ud800"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 s"), (4e-9, "4 ns"), (1.5e-5, "15 us"), (0.25, "250 ms"), (61.23, "61.2 s"), (192.0, "3 min 12 s"),
     (8644.6, "2 h 24 min"), (100_010.0, "27.8 h")],
)  # fmt: skip
def test_lengths_of_time(value: float, text: str) -> None:
    assert _seconds(value) == text
