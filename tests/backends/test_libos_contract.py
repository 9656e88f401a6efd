# SPDX-License-Identifier: MIT
"""What a library must not answer: each breach of the contract is found, by replies that a fake host program gives."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from testbed.backends.completion import LibOSBroken, LibOSError
from testbed.backends.deploy import configuration
from testbed.backends.libos import LibOS
from testbed.backends.workload import Workload, start
from testbed.errors import ConfigError, DeadlineError
from testbed.libos.library import Library, find_library

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testbed.backends.hostprogram import Connection, HostProgram
    from testbed.backends.node import Node

PUSH, POP, ACCEPT = 1, 2, 3


class Answers:
    """A host program, one connection to it, and a session: what it answers is given in order."""

    def __init__(self, *replies: dict[str, Any]) -> None:
        self.replies = [{"errno": 0, **reply} for reply in replies]
        self.session = SimpleNamespace(now_ns=0, note=lambda *_: None)

    def request(self, *_: object) -> dict[str, Any]:
        """Give the next reply."""
        return self.replies.pop(0)


def answering(*replies: dict[str, Any]) -> LibOS:
    """Make an engine whose calls are answered so."""
    made = Answers(*replies)
    program, connection = cast("HostProgram", made), cast("Connection", made)
    return LibOS("odd", "h1", program, connection, address="10.0.1.1", abilities=frozenset({"tcp"}))


def done(token: int, opcode: int, **more: object) -> dict[str, Any]:
    """Make a result."""
    return {"token": token, "opcode": opcode, "ret": 0, **more}


PENDING = ({"token": 7}, {"token": 8})  # a push and a pop


def wait(libos: LibOS) -> None:
    libos.wait(libos.push(1, b"x"))


def two(then: Callable[[LibOS, list[Any]], object]) -> Callable[[LibOS], None]:
    """Start a push and a pop, then do something with both."""

    def call(libos: LibOS) -> None:
        then(libos, [libos.push(1, b"x"), libos.pop(1)])

    return call


BREACHES: dict[str, tuple[tuple[dict[str, Any], ...], Callable[[LibOS], None], str]] = {
    "the result of another operation": (
        (*PENDING, {"result": done(8, POP)}),
        two(lambda libos, tokens: libos.wait(tokens[0])),
        "h1: odd: wait for 1 gave the result of #2 pop on queue 1 since 0.000000 s",
    ),
    "an index of none": (
        (*PENDING, {"result": done(8, POP), "index": 2}),
        two(lambda libos, tokens: libos.wait_any(tokens)),
        "h1: odd: wait_any gave index 2 of [1, 2] for #2 pop on queue 1 since 0.000000 s",
    ),
    "an index of another": (
        (*PENDING, {"result": done(8, POP), "index": 0}),
        two(lambda libos, tokens: libos.wait_any(tokens)),
        "h1: odd: wait_any gave index 0 of [1, 2] for #2 pop on queue 1 since 0.000000 s",
    ),
    "more results than asked for": (
        (*PENDING, {"results": [done(7, PUSH), done(8, POP)], "index": 2}),
        two(lambda libos, _: libos.wait_next_n(1)),
        "h1: odd: wait_next_n(1) gave 2 results",
    ),
    "no result and no errno": (
        (*PENDING, {"results": [], "index": 0}),
        two(lambda libos, _: libos.wait_next_n(4)),
        "h1: odd: wait_next_n(4) gave 0 results",
    ),
    "a token twice": (
        ({"token": 7}, {"token": 7}),
        two(lambda *_: None),
        "h1: odd: pop gave a token twice: it is still #1 push on queue 1 since 0.000000 s",
    ),
    "a result of nothing": (
        ({"token": 7}, {"result": done(9, PUSH)}),
        wait,
        "h1: odd: a result for token 0x9, which is not pending",
    ),
    "another operation's opcode": (
        ({"token": 7}, {"result": done(7, ACCEPT)}),
        wait,
        "h1: odd: #1 push on queue 1 since 0.000000 s completed with opcode 3",
    ),
    "a buffer that cannot be freed": (
        ({"token": 8}, {"result": done(8, POP, data=b"x", freed=22)}),
        lambda libos: cast("None", libos.wait(libos.pop(1))),
        "h1: odd: sgafree of the buffer of #1 pop on queue 1 since 0.000000 s: EINVAL",
    ),
    "a negative errno": (
        ({"errno": -22},),
        lambda libos: libos.close(3),
        "h1: odd: close(qd=3) returned -22: an errno is positive",
    ),
    "a result of a call that failed": (
        ({"errno": 22, "wrote": True},),
        lambda libos: cast("None", libos.socket()),
        "h1: odd: socket(domain=2, kind=1, protocol=0) failed with EINVAL and wrote to its results all the same",
    ),
    "more than a result": (
        ({"token": 7}, {"result": done(7, PUSH), "overran": True}),
        wait,
        "h1: odd: wait(token=1) wrote behind the 64 bytes of demi_qresult_t: it has another size there",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_the_contract_is_said(breach: str) -> None:
    replies, call, words = BREACHES[breach]
    with pytest.raises(LibOSBroken, match=f"^{re.escape(words)}$"):
        call(answering(*replies))


def test_an_array_without_a_segment_is_no_memory() -> None:
    with pytest.raises(LibOSError, match=r"^h1: odd: sgaalloc\(9\): ENOMEM"):
        answering({"segments": 0}).sgaalloc(9)


def test_a_library_that_was_ended_is_asked_for_nothing() -> None:
    libos = answering()
    libos._over = True
    with pytest.raises(ConfigError, match=r"^h1: odd: the LibOS was ended; nothing can be asked of it any more$"):
        libos.close(1)


def node(interfaces: tuple[object, ...]) -> Node:
    """Make a node up that has these interfaces."""
    network = SimpleNamespace(seed=1, virtual_time=True)
    return cast("Node", SimpleNamespace(name="h1", network=network, interfaces=interfaces))


def own_stack(tmp_path: Path) -> Library:
    return Library(name="odd", file=tmp_path / "libodd.so", abilities=frozenset({"tcp", "user-stack"}))


def test_a_stack_of_its_own_needs_an_interface(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^h1: odd needs an interface of its own, and the node has none$"):
        configuration(node(()), own_stack(tmp_path), None, 1)


def test_a_stack_of_its_own_needs_an_ipv4_address(tmp_path: Path) -> None:
    end = SimpleNamespace(name="eth0", addresses=("fd00::1/64",), mac="02:00:00:00:00:01", mtu=1500)
    with pytest.raises(ConfigError, match=r"^h1: odd needs an IPv4 address, and eth0 has none$"):
        configuration(node((end,)), own_stack(tmp_path), None, 1)


@pytest.mark.parametrize("places", [{}, {"server": "10.0.1.1:7", "client": "10.0.1.1:7"}])
def test_a_workload_is_a_server_or_a_client(tmp_path: Path, places: dict[str, str]) -> None:
    given: dict[str, Any] = {"libos": own_stack(tmp_path), "server": None, "client": None, **places}
    with pytest.raises(ConfigError, match=r"^h1: tcp-echo is a server or a client: give one of server= and client=$"):
        start(node(()), "tcp-echo", interface=None, config=None, env=None, options={}, **given)


def test_a_server_that_ends_well_before_it_is_ready_has_failed() -> None:
    """One that says nothing of why: its report has no error, and its exit status is 0."""
    ended = SimpleNamespace(returncode=0, stdout='{"error": null}\n', stderr="", end_s=1.0)
    workload = Workload.__new__(Workload)
    workload.name, workload.node = "h1: odd: tcp-echo", "h1"
    workload.process = cast("Any", SimpleNamespace(running=False, wait=lambda _: ended))

    def in_vain(*_: object, **__: object) -> None:
        raise DeadlineError("no file")

    with pytest.raises(AssertionError, match=r"^h1: odd: tcp-echo ended before it was ready$"):
        workload._await_ready(cast("Node", SimpleNamespace(wait_file=in_vain)), "/tmp/ready")


def test_a_flavor_that_is_no_library_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"^'linux' is no library with the queue API"):
        find_library("linux")
