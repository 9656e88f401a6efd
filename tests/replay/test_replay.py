# SPDX-License-Identifier: MIT
"""replay: the same bits, or the first that differ; and what is refused, with what to do about it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.artifacts import find_artifacts
from testbed.harness import gdb
from testbed.harness.lookup import run_folders
from testbed.harness.records import Record
from testbed.harness.replay import programs
from testbed.libos.artifacts import ArtifactStore
from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Recorded

SAME, DIFFERENT, ERROR, USAGE, CANNOT = 0, 1, 3, 4, 7
PATIENCE_S = 30
Replay = Callable[..., tuple[int, str]]


def change(recorded: Recorded, case: str, **fields: Any) -> None:
    """Change fields of a record."""
    file = recorded.record(case)
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(("case", "verdict"), [("test_connects", "passed"), ("test_fails", "failed")])
def test_same_case_gives_the_same_bits(recorded: Recorded, replay: Replay, case: str, verdict: str) -> None:
    digest = json.loads(recorded.record(case).read_text())["digest"]
    code, text = replay(case)
    assert code == SAME, text
    assert f"identical: {verdict}, digest {digest}\n" in text
    assert run_folders(recorded.root / "testbed-runs") == [recorded.run]
    assert not (recorded.root / "testbed-runs" / "replays").exists()


def test_new_record_is_kept_on_wish(recorded: Recorded, replay: Replay) -> None:
    code, text = replay("test_fails", "--keep")
    (new,) = run_folders(recorded.root / "testbed-runs" / "replays")
    assert code == SAME
    assert f"the new record: {new}" in text


def test_other_file_of_the_host_is_shown(
    recorded: Recorded, replay: Replay, visible_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is part of the command, so that the command differs, too: the output comes first in time."""
    (visible_folder / "changes").write_text("other\n")
    monkeypatch.setenv("REPLAY_CHANGES", str(visible_folder / "changes"))
    code, text = replay("test_reads_the_host")
    assert code == DIFFERENT
    assert re.search(r"^different: digest [0-9a-f]{64}, not [0-9a-f]{64}$", text, re.MULTILINE), text
    assert re.search(r"^first difference: (process 000-h1-cat: cmdline|command 1) differs", text, re.MULTILINE), text
    assert len(run_folders(recorded.root / "testbed-runs" / "replays")) == 1


def test_test_that_changed_is_shown_command_by_command(recorded: Recorded, replay: Replay) -> None:
    file = recorded.root / "suites" / "mine" / "test_it.py"
    file.write_text(file.read_text().replace("network.sleep(1)", "network.sleep(2)"))
    code, text = replay("test_connects")
    assert code == DIFFERENT
    assert re.search(r"^ +fields\.until +1\d+ +2\d+$", text, re.MULTILINE), text


def test_verdict_that_changed_is_told(recorded: Recorded, replay: Replay) -> None:
    file = recorded.root / "suites" / "mine" / "test_it.py"
    file.write_text(file.read_text().replace("another", "word"))
    code, text = replay("test_fails")
    assert code == DIFFERENT
    assert re.search(r"^verdict: failed in the record, passed now\nidentical: ", text, re.MULTILINE), text


def test_run_is_replayed_from_another_folder(replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "elsewhere"))
    assert replay("test_fails")[0] == SAME


@pytest.mark.parametrize("kind", ["agent", "linux"])
def test_artifact_that_is_gone_or_other_names_what_builds_it(recorded: Recorded, replay: Replay, kind: str) -> None:
    known = json.loads(recorded.record("test_fails").read_text())["artifacts"]
    name = next(name for name in known if kind in name)
    others = {other: sha256 for other, sha256 in known.items() if other != name}
    build = {"agent": "testbed make testbin", "linux": "testbed build linux"}[kind]
    what = {"agent": "agent", "linux": "kernel"}[kind]
    change(recorded, "test_fails", artifacts={**others, f"{kind}-000000000000": known[name]})
    code, text = replay("test_fails")
    assert code == USAGE
    assert re.search(
        rf"^error: the {what} of the record is gone: .*/{kind}-0{{12}}/.*\nhint: {build}", text, re.MULTILINE
    )
    change(recorded, "test_fails", artifacts={**others, name: "0" * 64})
    code, text = replay("test_fails")
    assert code == USAGE
    assert re.search(
        rf"^error: the {what} .* is not the one of the record: wanted SHA-256 0{{12}}\.\.\., found", text, re.MULTILINE
    )
    assert f"hint: {build}" in text


def test_library_that_ran_in_a_node_is_checked_too(recorded: Recorded, replay: Replay) -> None:
    """Its artifact has some file with the bytes of the record, wherever in it."""
    file = recorded.record("test_fails")
    known = json.loads(file.read_text())["artifacts"]

    def build(folder: Path) -> None:
        (folder / "lib").mkdir()
        (folder / "lib" / "libx.so").write_bytes(b"library")

    made = ArtifactStore(recorded.root / "store").get_or_build("libx", {}, build)
    record = Record.load(file.parent)
    record.artifacts = {made.path.name: made.digest("lib/libx.so")}
    assert programs(record, store=ArtifactStore(recorded.root / "store")) == {}
    change(recorded, "test_fails", artifacts={**known, made.path.name: made.digest("lib/libx.so")})
    code, text = replay("test_fails")  # the user's store has no such library
    assert code == USAGE
    assert re.search(
        r"^error: the library of the record is gone: .*/libx-.*\nhint: testbed build FLAVOR", text, re.MULTILINE
    )


def test_test_that_is_gone_says_where_it_was_looked_for(recorded: Recorded, replay: Replay) -> None:
    (recorded.root / "suites" / "mine" / "test_it.py").unlink()
    code, text = replay("test_fails")
    assert code == USAGE
    assert re.search(
        r"^error: the test suites/mine/test_it\.py::test_fails is not here; looked for .*/copy/suites/mine",
        text,
        re.MULTILINE,
    )


def test_test_that_is_collected_no_more_left_no_record(recorded: Recorded, replay: Replay) -> None:
    file = recorded.root / "suites" / "mine" / "test_it.py"
    file.write_text(file.read_text().replace("def test_fails", "def test_failed"))
    code, text = replay("test_fails")
    assert code == ERROR
    assert "the case left no record (pytest's exit code 4)" in text
    assert "not found: " in text


def test_network_of_a_file_is_taken_from_the_record(recorded: Recorded, replay: Replay) -> None:
    document = recorded.run / "run.json"
    run = json.loads(document.read_text())
    run["command"] += ["--topo=gone.py:MyTopo"]
    document.write_text(json.dumps(run))
    code, text = replay("test_fails")
    assert code == SAME, text
    assert "identical: failed" in text
    (recorded.record("test_fails").parent / "topology.json").write_text(json.dumps(scenario("lan", n=2).to_dict()))
    code, text = replay("test_fails")
    assert code == DIFFERENT, text
    assert "different: " in text, "the network is another one"


@pytest.mark.parametrize(
    ("fields", "words", "told"),
    [
        ({"seed": 12}, (), (USAGE, r"is not the test of the record: its seed would not be 12$")),
        ({"complete": False, "digest": None}, (), (USAGE, r"was killed before its end: its record has no digest")),
        ({"backend": "netns"}, (), (CANNOT, r"backend 'netns' promises no identical bits")),
        ({"backend": "mininet"}, (), (CANNOT, r"backend 'mininet' promises no identical bits")),
        (
            {"backend": "fake"},
            ("--gdb",),
            (CANNOT, r"--gdb and --until need a guest; this record is of backend 'fake'"),
        ),
        ({"suite": "exec", "nodeid": "exec::ping"}, (), (USAGE, r"a record of `testbed exec` names no test")),
        ({}, ("--until", "1000"), (USAGE, r"--until 1000 is not within the case, which took from 0 to 0\.\d{9} s$")),
        ({}, ("--until", "-1"), (USAGE, r"--until -1 is not within the case")),
        ({}, ("--gdb-script", "nowhere"), (USAGE, r"there is no file or folder 'nowhere'$")),
        ({}, ("--execution", "2"), (USAGE, r"has no execution 2; it has 1$")),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    recorded: Recorded, replay: Replay, fields: dict[str, Any], words: tuple[str, ...], told: tuple[int, str]
) -> None:
    change(recorded, "test_fails", **fields)
    code, text = replay("test_fails", *words)
    assert code == told[0], text
    assert re.search(told[1], text, re.MULTILINE), text


def test_without_gdb_it_says_what_to_install(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, text = replay("test_fails", "--gdb")
    assert code == CANNOT
    assert "error: there is no gdb\nhint: apt-get install gdb\n" in text


def test_where_yama_forbids_it_only_root_may(replay: Replay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "scope").write_text("1\n")
    monkeypatch.setattr(gdb, "YAMA", tmp_path / "scope")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    code, text = replay("test_fails", "--gdb")
    assert code == CANNOT
    assert "kernel.yama.ptrace_scope is 1" in text
    assert "hint: sysctl -w kernel.yama.ptrace_scope=0" in text


GDB = """
break tcp_v4_connect
commands
silent
backtrace 6
continue
end
"""


def test_breakpoints_of_gdb_change_no_bit(recorded: Recorded, replay: Replay) -> None:
    """The kernel stands still at the breakpoint, for as long as gdb likes; virtual time stands with it."""
    (recorded.root / "script").write_text(GDB)
    code, text = replay("test_connects", "--gdb-script", "script")
    frames = [line.split()[-2] for line in text.splitlines() if line.startswith("#")]
    assert frames[0] == "tcp_v4_connect", text
    assert "__sys_connect" in frames
    assert "identical: passed, digest " in text
    assert code == SAME


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, words: list[str]) -> None:
        self.seen = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ |= {"NO_COLOR": "1", "TERM": "dumb"}
            os.execv(words[0], words)

    def type(self, text: bytes) -> None:
        """Type something."""
        os.write(self._fd, text)

    def read_to(self, pattern: bytes) -> None:
        """Read until a pattern has come; what comes after it is kept."""
        while (found := re.search(pattern, self.seen)) is None:
            ready, _, _ = select.select([self._fd], [], [], PATIENCE_S)
            assert ready, f"{pattern!r} is missing: {self.seen.decode(errors='replace')}"
            try:
                self.seen += os.read(self._fd, 65536)
            except OSError:  # EIO: the other side is gone
                pytest.fail(f"{pattern!r} is missing: {self.seen.decode(errors='replace')}")
        self.seen = self.seen[found.end() :]

    def end(self) -> int:
        """Give the exit status; where it does not end by itself it loses its terminal, and ends."""
        with contextlib.suppress(OSError):  # EIO: it has ended
            while select.select([self._fd], [], [], PATIENCE_S)[0] and os.read(self._fd, 65536):
                pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_gdb_is_a_dialogue_on_a_terminal(recorded: Recorded) -> None:
    """Ctrl-C is gdb's and ends nothing else; the case goes on when gdb lets go."""
    terminal = Terminal([sys.executable, "-m", "testbed", "replay", str(recorded.run), "test_connects", "--gdb"])
    try:
        for text, answer in (
            (b"", rb"Attaching to process \d+"),
            (b"break tcp_v4_connect\n", rb"Breakpoint 1 at 0x"),
            (b"continue\n", rb"Breakpoint 1, .*tcp_v4_connect"),
            (b"\x03", rb"Quit"),
            (b"backtrace 3\n", rb"__inet_stream_connect"),
        ):
            terminal.type(text)
            terminal.read_to(answer)
            terminal.read_to(rb"\(gdb\) ")
        terminal.type(b"quit\n")
        terminal.read_to(rb"identical: passed, digest [0-9a-f]{64}")
    finally:
        code = terminal.end()
    assert code == SAME


def test_gdb_that_fails_is_no_hang(recorded: Recorded, replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends before it is attached: its stand-in says why, and the case is not executed."""
    folder = recorded.root / "bin"
    folder.mkdir()
    (folder / "gdb").write_text("#!/bin/sh\necho no gdb today >&2\nexit 1\n")
    (folder / "gdb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (recorded.root / "script").write_text(GDB)
    code, text = replay("test_fails", "--gdb-script", "script")
    assert code != SAME
    assert "no gdb today" in text


@pytest.mark.parametrize(
    "at_s", [0.0001, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5], ids=["write", "sleep", "run", "wait", "await", "recv", "connect"]
)
def test_time_stops_where_it_was_asked_to_and_the_case_goes_on(
    recorded: Recorded, replay: Replay, monkeypatch: pytest.MonkeyPatch, at_s: float
) -> None:
    mark = recorded.root / "mark"
    monkeypatch.setenv("REPLAY_MARK", str(mark))
    (recorded.root / "lines").write_text("time\nh1 true\n")
    code, text = replay("test_waits", "--until", str(at_s), "--script", "lines")
    assert code == SAME, text
    stopped = re.search(r"stopped at t = ([\d.]+) s", text)
    assert stopped, text
    assert at_s - 25e-6 <= float(stopped[1]) <= at_s
    assert text.count(f"{stopped[1]} s") == 2  # the shell's own `time` says so, too
    assert 6 <= float(mark.read_text()) < 6.1, "the rest took as long as it should"


def test_shell_of_a_stop_is_a_dialogue_on_a_terminal(recorded: Recorded) -> None:
    """A person asks the stopped network, and leaves; the case then goes on to its end."""
    terminal = Terminal([sys.executable, "-m", "testbed", "replay", str(recorded.run), "test_waits", "--until", "1.5"])
    try:
        terminal.read_to(rb"stopped at t = 1\.4999\d+ s")
        for text, answer in (
            (b"time\n", rb"1\.4999\d+ s"),
            (b"h1 echo $((40 + 2)) asked\n", rb"42 asked"),
            (b"nodes\n", rb"h2 +host"),
        ):
            terminal.read_to(rb"s> ?")
            terminal.type(text)
            terminal.read_to(answer)
        terminal.read_to(rb"s> ?")
        terminal.type(b"exit\n")
    finally:
        code = terminal.end()
    assert code == SAME


def test_another_kernel_is_taken_from_a_folder(recorded: Recorded, replay: Replay) -> None:
    """``--libos DIR``: a copy of the same kernel gives the same bits; one that dies says so."""
    kernel = find_artifacts(None, None).kernel
    other = recorded.root / "other"
    other.mkdir()
    shutil.copy(kernel, other / "linux")
    code, text = replay("test_connects", "--libos", str(other), "--keep")
    assert code == SAME, text
    (new,) = run_folders(recorded.root / "testbed-runs" / "replays")
    (record,) = new.glob("cases/*/*/1/record.json")
    artifacts = json.loads(record.read_text())["artifacts"]
    assert str(other / "linux") in artifacts, "it was executed on the kernel that was named"
    (other / "linux").write_text("#!/bin/sh\necho 'Kernel panic - not syncing: not today'\nexit 1\n")
    code, text = replay("test_connects", "--libos", str(other))
    assert code == DIFFERENT
    assert re.search(r"^verdict: passed in the record, crashed now .*not syncing: not today", text, re.MULTILINE), text
    code, text = replay("test_connects", "--libos", str(recorded.root / "nowhere"))
    assert code == USAGE
    assert "there is no file or folder" in text


def test_line_of_the_shell_that_fails_is_told(recorded: Recorded, replay: Replay) -> None:
    (recorded.root / "lines").write_text("h1 false\n")
    code, text = replay("test_waits", "--until", "1.5", "--script", "lines")
    assert code == ERROR
    assert re.search(r"^error: .*lines:1: h1 false: exit status 1$", text, re.MULTILINE), text


def test_a_stop_shows_the_same_every_time(recorded: Recorded, replay: Replay) -> None:
    (recorded.root / "lines").write_text("h2 cat /proc/net/snmp\n")
    outputs = [replay("test_connects", "--until", "1.5", "--script", "lines") for _ in range(2)]
    assert outputs[0] == outputs[1]
