# SPDX-License-Identifier: MIT
"""packets: captures as text, by both decoders; and the list of runs."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from testbed.cli.main import call
from testbed.errors import CapabilityError
from testbed.harness.packets import Frame
from testbed.harness.records import CaptureRecord, CaseRecord, ExecutionRecord, Record, RunRecord
from testbed.reports import bpf, tshark
from testbed.reports.bpf import Filter
from testbed.verdict import Verdict
from tests.harness.fake_backend import EPOCH_NS, HEADER, frame

if TYPE_CHECKING:
    from pathlib import Path

LENGTH_AT = 12 + 2  # of the fake's Ethernet header, which real frames do not want
WORDS = ("run", "test_x")
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def block(time_ns: int, data: bytes) -> bytes:
    """Make a block of a pcapng file of one real frame."""
    fake = frame(time_ns, data[LENGTH_AT:])
    return fake[:28] + data[:LENGTH_AT] + fake[28 + LENGTH_AT :]


def ip(source: str, destination: str) -> Ether:
    return Ether(src="02:00:00:00:00:00", dst="02:00:00:00:00:01") / IP(src=source, dst=destination)


SYN = ip("10.0.1.1", "10.0.1.2") / TCP(sport=40000, dport=80, flags="S", seq=7)
PING = ip("10.0.1.1", "10.0.1.2") / ICMP()
LATE = ip("10.0.1.2", "10.0.1.1") / UDP(sport=9, dport=9) / Raw(b"\x1b[2Jevil")


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a run of one case with two captures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    folder = tmp_path / "run" / "cases" / "s" / "test_x" / "1"
    (folder / "captures").mkdir(parents=True)
    record = Record("suites/s/t.py::test_x", "s", "test_x", 1, 7, "timetravel", epoch_ns=EPOCH_NS, complete=True)
    for node, blocks in (
        ("h1", [block(1_000_000_001, bytes(SYN)), block(3_000_000_000, bytes(LATE))]),
        ("h2", [block(2_000_000_000, bytes(PING))]),
    ):
        file = f"captures/h1-h2.{node}.pcapng"
        (folder / file).write_bytes(HEADER + b"".join(blocks))
        record.captures.append(CaptureRecord(file, "h1-h2", node, 0, "0" * 64))
    record.save(folder)
    case = CaseRecord(record.nodeid, "s", "test_x", Verdict.PASSED)
    case.executions = [ExecutionRecord(1, Verdict.PASSED, "", None, 3.0, 1.0, "cases/s/test_x/1")]
    RunRecord("finished", "2026-01-01T00:00:00+00:00", [], 1, 2, "timetravel", "linux", {}, cases=[case]).save(
        tmp_path / "run"
    )
    return tmp_path / "run"


def packets(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    """Give exit code, lines of stdout, stderr."""
    code = call(["packets", *WORDS, *words])
    done = capsys.readouterr()
    return code, done.out.splitlines(), done.err


@pytest.mark.parametrize("decoder", ["scapy", pytest.param("tshark", marks=needs_tshark)])
def test_frames_of_all_ends_come_in_order_of_time(capsys: pytest.CaptureFixture[str], decoder: str) -> None:
    code, lines, told = packets(capsys, "--decoder", decoder)
    assert code == 0
    assert [re.split(r"\s{2,}", line.strip())[:5] for line in lines] == [
        ["1.000000001", "> h1-h2.h1", "10.0.1.1", "10.0.1.2", "TCP"],
        ["2.000000000", "> h1-h2.h2", "10.0.1.1", "10.0.1.2", "ICMP"],
        ["3.000000000", "> h1-h2.h1", "10.0.1.2", "10.0.1.1", "UDP"],
    ]
    assert re.match(rf"^decoder: {decoder}.*\n3 frames\n$", told, re.IGNORECASE), told


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--decoder", "scapy", "--filter", "tcp port 80"), 1),
        (("--decoder", "scapy", "--filter", "src host 10.0.1.1"), 2),
        (("--decoder", "scapy", "--link", "h1-h2.h2"), 1),
        (("--decoder", "scapy", "--link", "h1-h2"), 3),
        pytest.param(("--decoder", "tshark", "--filter", "tcp.flags.syn == 1"), 1, marks=needs_tshark),
        pytest.param(("--decoder", "tshark", "--filter", "udp || icmp"), 2, marks=needs_tshark),
    ],
)
def test_filters_and_links(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], count: int) -> None:
    code, lines, told = packets(capsys, *words)
    assert (code, len(lines)) == (0, count)
    assert told.endswith(f"{count} frames\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--decoder", "scapy", "--filter", "tcp.port == 80"), r"'tcp.port == 80' is no filter of pcap-filter\(7\): "),
        pytest.param(("--decoder", "tshark", "--filter", "no such =="), r"error: tshark: ", marks=needs_tshark),
        (("--decoder", "tsark"), r"unknown decoder 'tsark'\nhint: did you mean 'tshark'"),
        (("--link", "h1-h3"), r"unknown link 'h1-h3'\nhint: did you mean 'h1-h2'"),
        (("--execution", "2"), r"has no execution 2; it has 1"),
    ],
)
def test_wrong_words_are_refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    code, lines, told = packets(capsys, *words)
    assert (code, lines) == (4, [])
    assert re.search(message, told), told


def test_bytes_are_shown_and_none_of_them_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = packets(capsys, "--decoder", "scapy", "-x", "--filter", "udp")
    assert lines[1].split("  ")[2:4] == ["0000", "02 00 00 00 00 01 02 00 00 00 00 00 08 00 45 00"]
    assert "".join(line[59:] for line in lines[1:]).endswith(".[2Jevil")
    assert "\x1b" not in "".join(lines)


def test_files_are_named_for_wireshark(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    _, lines, _ = packets(capsys, "--files", "--link", "h1-h2.h1")
    assert lines == [str(run.resolve() / "cases/s/test_x/1/captures/h1-h2.h1.pcapng")]


def test_a_capture_that_is_gone_is_told_and_the_others_are_shown(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    captures = run / "cases/s/test_x/1/captures"
    (captures / "h1-h2.h1.pcapng").unlink()
    code, lines, told = packets(capsys, "--decoder", "scapy")
    assert (code, len(lines)) == (0, 1)
    assert "h1-h2.h1.pcapng is gone" in told
    (captures / "h1-h2.h2.pcapng").unlink()
    code, _, told = packets(capsys)
    assert code == 4
    assert "all captures of the record" in told


def test_a_capture_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    (run / "cases/s/test_x/1/captures/h1-h2.h1.pcapng").write_bytes(b"GIF89a, and more")
    code, _, told = packets(capsys, "--decoder", "scapy")
    assert code == 4
    assert "h1-h2.h1.pcapng is no pcapng file: it starts with b'GIF8'" in told


def test_without_tshark_scapy_decodes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert not tshark.installed()
    code, lines, told = packets(capsys)
    assert (code, len(lines)) == (0, 3)
    assert told.startswith("decoder: scapy")
    code, _, told = packets(capsys, "--decoder", "tshark")
    assert code == 7
    assert "tshark is not installed\nhint: apt-get install tshark" in told


def test_without_libpcap_a_filter_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    bpf._libpcap.cache_clear()
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    with pytest.raises(CapabilityError, match=r"^filters need libpcap"):
        Filter("tcp")
    bpf._libpcap.cache_clear()


def test_a_filter_sees_the_length_on_the_wire() -> None:
    assert Filter("greater 1000")(Frame(0, bytes(SYN), 1500))
    assert not Filter("greater 1000")(Frame(0, bytes(SYN), 54))


def test_runs_are_listed_with_verdicts_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "runs"]) == 0
    assert re.match(r"^run  2026-01-01 00:00:00  finished  0\.0 MiB  s  1 passed$", capsys.readouterr().out)
    assert call(["list", "runs", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["suites"], entry["counts"], entry["bytes"] > 1000) == (["s"], {"passed": 1}, True)
