# SPDX-License-Identifier: MIT
"""A transfer is checked by the bytes and the hash of both ends, and by how both programs end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from suites.common.transfer import Transfer
from testbed.backends.process import Completed, ProcessFailed

if TYPE_CHECKING:
    from testbed.backends.process import Process

SENT = "bytes=1000 hash=0123456789abcdef seconds=2.0 mptcp=1 extra_subflows=1 congestion=cubic"
RECEIVED = "bytes=1000 hash=0123456789abcdef mptcp=1 extra_subflows=1"


class Ended:
    """A process that has ended."""

    def __init__(self, stdout: str, status: int = 0) -> None:
        self._completed = Completed(
            node="h1",
            argv=("x",),
            returncode=status,
            stdout_bytes=stdout.encode(),
            stderr_bytes=b"",
            start_s=0,
            end_s=1,
        )

    def wait(self, _: float) -> Completed:
        """Give its end."""
        return self._completed


def transfer(sent: str = SENT, received: str = RECEIVED, *, status: tuple[int, int] = (0, 0)) -> Transfer:
    sender, receiver = Ended(sent, status[0]), Ended(received, status[1])
    return Transfer(cast("Process", sender), cast("Process", receiver))


def test_outcomes_of_both_ends_are_read() -> None:
    sent, received = transfer().finish()
    assert (sent.bytes, sent.seconds, sent.goodput_bps, sent.congestion) == (1000, 2.0, 4000.0, "cubic")
    assert (received.mptcp, received.extra_subflows, received.seconds, received.congestion) == (True, 1, 0, "")


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (SENT, RECEIVED.replace("0123", "0124")),
        (SENT, RECEIVED.replace("1000", "999")),
        (SENT.replace("1000", "0"), RECEIVED.replace("1000", "0")),
    ],
    ids=["another-hash", "fewer-bytes", "nothing"],
)
def test_other_bytes_are_found(sent: str, received: str) -> None:
    with pytest.raises(AssertionError):
        transfer(sent, received).finish()


@pytest.mark.parametrize("status", [(1, 0), (0, 1)], ids=["sender", "receiver"])
def test_program_that_failed_is_found(status: tuple[int, int]) -> None:
    with pytest.raises(ProcessFailed):
        transfer(status=status).finish()
