# SPDX-License-Identifier: MIT
"""What a link did to the frames of one direction, found by comparing both ends: no case may pass on a link too kind."""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.network import Network

SETTLE_S = 2.0  # so that what is under way arrives


class Deed(enum.StrEnum):
    """Something that happened to frames on their way."""

    MISSING = "missing"
    DAMAGED = "damaged"
    REPEATED = "repeated"
    OVERTAKEN = "overtaken"


# What each link of scenario.LINKS must have done; a damaged frame is missing as what it was.
DEEDS = {
    "clean": set[Deed](),
    "lossy": {Deed.MISSING},
    "reordering": {Deed.OVERTAKEN},
    "duplicating": {Deed.REPEATED},
    "corrupting": {Deed.MISSING, Deed.DAMAGED},
}


def deeds(network: Network) -> set[Deed]:
    """Say what the link of a pair did to the frames from h1 to h2, whose bytes were captured at both ends.

    Not to those for a group: a multicast report may leave before the other end is up (seen with Linux 6.1).
    """
    network.sleep(SETTLE_S)
    link, own = network.link("h1-h2"), bytes.fromhex(network["h2"].interfaces[0].mac.replace(":", ""))
    sent, arrived = (
        [frame.data for frame in link.frames(end) if frame.data[6:12] != own and not frame.data[0] & 1]
        for end in ("h1", "h2")
    )
    before, after = Counter(sent), Counter(arrived)
    once = {data for data, count in before.items() if count == 1 and data in after}  # IPv6 repeats bytes exactly
    order_before, order_after = ([data for data in dict.fromkeys(frames) if data in once] for frames in (sent, arrived))
    found = {
        Deed.MISSING: bool(before - after),
        Deed.DAMAGED: any(data not in before for data in after),
        Deed.REPEATED: any(0 < before[data] < count for data, count in after.items()),
        Deed.OVERTAKEN: order_before != order_after,
    }
    return {deed for deed, happened in found.items() if happened}


def check_deeds(network: Network, link: str) -> None:
    """Check that a link of scenario.LINKS did what its name says, and nothing else."""
    if link == "slow":
        assert deeds(network) <= {Deed.MISSING}  # by its short queue
    else:
        assert deeds(network) == DEEDS[link]
