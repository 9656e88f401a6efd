# SPDX-License-Identifier: MIT
"""The recorder: what is on disk after each event, and what the digest depends on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest

from testbed.errors import ConfigError, InternalError
from testbed.harness import digest, recorder
from testbed.harness.determinism import Difference, compare, describe, first_difference
from testbed.harness.packets import frames, last_frames, last_of_all
from testbed.harness.recorder import DiskRecorder, RecordingFailed
from testbed.harness.records import Record
from tests.harness.fake_backend import EPOCH_NS, HEADER, frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def make(folder: Path, **changes: object) -> DiskRecorder:
    """Record a small execution; ``changes`` replaces one of its facts."""
    facts: dict[str, object] = {
        "argv": ["/bin/cat", "a b"], "out": b"hello world", "err": b"", "status": 0, "end_ns": 2_000_000,
        "name": "run", "packets": [b"one", b"two"], "at": 1_000_000,
    }  # fmt: skip
    facts |= changes
    made = DiskRecorder(folder, Record("n", "s", "c", 1, 7, "fake", epoch_ns=EPOCH_NS))
    made.process_started(1, "h1", argv=facts["argv"], env={"A": "1"}, cwd="/", start_ns=1_000_000)  # type: ignore[arg-type]
    made.process_output(1, 1, facts["out"])  # type: ignore[arg-type]
    made.process_output(1, 2, facts["err"])  # type: ignore[arg-type]
    made.process_exited(1, facts["status"], facts["end_ns"])  # type: ignore[arg-type]
    made.capture("h1-h2", "h2", HEADER)
    for payload in facts["packets"]:  # type: ignore[attr-defined]
        made.capture("h1-h2", "h2", frame(facts["at"], payload))  # type: ignore[arg-type]
    made.command(facts["name"], {"data": b"x", "argv": ["a"]}, 1_000_000, 2_000_000)  # type: ignore[arg-type]
    made.finish()
    return made


def test_every_event_is_on_disk_at_once(tmp_path: Path) -> None:
    made = DiskRecorder(tmp_path / "1", Record("n", "s", "c", 1, 7, "fake"))
    made.process_started(1, "h1", argv=["/usr/bin/nc", "-l", "it's\0"], env={}, cwd="/", start_ns=1_500_000_000)
    folder = tmp_path / "1/processes/000-h1-nc"
    assert (folder / "cmdline").read_text() == "/usr/bin/nc -l 'it'\"'\"'s\\0'\n"
    assert (folder / "status").read_text() == "node: h1\ncwd: /\nenv: {}\nstart_s: 1.500000000\nstate: running\n"
    made.process_output(1, 2, b"oh")
    assert (folder / "stderr").read_bytes() == b"oh"
    assert (folder / "stdout").read_bytes() == b""
    made.process_exited(1, 9, 2_000_000_001)
    assert "state: ended\nend_s: 2.000000001\nduration_s: 0.500000001\nsignal: SIGKILL (9)\n" in (
        (folder / "status").read_text()
    )
    made.command("write", {"path": "/x", "data": b"abc"}, 1, 2)
    (line,) = (tmp_path / "1/commands.jsonl").read_text().splitlines()
    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert json.loads(line)["fields"] == {"path": "/x", "data": {"bytes": 3, "sha256": sha256}}
    made.kernel_log("1.0 4 hello", 0)
    assert (tmp_path / "1/kernel.log").read_text() == "1.0 4 hello\n"
    assert not Record.load(tmp_path / "1").complete


def test_record_has_what_the_files_have(tmp_path: Path) -> None:
    record = make(tmp_path / "1").record
    again = Record.load(tmp_path / "1")
    assert again == record
    (capture,) = record.captures
    data = (tmp_path / "1" / capture.file).read_bytes()
    assert (capture.bytes, capture.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert record.parts["capture:h1-h2.h2"] == capture.sha256
    assert (record.processes[0].returncode, record.processes[0].stdout_bytes) == (0, 11)
    assert record.end_ns == 2_000_000


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"argv": ["/bin/cat", "a", "b"]}, "process:000-h1-cat"),
        ({"out": b"hello_world"}, "process:000-h1-cat"),
        ({"out": b"", "err": b"hello world"}, "process:000-h1-cat"),
        ({"status": 256}, "process:000-h1-cat"),
        ({"end_ns": 2_000_001}, "process:000-h1-cat"),
        ({"name": "spawn"}, "commands"),
        ({"packets": [b"one", b"tvo"]}, "capture:h1-h2.h2"),
        ({"packets": [b"one"]}, "capture:h1-h2.h2"),
        ({"at": 1_000_001}, "capture:h1-h2.h2"),
    ],
)
def test_digest_sees_each_fact_and_the_comparison_names_it(
    tmp_path: Path, change: dict[str, object], where: str
) -> None:
    one, two, three = make(tmp_path / "1"), make(tmp_path / "2", **change), make(tmp_path / "3")
    assert one.record.digest == three.record.digest != two.record.digest
    assert compare(tmp_path / "1", tmp_path / "3") == []
    assert [found.where for found in compare(tmp_path / "1", tmp_path / "2")] == [where]


def test_difference_of_bytes_shows_both_sides(tmp_path: Path) -> None:
    make(tmp_path / "1")
    make(tmp_path / "2", out=b"hello_world")
    found = compare(tmp_path / "1", tmp_path / "2")
    assert found == [
        Difference(
            "process", "process:000-h1-cat", 2_000_000, 5, "stdout", "'hello' >>> ' world'", "'hello' >>> '_world'"
        )
    ]
    assert describe(found) == (
        "first difference: process 000-h1-cat: stdout differs at byte 5 (its end at t = 0.002000000 s)\n"
        "  execution 1: 'hello' >>> ' world'\n"
        "  execution 2: 'hello' >>> '_world'"
    )


def test_difference_of_packets_is_decoded(tmp_path: Path) -> None:
    make(tmp_path / "1")
    make(tmp_path / "2", packets=[b"one"])
    (found,) = compare(tmp_path / "1", tmp_path / "2")
    assert (found.kind, found.index, found.time_ns) == ("packet", 1, 1_000_000)
    assert found.left.startswith("0.001000000 s 17 bytes 02:00:00:00:00:00 > 02:00:00:00:00:01")
    assert found.right == "no more packets"


def test_earliest_difference_comes_first(tmp_path: Path) -> None:
    make(tmp_path / "1")
    make(tmp_path / "2", out=b"other", packets=[b"x"], name="spawn")
    found = compare(tmp_path / "1", tmp_path / "2")
    assert [(entry.kind, entry.time_ns) for entry in found] == [
        ("packet", 1_000_000),
        ("command", 1_000_000),
        ("process", 2_000_000),
    ]


def test_left_out_part_is_not_in_the_digest(tmp_path: Path) -> None:
    digests = []
    for name, out in (("1", b"a"), ("2", b"b")):
        made = make(tmp_path / name, out=out)
        digests.append(made.finish(["process:cat"]).digest)
        assert made.record.left_out == ["process:000-h1-cat"]
    assert digests[0] == digests[1]
    assert compare(tmp_path / "1", tmp_path / "2") == []


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("commands", ["commands"]),
        ("process:top", ["process:001-h-1-top"]),
        ("process:h-1-top", ["process:001-h-1-top"]),
        ("process:001-*", ["process:001-h-1-top"]),
        ("capture:h-1-h2", ["capture:h-1-h2.h-1", "capture:h-1-h2.h2"]),
        ("capture:h-1-h2.h2", ["capture:h-1-h2.h2"]),
        ("process:to", []),
    ],
)
def test_names_of_parts(pattern: str, matched: list[str]) -> None:
    parts = ["commands", "process:001-h-1-top", "capture:h-1-h2.h-1", "capture:h-1-h2.h2"]
    assert digest.matching(pattern, parts) == matched


@pytest.mark.parametrize(
    ("left", "right", "at"), [(b"", b"", 0), (b"a", b"", 0), (b"abc", b"abd", 2), (b"ab", b"abc", 2), (b"x", b"y", 0)]
)
def test_first_difference(left: bytes, right: bytes, at: int) -> None:
    assert first_difference(left, right) == at


def test_packets_are_read_from_both_ends(tmp_path: Path) -> None:
    make(tmp_path / "1", packets=[bytes([number]) * number for number in range(1, 30)])
    path = tmp_path / "1/captures/h1-h2.h2.pcapng"
    everything = list(frames(path))
    assert len(everything) == 29
    assert everything[-1].time_ns == EPOCH_NS + 1_000_000
    assert last_frames(path, 5) == everything[-5:]
    assert last_frames(path, 99) == everything
    assert len(last_of_all(tmp_path / "1", 10, EPOCH_NS)) == 10
    path.write_bytes(path.read_bytes()[:-3])
    assert list(frames(path)) == everything[:-1]


def test_file_that_is_no_capture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xd4\xc3\xb2\xa1" * 8)
    with pytest.raises(ConfigError, match=r"^.*/x is no pcapng file: it starts with b'\\xd4\\xc3\\xb2\\xa1'$"):
        list(frames(tmp_path / "x"))


def full(times: list[int]) -> Callable[[Path, bytes], None]:
    def write(path: Path, data: bytes) -> None:  # noqa: ARG001 (as the real one)
        times.append(len(data))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


def test_after_a_failure_nothing_more_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room: list[str] = []
    made = DiskRecorder(tmp_path / "1", Record("n", "s", "c", 1, 7, "fake"), lambda: room.append("made"))
    made.kernel_log("1.0 4 before", 0)
    tries: list[int] = []
    monkeypatch.setattr(recorder, "_append", full(tries))
    made.kernel_log("1.0 4 lost", 0)
    made.kernel_log("1.0 4 lost, too", 0)
    assert (len(tries), room) == (1, ["made"])
    assert made.failure is not None
    assert str(made.failure).startswith(
        f"cannot write the record {tmp_path}/1/kernel.log: No space left on device\nhint: "
    )
    assert (tmp_path / "1/kernel.log").read_text() == "1.0 4 before\n"
    assert made.finish().complete


def test_folder_of_another_execution_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "1")
    with pytest.raises(RecordingFailed, match=r"^cannot write the record .*/1: File exists$"):
        DiskRecorder(tmp_path / "1", Record("n", "s", "c", 1, 7, "fake"))


def test_output_of_an_unknown_process_is_our_own_bug(tmp_path: Path) -> None:
    made = DiskRecorder(tmp_path / "1", Record("n", "s", "c", 1, 7, "fake"))
    with pytest.raises(InternalError, match=r"^a backend recorded process 5, which never started$"):
        made.process_output(5, 1, b"x")


def test_only_new_taint_counts(tmp_path: Path) -> None:
    made = DiskRecorder(tmp_path / "1", Record("n", "s", "c", 1, 7, "fake"), taint_before=0x200)
    made.kernel_log("", 0x200)
    assert made.complaints() == []
    made.kernel_log("", 0x280)
    assert [found.headline for found in made.complaints()] == [
        "the kernel was tainted: kernel died (oops or BUG) (0x80)"
    ]
