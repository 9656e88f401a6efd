# SPDX-License-Identifier: MIT
"""How the tunnel suite takes what ip(8) says: a kernel without a tunnel is a skip, a wrong command is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from suites.ip6_tunnels.ends import LACKS, configure, received
from testbed.backends.process import Completed, ProcessFailed

if TYPE_CHECKING:
    from testbed.backends.node import Node


class FakeNode:
    """A node whose programs all end in the same way."""

    def __init__(self, status: int, stdout: str = "", stderr: str = "") -> None:
        self._completed = Completed(
            node="h1",
            argv=("ip", "-batch", "-"),
            returncode=status,
            stdout_bytes=stdout.encode(),
            stderr_bytes=stderr.encode(),
            start_s=0.0,
            end_s=1.0,
        )

    def run(self, *_: Any, **__: Any) -> Completed:
        """Give what every program ends with."""
        return self._completed


def node(status: int, **said: str) -> Node:
    return cast("Node", FakeNode(status, **said))


SAID = (
    "Error: Unknown device type.",
    "RTNETLINK answers: Operation not supported",
    "RTNETLINK answers: No such file or directory",
    "Error talking to the kernel: genl family not found",
)


def test_every_phrase_of_a_kernel_that_lacks_something_is_tried() -> None:
    assert [phrase for phrase in LACKS if not any(phrase in said for said in SAID)] == []


@pytest.mark.parametrize("said", SAID)
def test_a_kernel_without_the_tunnel_is_a_skip_with_its_words(said: str) -> None:
    with pytest.raises(pytest.skip.Exception, match=said):
        configure(node(1, stderr=f"{said}\nCommand failed -:1\n"), "link add t0 type warpdrive\n")


def test_a_wrong_command_is_a_failure() -> None:
    with pytest.raises(ProcessFailed, match="Invalid argument"):
        configure(node(1, stderr="RTNETLINK answers: Invalid argument\n"), "link add t0\n")


def test_a_command_that_worked_says_nothing() -> None:
    configure(node(0), "link set t0 up\n")


def test_replies_are_counted_with_and_without_errors() -> None:
    plain = "3 packets transmitted, 2 received, 33% packet loss, time 2002ms\n"
    errors = "3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 2002ms\n"
    assert [received(node(1, stdout=said), "fd99::2") for said in (plain, errors)] == [2, 0]
