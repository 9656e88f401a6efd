# SPDX-License-Identifier: MIT
"""diff: planted differences are found and told, and nothing that cannot be read hides the rest."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from testbed.cli.main import call
from testbed.harness.determinism import compare
from testbed.harness.records import Record
from testbed.reports.decode import decode
from testbed.reports.sides import evidence
from tests.harness.conftest import inner
from tests.harness.fake_backend import EPOCH_NS, HEADER, frame

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

__all__ = ["inner"]

SAME, DIFFERENT, UNREADABLE = 0, 1, 4
COUNT = 20_000
BASE = """
    def test_talks(network):
        h1 = network["h1"]
        h1.write("/tmp/first", b"1")
        h1.run(["echo", "one"])
        h1.run(["echo", "two"])
        {planted}

    def test_other(network):
        network["h2"].run(["echo", "same"])
"""


def run(inner: Inner, name: str, planted: str = "pass", text: str = BASE) -> Path:
    """Run the suite into a folder of that name."""
    inner.suite(text.format(planted=planted))
    inner.run_dir = inner.pytester.path / name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the suite of the next run may be as long, and as old
        inner.run()
    return inner.run_dir


def diff(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Give the exit status and what was printed."""
    capsys.readouterr()
    code = call(["diff", *map(str, words)])
    done = capsys.readouterr()
    return code, done.out + done.err


@pytest.fixture
def left(inner: Inner) -> Path:
    return run(inner, "left")


def test_two_runs_of_one_suite_are_the_same(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = diff(capsys, left, run(inner, "right"))
    assert (code, text.splitlines()[-1]) == (SAME, "2 same")


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ('network.send(b"extra")', r"capture h1-h2\.h1: packet 2 differs"),
        ("network.recorder.process_output(2, 1, b'!')", r"process 001-h1-echo: stdout differs at byte 3"),
        ("network.recorder.process_output(2, 2, b'!')", r"process 001-h1-echo: stderr differs at byte 0"),
        ('h1.write("/tmp/second", b"")', r"command 3 differs"),
        ('network.recorder.kernel_log("3.0 5 hello\\n", 0)', r"the kernel's log differs at byte 0"),
        ('h1.run(["echo", "three"])', r"command 3 differs"),
    ],
)
def test_a_planted_difference_is_named(
    inner: Inner, left: Path, capsys: pytest.CaptureFixture[str], planted: str, found: str
) -> None:
    code, text = diff(capsys, left, run(inner, "right", planted))
    assert code == DIFFERENT
    assert re.search(rf"DIFFERS    mini-suite/test_it\.test_talks\n  first difference: {found}", text), text
    assert text.splitlines()[-1] == "1 same, 1 differ"


def test_a_frame_is_decoded_side_by_side_after_those_before(inner: Inner, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = run(inner, "one", 'network.send(b"abcd")'), run(inner, "two", 'network.send(b"abXY")')
    code, text = diff(capsys, one, two, "--context", "1")
    lines = text.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("  A: "))
    assert code == DIFFERENT
    assert re.match(r"^ +1 +0\.002000000 +> h1-h2\.h1 +02:00:00:00:00:00 ", lines[at - 1]), text
    assert "first difference" in lines[at - 2]  # one frame of context, not two
    assert re.match(r"^  A: +2 +0\.002000000 +> h1-h2\.h1 ", lines[at])
    assert re.match(r"^  B: +2 +0\.002000000 +> h1-h2\.h1 ", lines[at + 1])
    assert re.search(r"^ +Raw\.load +b?'abcd' +b?'abXY'$", text, re.MULTILINE), text
    assert re.search(r"^ +byte 16 +63 +58\n +and 1 more bytes$", text, re.MULTILINE), text


def test_a_byte_of_output_is_shown_in_its_line(inner: Inner, capsys: pytest.CaptureFixture[str]) -> None:
    one = run(inner, "one", "network.recorder.process_output(2, 1, b'\\nfirst\\nnumber 1\\n')")
    two = run(inner, "two", "network.recorder.process_output(2, 1, b'\\nfirst\\nnumber 2\\n')")
    _, text = diff(capsys, one, two)
    assert re.search(
        r"^ +two\n +first\n  A: number 1\n  B: number 2\n +byte 17: 31 b'1' / 32 b'2'$", text, re.MULTILINE
    ), text
    assert re.search(r"during command .*  run h1 echo two$", text, re.MULTILINE), text


def test_commands_in_another_order_show_the_fields(inner: Inner, capsys: pytest.CaptureFixture[str]) -> None:
    one = run(inner, "one", 'h1.write("/a", b""); h1.write("/b", b"")')
    two = run(inner, "two", 'h1.write("/b", b""); h1.write("/a", b"")')
    _, text = diff(capsys, one, two)
    assert re.search(r"^  A: +3 .*  write h1 mode=420 path=/a$", text, re.MULTILINE), text
    assert re.search(r"^  B: +3 .*  write h1 mode=420 path=/b$", text, re.MULTILINE), text
    assert re.search(r"^ +fields\.path +/a +/b$", text, re.MULTILINE), text


def test_hostile_bytes_are_shown_as_text(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = "network.recorder.process_output(2, 1, b'\\x1b]0;title\\x07\\x1b[2J\\x00\\xff')"
    _, text = diff(capsys, left, run(inner, "right", planted))
    assert "\x1b" not in text
    assert "\x00" not in text


def test_time_alone_counts_unless_it_is_left_out(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = BASE.replace('h1 = network["h1"]', 'h1 = network["h1"]; network.now_ns += 7')
    right = run(inner, "right", text=late)
    assert diff(capsys, left, right)[0] == DIFFERENT
    code, text = diff(capsys, left, right, "--no-times")
    assert (code, text.splitlines()[-1]) == (SAME, "2 same")


def test_no_times_still_finds_what_else_differs(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = diff(capsys, left, run(inner, "right", 'network.now_ns += 9; network.send(b"late")'), "--no-times")
    assert code == DIFFERENT
    assert "packet 2 differs" in text


def test_frames_before_a_time_are_passed_over(inner: Inner, capsys: pytest.CaptureFixture[str]) -> None:
    """On one side there is one frame more before that time: from there on the numbers differ, the frames do not."""
    early = BASE.replace('h1 = network["h1"]', 'h1 = network["h1"]; {early}')
    one = run(inner, "one", text=early.format(early="pass", planted='network.send(b"same")'))
    two = run(inner, "two", text=early.format(early='network.send(b"early")', planted='network.send(b"same")'))
    three = run(inner, "three", text=early.format(early='network.send(b"early")', planted='network.send(b"late")'))
    assert diff(capsys, one, two)[0] == DIFFERENT
    code, text = diff(capsys, one, two, "--since", "0.0005")
    assert (code, text.splitlines()[-1]) == (SAME, "2 same")
    code, text = diff(capsys, one, three, "--since", "0.0005")
    assert code == DIFFERENT
    assert re.search(r"^  A: +2 +0\.002000000 ", text, re.MULTILINE), text
    assert re.search(r"^  B: +3 +0\.002000000 ", text, re.MULTILINE), text
    assert re.search(r"^ +Raw\.load +b?'same' +b?'late'$", text, re.MULTILINE), text


def test_only_some_parts_count(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = run(inner, "right", 'network.send(b"x")')
    assert diff(capsys, left, right, "--only", "commands", "--only", "process:echo")[0] == SAME
    assert diff(capsys, left, right, "--only", "capture:h1-h2")[0] == DIFFERENT
    code, text = diff(capsys, left, right, "--only", "comands")
    assert code == UNREADABLE
    assert "error: --only 'comands' names no part of a record\nhint: commands, kernel, process:, capture:..." in text


def test_large_captures_and_outputs_take_no_memory(tmp_path: Path) -> None:
    """Both differ at their very end, after 20 MB; a piece of them is held at a time."""
    folders = []
    for name, last in (("one", b"1"), ("two", b"2")):
        folder = tmp_path / name
        (folder / "captures").mkdir(parents=True)
        (folder / "processes" / "000-h1-x").mkdir(parents=True)
        with (folder / "captures" / "h1-h2.h1.pcapng").open("wb") as stream:
            stream.write(HEADER)
            for number in range(COUNT):
                stream.write(frame(number, b"x" * 1000))
            stream.write(frame(COUNT, last))
        for stream_name in ("cmdline", "stderr", "status"):
            (folder / "processes" / "000-h1-x" / stream_name).touch()
        (folder / "processes" / "000-h1-x" / "stdout").write_bytes(b"x" * 20_000_000 + last)
        record = Record("n", "s", "c", 1, 7, "fake", digest=name, epoch_ns=EPOCH_NS)
        record.parts = {"capture:h1-h2.h1": name, "process:000-h1-x": name}
        record.save(folder)
        folders.append(folder)
    decode(bytes(60))  # imports scapy
    tracemalloc.start()
    found = compare(*folders)
    shown = [evidence(entry, *folders) for entry in found]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted((entry.kind, entry.index) for entry in found) == [("packet", COUNT), ("process", 20_000_000)]
    assert all(len(lines) > 2 for lines in shown)
    assert peak_bytes < 2 << 20


def test_verdicts_and_cases_that_come_and_go(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = BASE.replace("test_other", "test_new").replace("{planted}", "assert not h1")
    code, text = diff(capsys, left, run(inner, "right", text=text))
    assert code == DIFFERENT
    assert re.search(
        r"^VERDICT    mini-suite/test_it\.test_talks: passed -> failed \(AssertionError", text, re.MULTILINE
    )
    assert re.search(r"^VANISHED   mini-suite/test_it\.test_other: passed -> -$", text, re.MULTILINE)
    assert re.search(r"^APPEARED   mini-suite/test_it\.test_new: - -> passed$", text, re.MULTILINE)
    assert text.splitlines()[-1] == "0 same, 1 with another verdict, 1 appeared, 1 vanished"


def test_one_case_is_compared_alone(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = run(inner, "right", 'network.send(b"x")')
    assert diff(capsys, left, right, "test_other")[0] == SAME
    assert diff(capsys, left, right, "test_talks")[0] == DIFFERENT
    code, text = diff(capsys, left, right, "test_tolks")
    assert code == UNREADABLE
    assert "no case 'test_tolks'" in text


def test_json_has_all_of_it(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = diff(capsys, left, run(inner, "right", 'network.send(b"x")'), "--json")
    found = {entry["case"]: entry for entry in json.loads(text)["cases"]}
    assert code == DIFFERENT
    assert found["mini-suite/test_it.test_other"]["what"] == "same"
    (packet,) = found["mini-suite/test_it.test_talks"]["differences"]
    assert (packet["kind"], packet["where"], packet["index"]) == ("packet", "capture:h1-h2.h1", 2)


def test_a_run_of_another_seed_says_so(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner.run_dir = inner.pytester.path / "right"
    inner.run("--seed", "5")
    assert re.search(r"^   seed: 1 / 5$", diff(capsys, left, inner.run_dir)[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda record: (record / "record.json").write_text("{"), r"cannot be compared: cannot read the record "),
        (
            lambda record: (record / "record.json").write_text('{"schema": 1}'),
            r"cannot read the record .*KeyError: 'verdict'",
        ),
        (lambda record: (record / "record.json").unlink(), r"cannot be compared: the record is gone: "),
        (lambda record: (record / "commands.jsonl").write_text("{nonsense\n"), r"cannot be compared: JSONDecodeError"),
        (
            lambda record: next((record / "captures").iterdir()).write_bytes(b"no pcapng at all"),
            r"cannot be compared: .* is no pcapng file",
        ),
    ],
)
def test_a_corrupt_record_is_told_and_hides_no_other(
    inner: Inner, left: Path, capsys: pytest.CaptureFixture[str], spoil: object, told: str
) -> None:
    right = run(inner, "right", 'h1.write("/b", b""); network.send(b"x")', BASE.replace('"same"', '"other"'))
    assert callable(spoil)
    spoil(right / "cases/mini-suite/test_it.test_talks/1")
    code, text = diff(capsys, left, right)
    assert code == UNREADABLE
    assert re.search(rf"^UNREADABLE mini-suite/test_it\.test_talks\n  .*{told}", text, re.MULTILINE), text
    assert "DIFFERS    mini-suite/test_it.test_other" in text


def test_a_file_that_is_gone_is_told(inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = run(inner, "right", 'network.send(b"x")')
    shutil.rmtree(right / "cases/mini-suite/test_it.test_talks/1/captures")
    code, text = diff(capsys, left, right)
    assert code == DIFFERENT
    assert re.search(r"^  A: it is there\n  B: its file is gone: .*/captures/h1-h2\.h1\.pcapng$", text, re.MULTILINE), (
        text
    )


def test_a_run_that_is_none_is_refused(left: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (left / "run.json").write_text("[]")
    code, text = diff(capsys, left, tmp_path / "nowhere")
    assert code == UNREADABLE
    assert re.search(r"^error: no run '.*/nowhere'|has schema None", text, re.MULTILINE), text


def test_behind_an_early_difference_the_first_frame_and_byte_are_shown(
    inner: Inner, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of two seeds: that the commands differ comes first, and says nothing of what came of it."""
    planted = 'h1.write("/tmp/SEED", b""); network.now_ns += 1000; network.send(b"ab{0}"); h1.run(["echo", "no {0}"])'
    one, two = (run(inner, name, planted.replace("SEED", name).replace("{0}", name[:2])) for name in ("xy", "zw"))
    code, text = diff(capsys, one, two)
    lines = text.splitlines()
    assert code == DIFFERENT
    assert re.match(r"  first difference: command 3 differs", lines[lines.index(next(filter(_told, lines))) + 1]), text
    frame_at = next(index for index, line in enumerate(lines) if "first frame that differs: capture h1-h2.h1" in line)
    byte_at = next(index for index, line in enumerate(lines) if "first byte of a process that differs: " in line)
    assert frame_at < byte_at
    between = "\n".join(lines[frame_at:byte_at])
    assert re.search(r"^  A: +2 .* h1-h2\.h1 ", between, re.MULTILINE), text
    assert re.search(r"^ +Raw\.load +b?'abxy' +b?'abzw'$", between, re.MULTILINE), text
    assert re.search(r"^  A: .*no xy.*\n  B: .*no zw", "\n".join(lines[byte_at:]), re.MULTILINE), text
    assert not any(line.startswith("  and ") and "h1-h2.h1" in line for line in lines), "what was shown is not 'more'"


def _told(line: str) -> bool:
    return line.startswith("DIFFERS")


def test_two_kernels_are_told_apart_and_their_records_compared(
    inner: Inner, left: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run on another kernel that did the same is the same, and says which kernels; one that did not, differs."""
    other = left.with_name("other")
    for folder, planted in ((left, "pass"), (run(inner, "right", 'network.send(b"x")'), "send")):
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(folder, other)
        document = json.loads((other / "run.json").read_text())
        document["environment"] |= {"kernels": ["6.1.140"], "artifacts": {"linux-6.1.140-aaaabbbbcccc": "0" * 64}}
        for case in document["cases"]:
            case["kernel"] = "6.1.140"
        (other / "run.json").write_text(json.dumps(document))
        code, text = diff(capsys, left, other, "--no-times")
        assert re.search(r"^   kernels: .* / 6\.1\.140$", text, re.MULTILINE), text
        assert re.search(r"^   artifacts: .* / linux-6\.1\.140-aaaabbbbcccc$", text, re.MULTILINE), text
        assert code == (SAME if planted == "pass" else DIFFERENT)
