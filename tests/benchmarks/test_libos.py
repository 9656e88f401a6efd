# SPDX-License-Identifier: MIT
"""The figures of the LibOSes: their peers answer, what fails is told, and a ratio is of medians of both."""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks.libos import duel, sides
from benchmarks.libos.duel import Block
from benchmarks.libos.sides import Party
from benchmarks.libos.wire import Wire
from testbed.errors import CapabilityError, TestbedError

ROUNDS = 200

two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < len(sides.CPUS), reason="each side needs a CPU")


def printing(numbers: list[int], name: str = "stub") -> Party:
    """Make a party whose client took these times, in ns."""
    program = [sys.executable, "-c", "import sys; print('ready' if sys.argv[1] == 'server' else sys.argv[2])"]
    words = "\n".join(map(str, numbers))
    return Party(name=name, argv={role: [*program, role, words] for role in sides.CPUS})


@two_cpus
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_socket_s_rounds_are_all_there(kind: str) -> None:
    took_ns = sides.converse(sides.sockets(kind, ROUNDS, loopback=True), None)
    assert len(took_ns) == ROUNDS
    assert min(took_ns) > 0


@two_cpus
def test_flags_go_back_and_forth() -> None:
    assert len(sides.converse(sides.flags(ROUNDS), None)) == ROUNDS


@two_cpus
@pytest.mark.parametrize(("library", "kind"), [("catnap", "tcp"), ("catmem", "pipe"), ("catloop", "tcp")])
def test_the_queue_api_does_the_same(library: str, kind: str) -> None:
    with sides.queues(library, kind, ROUNDS, loopback=True) as party:
        assert len(sides.converse(party, None)) == ROUNDS


@two_cpus
def test_bulk_is_one_time() -> None:
    assert len(sides.converse(sides.sockets("bulk", ROUNDS, loopback=True), None)) == 1


@two_cpus
def test_a_server_that_cannot_is_told_with_its_words() -> None:
    party = sides.sockets("nothing", ROUNDS, loopback=True)
    broken = Party(name=party.name, argv={**party.argv, "server": [*party.argv["server"][:3], "nowhere", "1", "0"]})
    with pytest.raises(TestbedError, match=r"^sockets, nothing, server: nowhere: "):
        sides.converse(broken, None)


@two_cpus
def test_a_client_that_cannot_is_told_with_its_words() -> None:
    party = sides.sockets("tcp", ROUNDS, loopback=True)
    broken = Party(name=party.name, argv={**party.argv, "client": [*party.argv["client"][:3], "nowhere", "1", "0"]})
    with pytest.raises(TestbedError, match=r"^sockets, tcp, client, exit code 1: nowhere: "):
        sides.converse(broken, None)


@two_cpus
def test_a_server_that_should_end_and_does_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "GOODBYE_S", 0.1)
    flags = sides.flags(ROUNDS)
    with pytest.raises(TestbedError, match=r"^flags: the server did not end with its client$"):
        sides.converse(Party(name="flags", argv=flags.argv, ends=True), None)


def test_one_cpu_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(CapabilityError, match="there is only one"):
        sides.converse(printing([1]), None)


def test_a_wire_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CapabilityError, match="need root"):
        Wire()


def test_the_start_of_a_block_does_not_count() -> None:
    block = Block.of([900, *range(10, 19)])
    assert block.took_ns == tuple(range(10, 19))
    assert block.median_ns == 14


@two_cpus
def test_a_ratio_is_of_the_medians_with_both_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duel, "settle", lambda: None)
    sample = duel.fight(printing([3000, 3000, 99000]), printing([2000, 2000, 2000]), None)
    assert sample.value == 1.5
    assert sample.details["ours"] == {
        "rounds": 9,
        "percentiles_us": {**dict.fromkeys(("0", "10", "25", "50"), 3.0), **dict.fromkeys(("75", "90"), 99.0)}
        | dict.fromkeys(("95", "98", "99", "99.5", "99.8", "99.9", "99.95", "99.98", "99.99", "100"), 99.0),
    }
    assert duel.alone(printing([2000, 2000, 2000]), None).value == 2.0
