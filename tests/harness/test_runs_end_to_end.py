# SPDX-License-Identifier: MIT
"""Whole runs: workers, interruptions, a full disk, what is left on disk and what the terminal says."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed.harness import recorder as recorder_module
from testbed.harness.records import Record, load_run
from testbed.reports.runjson import RECORD, problems
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

SEVERAL = """
    import pytest

    @pytest.mark.parametrize("word", ["a", "b", "c", "d"])
    def test_echo(network, word):
        network["h1"].run(["echo", word])

    def test_seed(network, seed):
        assert network["h1"].run(["seed"]) == str(seed)

    def test_fails(network):
        assert network["h1"].run(["echo", "x"]) == "y"

    def test_skips(network):
        pytest.skip("no reason")

    def test_without_network():
        pass
"""


def digests(inner: Inner) -> dict[str, str | None]:
    return {case["nodeid"]: case["digest"] for case in inner.document()["cases"]}


def test_two_workers_give_the_same_digests_as_one(inner: Inner) -> None:
    inner.suite(SEVERAL)
    assert inner.run().ret == 1
    alone = digests(inner)
    assert len({digest for digest in alone.values() if digest}) == 7
    inner.run_dir = inner.run_dir.with_name("second")
    result = inner.run("-n", "2", process=True)
    result.assert_outcomes(passed=6, failed=1, skipped=1)
    assert result.ret == 1
    assert digests(inner) == alone
    assert {case["nodeid"]: case["verdict"] for case in inner.document()["cases"]}[
        "suites/mini_suite/test_it.py::test_fails"
    ] == "failed"


def test_another_seed_gives_other_digests(inner: Inner) -> None:
    inner.suite(SEVERAL)
    inner.run("-k", "test_seed")
    one = digests(inner)
    inner.run_dir = inner.run_dir.with_name("second")
    inner.run("-k", "test_seed", "--seed", "2")
    assert one.keys() == digests(inner).keys()
    assert one != digests(inner)


def test_run_and_records_validate_and_read_back(inner: Inner) -> None:
    inner.suite(SEVERAL)
    inner.run("--keep")
    assert problems(inner.document()) == []
    run = load_run(inner.run_dir)
    assert run.environment["kernels"] == ["6.12.0-fake"]
    assert [case.verdict for case in run.cases if "fails" in case.nodeid] == [Verdict.FAILED]
    assert run.verdict is Verdict.FAILED
    files = sorted(inner.run_dir.glob("cases/*/*/*/record.json"))
    assert len(files) == 13
    for file in files:
        assert problems(json.loads(file.read_text()), RECORD) == []
        assert Record.load(file.parent).complete


def test_junit_tells_verdict_digest_seed_and_record(inner: Inner) -> None:
    inner.suite(SEVERAL)
    inner.run("-k", "echo-a or test_echo[a]")
    text = (inner.run_dir / "junit.xml").read_text()
    case = inner.case()
    for name in ("verdict", "digest", "seed"):
        assert f'<property name="{name}" value="{case[name]}"' in text
    assert f'<property name="record" value="{case["folder"]}"' in text


def test_worker_that_dies_is_an_error_of_its_case(inner: Inner) -> None:
    inner.suite("""
        import os

        def test_dies(network):
            os._exit(9)

        def test_lives(network):
            network["h1"].run(["echo", "x"])
    """)
    result = inner.run("-n", "2", process=True)
    assert result.ret == 3
    assert inner.case("dies")["verdict"] == "error"
    assert re.fullmatch(r"worker 'gw\d' crashed while running '.*test_dies'", inner.case("dies")["reason"])
    assert inner.case("lives")["verdict"] == "passed"


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_ctrl_c_keeps_what_was_done(inner: Inner, workers: list[str]) -> None:
    inner.suite("""
        import os, signal, threading, sys

        def test_a_done(network):
            network["h1"].run(["echo", "x"])

        def test_b_waits(network, request):
            network["h1"].run(["echo", "y"])
            with open(request.config.rootpath / "waiting", "w") as fifo:
                fifo.write("x")
            network.interrupted = True
            threading.Event().wait()

        def test_c_never(network):
            pass
    """)
    fifo = inner.pytester.path / "waiting"
    os.mkfifo(fifo)
    words = [sys.executable, "-m", "pytest", "--backend", "fake", "--run-dir", str(inner.run_dir), *workers]
    with subprocess.Popen(
        [*words, "-p", "no:cacheprovider"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([reader], [], [], 30)[0], "the case that waits was never reached"
            os.killpg(child.pid, signal.SIGINT)
            child.communicate(timeout=30)
        finally:
            os.close(reader)
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 130
    run = load_run(inner.run_dir)
    assert run.state == "interrupted"
    verdicts = {case.nodeid.rpartition("::")[2]: case.verdict for case in run.cases}
    assert verdicts["test_b_waits"] is Verdict.NOT_RUN
    if not workers:
        assert verdicts == {
            "test_a_done": Verdict.PASSED,
            "test_b_waits": Verdict.NOT_RUN,
            "test_c_never": Verdict.NOT_RUN,
        }
    assert (inner.run_dir / "cases/mini-suite/test_it.test_b_waits/1/processes/000-h1-echo/stdout").read_text() == "y"


def test_full_disk_is_an_error_and_loses_nothing(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    inner.suite("""
        def test_first(network):
            network["h1"].run(["echo", "kept"])

        def test_flood(network):
            network["h1"].run(["echo", "before"])
            network["h1"].run(["flood", "100000"])
            network["h1"].run(["echo", "after"])
    """)
    write = recorder_module._append

    def full(path: Path, data: bytes) -> None:
        if len(data) > 50_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(recorder_module, "_append", full)
    assert inner.run().ret == 3
    assert inner.case("first")["verdict"] == "passed"
    case = inner.case("flood")
    assert case["verdict"] == "error"
    folder = inner.run_dir / case["folder"] / "1"
    assert case["reason"].startswith(
        f"cannot write the record {folder}/processes/001-h1-flood/stdout: No space left on device\nhint: "
    )
    assert (folder / "processes/000-h1-echo/stdout").read_text() == "before"
    assert not (inner.run_dir / ".reserve").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system wants root")
def test_disk_that_is_really_full_still_gets_its_verdict(inner: Inner) -> None:
    inner.suite("""
        def test_flood(network):
            network["h1"].run(["echo", "before"])
            network["h1"].run(["flood", "3000000"])
    """)
    disk = inner.pytester.mkdir("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
    try:
        inner.run_dir = disk / "run"
        assert inner.run().ret == 3
        assert inner.case()["verdict"] == "error"
        assert "No space left on device" in inner.case()["reason"]
        assert (inner.run_dir / inner.case()["folder"] / "1/processes/000-h1-echo/stdout").read_text() == "before"
        assert (inner.run_dir / "junit.xml").stat().st_size
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_killed_run_reads_back_from_its_records(inner: Inner) -> None:
    inner.suite("""
        import os

        def test_a(network):
            network["h1"].run(["echo", "x"])

        def test_b(network):
            os._exit(1)
    """)
    inner.run(process=True)
    run = load_run(inner.run_dir)
    assert run.state == "running"
    found = {case.case: [execution.verdict for execution in case.executions] for case in run.cases}
    assert found["test_it.test_a"] == [Verdict.PASSED]
    assert found["test_it.test_b"] == [Verdict.NOT_RUN]
    assert {case.verdict for case in run.cases} == {Verdict.NOT_RUN}, "nobody has compared them"


def test_collection_error_is_no_pass(inner: Inner) -> None:
    inner.suite("import nowhere")
    assert inner.run().ret == 2
    (problem,) = inner.document()["problems"]
    assert problem.startswith("cannot collect suites/mini_suite/test_it.py: ")


def test_terminal_has_a_line_for_each_suite_and_the_counts_alone(inner: Inner) -> None:
    inner.suite(
        "def test_ok(network): network['h1'].run(['echo', 'x'])", name="tcp_simple", init="SUITE_KIND = 'Example'"
    )
    inner.suite("def test_ok(network): pass\ndef test_bad(network): assert False", name="mptcp", file="test_m.py")
    inner.suite("import pytest\ndef test_s(network): pytest.skip('no mptcp')", name="away", file="test_s.py")
    result = inner.run("--testbed-terminal")
    assert result.ret == 1
    lines = result.outlines
    assert [line for line in lines if re.match(r"PASS|FAIL|SKIP", line)] == [
        next(line for line in lines if line.startswith("FAILED: mptcp")),
        "SKIP: away [1] no mptcp",
        *[line for line in lines if re.match(r"(PASS|FAIL|SKIP): (TestSuite|Example)", line)],
    ]
    suite_lines = [re.sub(r"[\d.]+ s$", "N s", line) for line in lines if re.match(r"\w+: (TestSuite|Example)", line)]
    assert "PASS: Example tcp-simple            1 case   2x identical   0.0 virtual s in N s" in suite_lines
    assert any(re.fullmatch(r"1 failed, 2 passed, 1 skipped in [\d.]+s", line) for line in lines)
    assert "\x1b" not in result.stdout.str()


def test_terminal_works_with_workers(inner: Inner) -> None:
    inner.suite(SEVERAL)
    result = inner.run("--testbed-terminal", "-n", "2", process=True)
    result.stdout.fnmatch_lines(
        ["testbed run suites/mini_suite/test_it.py::test_fails --seed 1 --repeat 2 --backend fake"]
    )
    result.stdout.fnmatch_lines(["FAIL: TestSuite mini-suite*8 cases*1 failed*1 skipped*"])
    assert any(re.fullmatch(r"1 failed, 6 passed, 1 skipped in [\d.]+s", line) for line in result.outlines)
    assert "created: 2/2" not in result.stdout.str()


def test_cases_after_the_first_failure_are_not_run(inner: Inner) -> None:
    inner.suite("""
        def test_a(network):
            assert False

        def test_b(network):
            pass
    """)
    assert inner.run("-x").ret == 1
    assert inner.case("test_b")["verdict"] == "not run"


def test_groups_of_xdist_do_not_change_a_seed(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.xdist_group("one")
        def test_a(network):
            network["h1"].run(["seed"])
    """)
    inner.run()
    alone = inner.case()["seed"]
    inner.run_dir = inner.run_dir.with_name("second")
    inner.run("-n", "2", "--dist", "loadgroup", process=True)
    assert [case["seed"] for case in inner.document()["cases"] if case["executions"]] == [alone]


def test_failure_in_one_execution_only_is_a_failure_with_its_difference(inner: Inner) -> None:
    inner.suite("""
        count = []

        def test_flaky(network):
            count.append(1)
            out = network["h1"].run(["echo", str(len(count))])
            assert out == "1"
    """)
    assert inner.run().ret == 1
    case = inner.case()
    assert case["verdict"] == "failed"
    assert [execution["verdict"] for execution in case["executions"]] == ["passed", "failed"]
    assert case["difference"].startswith("first difference: process 000-h1-echo: cmdline differs at byte 5 ")


def test_collect_only_makes_no_run(inner: Inner) -> None:
    inner.suite(SEVERAL)
    assert inner.run("--collect-only", "--testbed-terminal").ret == 0
    assert not inner.run_dir.exists()
