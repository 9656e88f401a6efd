# SPDX-License-Identifier: MIT
"""What is random on the wire comes from the seed: losses, delays, ports, sequence numbers, identifiers, flow labels."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.determinism.reference import assert_same, execute

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.backends.network import Network

pytestmark = pytest.mark.guest

LOSSY: dict[str, object] = {"delay_ms": 10, "jitter_ms": 4, "loss_ratio": 0.3}
SYN = 0x02
IPV4, IPV6, TCP = 0x0800, 0x86DD, 6


@dataclass
class Seen:
    """What one execution showed.

    Args:
        answered: Sequence numbers of the echo requests that were answered, in order.
        round_trips: Their round-trip times, as ping prints them.
        syn: Per IP version, the first SYN's source port and initial sequence number.
        label: Flow label of the first IPv6 SYN.
    """

    answered: list[int] = field(default_factory=list)
    round_trips: list[str] = field(default_factory=list)
    syn: dict[int, tuple[int, int]] = field(default_factory=dict)
    label: int = -1


def observe(folder: Path, seed: int) -> Seen:
    """Ping over a lossy link, and connect over IPv4 and IPv6."""
    seen = Seen()

    def drive(network: Network) -> None:
        h1, h2 = network["h1"], network["h2"]
        ping = h1.run(["ping", "-i", "0.01", "-c", "60", "-W", "1", h2.address()], check=False).stdout
        seen.answered = [int(number) for number in re.findall(r"icmp_seq=(\d+)", ping)]
        seen.round_trips = re.findall(r"time=(\S+)", ping)
        for version in (4, 6):
            h1.run(["curl", "-s", f"http://{_bracketed(h2.address(version))}:9/"], check=False)
        for frame in network.link("h1-h2").frames("h1"):
            _take_syn(frame.data, seen)

    execute(folder, seed=seed, drive=drive, link=LOSSY)
    return seen


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _take_syn(frame: bytes, seen: Seen) -> None:
    """Take a TCP SYN that h1 sent (RFC 791, RFC 8200, RFC 9293)."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == IPV4 and frame[23] == TCP:
        version, at = 4, 14 + 4 * (frame[14] & 15)
    elif kind == IPV6 and frame[20] == TCP:
        version, at = 6, 54
    else:
        return
    port, _, sequence = struct.unpack_from("!HHI", frame, at)
    if frame[at + 13] == SYN and version not in seen.syn:
        seen.syn[version] = (port, sequence)
        if version == 6:
            seen.label = struct.unpack_from("!I", frame, 14)[0] & 0xFFFFF


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Seen]:
    folder = tmp_path_factory.mktemp("seeds")
    return {seed: observe(folder / str(seed), seed) for seed in (1, 2)}


def test_the_same_again(seeds: dict[int, Seen], tmp_path: Path) -> None:
    assert observe(tmp_path / "again", 1) == seeds[1]
    assert observe(tmp_path / "once-more", 1) == seeds[1]
    assert_same(tmp_path / "again", tmp_path / "once-more")


def test_losses_and_delays_follow_the_seed(seeds: dict[int, Seen]) -> None:
    one, two = seeds[1], seeds[2]
    assert 15 < len(one.answered) < 45, "about half of the echoes survive two directions of 30 % loss"
    assert one.answered != two.answered
    assert len(set(one.round_trips)) > 10, "jitter makes the round trips differ"
    assert set(one.round_trips) != set(two.round_trips)


@pytest.mark.parametrize("version", [4, 6])
def test_ports_and_initial_sequence_numbers_follow_the_seed(seeds: dict[int, Seen], version: int) -> None:
    (port, sequence), (other_port, other_sequence) = seeds[1].syn[version], seeds[2].syn[version]
    assert port != other_port
    assert sequence != other_sequence


def test_flow_labels_follow_the_seed(seeds: dict[int, Seen]) -> None:
    assert seeds[1].label > 0
    assert seeds[1].label != seeds[2].label
