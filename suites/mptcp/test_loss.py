# SPDX-License-Identifier: MIT
"""Lossy paths: two of them are worth more than the better one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.mptcp.scenario import both_versions, needs_mptcp
from suites.mptcp.transfer import PORT, Path

if TYPE_CHECKING:
    from suites.mptcp.transfer import Hosts, Outcome

pytestmark = [needs_mptcp, pytest.mark.scenario("two_path", rate_bps=10_000_000, delay_ms=10)]

# Loss begins this long after the start of a transfer: with both subflows there. Two lost SYNs in a row would make the
# whole connection plain TCP (RFC 8684, section 3.7), and what is lost of a handshake is not what is measured here.
LOSS_AFTER_S = 0.2
# Per cent on path one and path two, in both directions, and seconds of a transfer: the more loss, the fewer packets
# in a second, and the longer it takes until chance evens out.
LOSSES = {(1, 1): 6, (1, 2): 8, (2, 1): 8, (2, 2): 10, (5, 5): 20, (10, 10): 40}
UNEQUAL_LOSSES = {(1, 10): 10, (10, 1): 10}


def lossy(cases: dict[tuple[int, int], int]) -> pytest.MarkDecorator:
    """Parametrise with losses and seconds."""
    params = [
        pytest.param(losses, seconds, marks=pytest.mark.real_time_budget(3 * seconds), id="{}-{}".format(*losses))
        for losses, seconds in cases.items()
    ]
    return pytest.mark.parametrize(("losses", "seconds"), params)


def set_losses(hosts: Hosts, losses: tuple[int, int]) -> None:
    """Let both paths lose that many per cent of the frames, each way."""
    for path, loss in zip(Path, losses, strict=True):
        hosts.network.link(f"h1-{path}").set(loss_ratio=loss / 100)


def send(hosts: Hosts, losses: tuple[int, int], seconds: int, path: Path, port: int) -> Outcome:
    """Send for some seconds, with loss from soon after the start on; the first subflow takes the given path."""
    set_losses(hosts, (0, 0))
    transfer = hosts.start("--seconds", str(seconds), path=path, port=port)
    hosts.network.sleep(LOSS_AFTER_S)
    set_losses(hosts, losses)
    return transfer.finish()[0]


def compare(hosts: Hosts, losses: tuple[int, int], seconds: int) -> float:
    """Send over each path alone, then over both, and give the goodput over both in units of the better one's."""
    alone = [send(hosts, losses, seconds, path, port).goodput_bps for port, path in enumerate(Path, start=6000)]
    hosts.use_both_paths()
    together = send(hosts, losses, seconds, Path.ONE, PORT)
    assert together.extra_subflows == 1
    return together.goodput_bps / max(alone)


@both_versions
@lossy(LOSSES)
def test_two_lossy_paths_beat_the_better_one(hosts: Hosts, losses: tuple[int, int], seconds: int) -> None:
    """All bytes arrive, and faster than over either path alone, measured in the same network right before."""
    assert compare(hosts, losses, seconds) > 1


@lossy(UNEQUAL_LOSSES)
def test_much_worse_second_path_costs_at_most_half(hosts: Hosts, losses: tuple[int, int], seconds: int) -> None:
    """One path of 1 %, one of 10 %: all bytes arrive, and the worse path never drags both below half of the better one.

    Linux's default scheduler may send a segment to the worse path and then wait for it (head-of-line blocking), so
    more than the better path alone is not promised here.
    """
    assert compare(hosts, losses, seconds) > 0.5
