# SPDX-License-Identifier: MIT
"""What a link did to frames: each deed is seen, and a link that was too kind or too cruel is found out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from suites.transport.evidence import DEEDS, Deed, check_deeds, deeds
from suites.transport.scenario import LINKS

if TYPE_CHECKING:
    from testbed.backends.network import Network

OWN = "02:00:00:00:00:02"
HEAD = bytes(6) + bytes.fromhex("020000000001")
A, B, C = (HEAD + name for name in (b"a", b"b", b"c"))
ANSWER = bytes(6) + bytes.fromhex(OWN.replace(":", "")) + b"answer"


def network(sent: list[bytes], arrived: list[bytes]) -> Network:
    """Give a network whose link has captured these frames at h1 and h2; time passes in no time."""
    ends = {"h1": [*sent, ANSWER], "h2": [ANSWER, *arrived]}
    link = SimpleNamespace(frames=lambda end: [SimpleNamespace(data=data) for data in ends[end]])

    class Fake:
        def sleep(self, _: float) -> None:
            pass

        def link(self, _: str) -> SimpleNamespace:
            return link

        def __getitem__(self, _: str) -> SimpleNamespace:
            return SimpleNamespace(interfaces=[SimpleNamespace(mac=OWN)])

    return cast("Network", Fake())


CASES = {
    "nothing": ([A, B, C], [A, B, C], set()),
    "same bytes again": ([A, A, B], [A, A, B], set()),
    "missing": ([A, B, C], [A, C], {Deed.MISSING}),
    "damaged": ([A, B, C], [A, HEAD + b"x", C], {Deed.MISSING, Deed.DAMAGED}),
    "repeated": ([A, B, C], [A, B, B, C], {Deed.REPEATED}),
    "overtaken": ([A, B, C], [A, C, B], {Deed.OVERTAKEN}),
    "all at once": ([A, B, C], [C, A, A, HEAD + b"x"], set(Deed)),
}


@pytest.mark.parametrize(("sent", "arrived", "wanted"), CASES.values(), ids=CASES)
def test_deeds_are_seen(sent: list[bytes], arrived: list[bytes], wanted: set[Deed]) -> None:
    assert deeds(network(sent, arrived)) == wanted


@pytest.mark.parametrize("link", ["lossy", "reordering", "duplicating", "corrupting"])
def test_link_that_did_nothing_is_found(link: str) -> None:
    with pytest.raises(AssertionError):
        check_deeds(network([A, B], [A, B]), link)


@pytest.mark.parametrize("link", ["clean", "duplicating", "reordering"])
def test_link_that_lost_what_it_should_not_is_found(link: str) -> None:
    with pytest.raises(AssertionError):
        check_deeds(network([A, B], [A]), link)


@pytest.mark.parametrize("arrived", [[B, A], [A, B, B], [A, HEAD + b"x"]], ids=["order", "twice", "damage"])
def test_slow_link_may_only_lose(arrived: list[bytes]) -> None:
    check_deeds(network([A, B], [A]), "slow")
    check_deeds(network([A, B], [A, B]), "slow")
    with pytest.raises(AssertionError):
        check_deeds(network([A, B], arrived), "slow")


def test_each_link_of_the_suite_has_its_deeds() -> None:
    assert {*DEEDS, "slow"} == set(LINKS)
