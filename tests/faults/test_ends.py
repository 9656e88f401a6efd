# SPDX-License-Identifier: MIT
"""Ctrl-C, SIGTERM and SIGKILL in the middle of a case: what was done is kept, nothing of ours goes on living."""

from __future__ import annotations

import os
import re
import select
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults import leaks
from tests.faults.conftest import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.workshop import Running, Workshop

BACKENDS = [
    pytest.param("timetravel", marks=pytest.mark.guest),
    pytest.param("netns", marks=pytest.mark.netns),
    pytest.param("mininet", marks=pytest.mark.mininet),
]
SUITE = """
    def test_a_done(network):
        network["h1"].run(["echo", "kept"])

    def test_b_waits(network, pytestconfig):
        network["h1"].run(["echo", "half"])
        sleeper = network["h2"].spawn(["sleep", "100000"])
        with open("{fifo}", "w") as fifo:
            fifo.write(str(__import__("os").getpid()))
        sleeper.wait(timeout=None) if not network.virtual_time else sleeper.wait(timeout=90000 + {block}())

    def test_c_never(network):
        network["h1"].run(["echo", "never"])
"""
# In virtual time a sleep is over at once: here it is the test that waits.
BLOCK = "(lambda: __import__('threading').Event().wait() or 0)"


@contextmanager
def waiting_run(workshop: Workshop, backend: str, *words: str) -> Iterator[Running]:
    """Start a run, and give it when its second case waits in the middle of its network."""
    fifo = workshop.folder / "fifo"
    os.mkfifo(fifo)
    workshop.suite(SUITE.format(fifo=fifo, block=BLOCK))
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with workshop.start(*workshop.words(), "--backend", backend, *words) as running:
            ready = select.select([reader], [], [], 60)[0]
            if not ready:
                os.killpg(running.process.pid, signal.SIGKILL)
                pytest.fail(f"the case that waits was never reached:\n{running.end()[1]}")
            running.waiter = int(os.read(reader, 20))
            yield running
    finally:
        os.close(reader)


def check_kept(workshop: Workshop) -> None:
    """Check the records of what ran before the end."""
    cases = workshop.run_dir / "cases/mini"
    assert (cases / "test_it.test_a_done/1/processes/000-h1-echo/stdout").read_text() == "kept\n"
    assert '"verdict": "passed"' in (cases / "test_it.test_a_done/1/record.json").read_text()
    assert (cases / "test_it.test_b_waits/1/processes/000-h1-echo/stdout").read_text() == "half\n"
    assert not (cases / "test_it.test_c_never").exists()


def check_gone(workshop: Workshop, members: dict[int, str], before: leaks.Traces) -> None:
    """Check that nothing lives on."""
    assert leaks.await_end(list(members)) == []
    assert leaks.await_no_members(str(workshop.folder)) == {}
    assert leaks.await_no_more_than(before) == {}
    assert list(workshop.temporary.glob("testbed*")) == []


@pytest.mark.parametrize("end", ["interrupt", "terminate"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_or_sigterm_keeps_what_was_done_and_ends_all(workshop: Workshop, backend: str, end: str) -> None:
    need(backend)
    before = leaks.traces()
    with waiting_run(workshop, backend) as running:
        members = leaks.members(str(workshop.folder))
        assert len(members) > 2, "the command, and a guest or an agent with its processes"
        if end == "interrupt":
            running.interrupt()
        else:
            running.process.terminate()
        code, output = running.end()
    assert code == 130, output
    run = workshop.document()
    assert (run["state"], run["exit_code"]) == ("interrupted", 130)
    verdicts = {case["nodeid"].rpartition("::")[2]: case["verdict"] for case in run["cases"]}
    assert verdicts == {"test_a_done": "passed", "test_b_waits": "not run", "test_c_never": "not run"}
    assert "interrupted; what was done so far is kept" in output
    check_kept(workshop)
    check_gone(workshop, members, before)
    assert leaks.scratch(workshop.env) == []


@pytest.mark.guest
def test_killed_command_takes_its_workers_and_their_guests_with_it(workshop: Workshop) -> None:
    need("timetravel")
    before = leaks.traces()
    with waiting_run(workshop, "timetravel", "--", "-n", "2") as running:
        members = leaks.members(str(workshop.folder))
        assert running.waiter in members, "the worker"
        running.process.kill()
        check_gone(workshop, members, before)
    assert leaks.await_no_scratch(workshop.env) == []
    half = workshop.run_dir / "cases/mini/test_it.test_b_waits/1/processes/000-h1-echo/stdout"
    assert half.read_text() == "half\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_killed_command_leaves_nothing_alive_and_its_records(workshop: Workshop, backend: str) -> None:
    need(backend)
    before = leaks.traces()
    with waiting_run(workshop, backend) as running:
        members = leaks.members(str(workshop.folder))
        assert len(members) > 2
        running.process.kill()
        running.end()
    check_kept(workshop)
    check_gone(workshop, members, before)
    assert workshop.document()["state"] == "running"
    assert leaks.await_no_scratch(workshop.env) == []


@pytest.mark.guest
def test_killed_worker_is_an_error_and_leaves_nothing_alive(workshop: Workshop) -> None:
    need("timetravel")
    before = leaks.traces()
    with waiting_run(workshop, "timetravel", "--", "-n", "2") as running:
        members = leaks.members(str(workshop.folder))
        assert running.waiter != running.process.pid, "a worker, not the command"
        os.kill(running.waiter, signal.SIGKILL)
        code, output = running.end()
    assert code == 3, output
    case = workshop.case("b_waits")
    assert case["verdict"] == "error"
    assert re.fullmatch(r"worker 'gw\d' crashed while running '.*test_b_waits'", case["reason"])
    assert {workshop.case(name)["verdict"] for name in ("a_done", "c_never")} == {"passed"}
    check_gone(workshop, members, before)
    half = workshop.run_dir / "cases/mini/test_it.test_b_waits/1/processes/000-h1-echo/stdout"
    assert half.read_text() == "half\n"


@pytest.mark.guest
def test_ctrl_c_of_exec_keeps_the_record(workshop: Workshop) -> None:
    need("timetravel")
    before = leaks.traces()
    endless = "import os\nprint('first', flush=True)\nwhile True: os.getppid()"
    words = ("exec", "--run-dir", str(workshop.run_dir), "--", "/usr/bin/python3", "-I", "-S", "-c", endless)
    with workshop.start(*words) as running:
        assert running.process.stdout is not None
        status = workshop.run_dir / "cases/exec/python3/1/processes/000-h1-python3/status"
        await_file(status)
        members = leaks.members(str(workshop.folder))
        running.interrupt()
        code, output = running.end()
    assert code == 130, output
    run = workshop.document()
    assert (run["state"], run["exit_code"]) == ("interrupted", 130)
    assert run["cases"][0]["verdict"] == "not run"
    assert '"complete": true' in (status.parents[2] / "record.json").read_text()
    check_gone(workshop, members, before)
    assert leaks.scratch(workshop.env) == []


def await_file(path: Path) -> None:
    """Wait until a file exists: its folders are looked at whenever the host's scheduler lets us."""
    for _ in range(10**6):
        if path.exists():
            return
        os.sched_yield()
    pytest.fail(f"{path} never came")


@pytest.mark.guest
def test_two_runs_at_the_same_time_say_the_same(workshop: Workshop) -> None:
    need("timetravel")
    workshop.suite("""
        import pytest

        @pytest.mark.scenario("pair", delay_ms=5, loss_ratio=0.2)
        def test_lossy(network):
            network["h1"].run(["ping", "-c5", network["h2"].address()], check=False)

        def test_random(network):
            network["h1"].run(["cat", "/proc/sys/kernel/random/boot_id"])
    """)
    with workshop.start("run", "mini", "-n", "1") as one, workshop.start("run", "mini", "-n", "1") as other:
        ends = [one.end(), other.end()]
    assert [code for code, _ in ends] == [0, 0], ends
    folders = sorted(path for path in (workshop.folder / "runs").iterdir() if not path.is_symlink())
    assert len(folders) == 2
    digests = [[(case["nodeid"], case["digest"]) for case in workshop.document(folder)["cases"]] for folder in folders]
    assert digests[0] == digests[1]
    assert all(digest for _, digest in digests[0])
    assert (workshop.folder / "runs/latest").resolve() in folders
