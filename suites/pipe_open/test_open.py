# SPDX-License-Identifier: MIT
"""Pipes between two processes, opened 128 times: one after the other, and all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.pdpix import Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

OPENS = 128


@pytest.mark.flavors("pipe")
@pytest.mark.scenario("single")
def test_one_name_128_times(network: Network, flavor: str) -> None:
    """A name is free again when its pipe was closed; each pipe carries one byte, and its end after it."""
    opener, maker = Sides(network, flavor).engines()
    for number in range(OPENS):
        made = maker.create_pipe("again")
        opened = opener.open_pipe("again")
        opener.wait(opener.push(opened, bytes([number])))
        assert maker.wait(maker.pop(made)).data == bytes([number])
        opener.close(opened)
        assert maker.wait(maker.pop(made)).data == b""
        maker.close(made)
    opener.stop()
    maker.stop()


@pytest.mark.flavors("pipe")
@pytest.mark.scenario("single")
def test_128_pipes_at_once(network: Network, flavor: str) -> None:
    """Each of 128 pipes that are open at once carries its own byte, in both directions."""
    opener, maker = Sides(network, flavor).engines()
    made = [maker.create_pipe(f"pipe-{number}") for number in range(OPENS)]
    opened = [opener.open_pipe(f"pipe-{number}") for number in range(OPENS)]
    assert len(set(made)) == len(set(opened)) == OPENS
    for number, queue in enumerate(opened):
        opener.wait(opener.push(queue, bytes([number])))
    for number, queue in reversed(list(enumerate(made))):
        assert maker.wait(maker.pop(queue)).data == bytes([number])
        maker.wait(maker.push(queue, bytes([255 - number])))
    for number, queue in enumerate(opened):
        assert opener.wait(opener.pop(queue)).data == bytes([255 - number])
    opener.stop()
    maker.stop()
