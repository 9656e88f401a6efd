# SPDX-License-Identifier: MIT
"""The host's end of a channel: frames, events, replies, and everything that can be wrong with them."""

from __future__ import annotations

import errno
import re
import signal
import socket
import struct
import threading
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no stubs
import pytest

from testbed.agent.protocol import AgentGone, Channel, NetworkTimeout, error_of
from testbed.errors import CapabilityError, DeadlineError, GuestCrashed, InternalError
from tests.backends.fake_agent import agent, frame, ok


def ask(*messages: dict[str, Any] | bytes) -> tuple[Any, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    with agent(lambda _: list(messages)) as (sock, _):
        reply = Channel(sock).request("sleep", {"until": 5}, events.append)
    return reply, events


def test_request_gives_events_in_order_and_then_the_reply() -> None:
    events = [{"event": "output", "id": 1, "stream": 1, "data": bytes(300_000)}, {"event": "drops", "count": 2}]
    reply, seen = ask(*events, ok(7, pid=3))
    assert (reply.ok, reply.now_ns, reply.error) == ({"pid": 3}, 7, None)
    assert seen == events


def test_request_is_sent_as_length_and_map() -> None:
    with agent(lambda _: [ok()]) as (sock, requests):
        Channel(sock).request("write", {"data": b"\xff", "mode": 0o644}, lambda _: None)
    assert requests == [{"op": "write", "data": b"\xff", "mode": 0o644}]


def test_reply_is_received_whenever_it_suits() -> None:
    with agent(lambda _: [{"event": "drops", "count": 2}, ok(7)]) as (sock, requests):
        channel = Channel(sock)
        channel.send("hello", {})
        with pytest.raises(InternalError, match=r"^the agent was asked to 'up' while the reply to an earlier"):
            channel.send("up", {})
        events: list[dict[str, Any]] = []
        assert channel.receive(events.append).now_ns == 7
        assert events == [{"event": "drops", "count": 2}]
        with pytest.raises(InternalError, match=r"^the agent was asked nothing that it could reply to$"):
            channel.receive(events.append)
    assert requests == [{"op": "hello"}]


def test_frames_cut_anywhere_are_joined() -> None:
    whole = frame({"event": "drops", "count": 1}) + frame(ok(1))
    here, there = socket.socketpair()
    with here, there:
        parts = iter([whole[:3], whole[3:4], whole[4:20], whole[20:]])

        def feed() -> float:
            if (part := next(parts, b"")) != b"":
                there.sendall(part)
            return 0.001

        seen: list[dict[str, Any]] = []
        assert Channel(here, feed).request("hello", {}, seen.append).now_ns == 1
        assert seen == [{"event": "drops", "count": 1}]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([b"\x01\x00\x00\x00\xc1"], r"^the agent sent a frame that is no msgpack: b'\\xc1'$"),
        (
            [struct.pack("<I", 1 << 30)],
            r"^the agent sent a frame of 1073741824 bytes, more than 16777216: no agent of .*$",
        ),
        ([frame({"pid": 1})], r"^the agent sent neither an event nor a reply: \{'pid': 1\}$"),
        ([b"\x01\x00\x00\x00\x05"], r"^the agent sent neither an event nor a reply: 5$"),
        ([frame({"ok": {}})], r"^the agent sent a reply without its time: \{'ok': \{\}\}$"),
    ],
)
def test_request_garbled_answer_is_our_fault(messages: list[bytes], message: str) -> None:
    with pytest.raises(InternalError, match=message):
        ask(*messages)


def test_request_closed_channel_is_agent_gone() -> None:
    with pytest.raises(AgentGone, match=r"^the agent closed the channel$"):
        ask()


def test_request_closed_in_the_middle_of_a_frame_is_agent_gone() -> None:
    here, there = socket.socketpair()
    there.sendall(frame(ok())[:-1])
    there.shutdown(socket.SHUT_WR)
    with here, there, pytest.raises(AgentGone, match=r"^the agent closed the channel$"):
        Channel(here).request("hello", {}, lambda _: None)


def test_request_too_big_is_refused_before_sending() -> None:
    with agent(lambda _: [ok()]) as (sock, requests):
        with pytest.raises(ValueError, match=r"^'write' takes 16777216 bytes at once, not 17"):
            Channel(sock).request("write", {"data": bytes(17_000_000)}, lambda _: None)
        assert requests == []


@pytest.mark.parametrize(
    ("err", "kind", "message"),
    [
        ({"kind": "os", "what": "open x", "errno": 2}, FileNotFoundError, "[Errno 2] open x"),
        ({"kind": "os", "what": "connect", "errno": errno.ECONNREFUSED}, ConnectionRefusedError, "[Errno 111] connect"),
        ({"kind": "timeout", "what": "late", "errno": None}, NetworkTimeout, "late"),
        ({"kind": "capability", "what": "no netem", "errno": None}, CapabilityError, "no netem"),
        ({"kind": "usage", "what": "unknown key", "errno": None}, InternalError, "the agent says (usage): unknown key"),
        ({"kind": "internal", "what": "bug", "errno": None}, InternalError, "the agent says (internal): bug"),
    ],
)
def test_error_kinds_say_whose_fault_it_is(err: dict[str, Any], kind: type[Exception], message: str) -> None:
    error = error_of(err)
    assert type(error) is kind
    assert str(error) == message


def test_network_timeout_is_both_a_deadline_and_a_timeout() -> None:
    assert issubclass(NetworkTimeout, DeadlineError)
    assert issubclass(NetworkTimeout, TimeoutError)


def test_watch_that_raises_ends_the_wait_and_leaves_the_reply_pending() -> None:
    here, there = socket.socketpair()

    def impatient() -> float:
        asked.append(1)
        if len(asked) > 3:
            raise GuestCrashed("enough")
        return 0.001

    asked: list[int] = []
    with here, there:
        channel = Channel(here, impatient)
        with pytest.raises(GuestCrashed, match=r"^enough$"):
            channel.request("sleep", {}, lambda _: None)
        asked.clear()
        assert channel.pending
        with pytest.raises(
            InternalError, match=re.escape("the agent was asked to 'read' while the reply to an earlier")
        ):
            channel.request("read", {}, lambda _: None)
        there.sendall(frame(ok(9)))
        reply = channel.drain(lambda _: None, limit_s=5)
        assert reply is not None
        assert reply.now_ns == 9
        assert not channel.pending


def test_drain_gives_up_after_its_limit() -> None:
    here, there = socket.socketpair()

    def interrupt() -> float:
        if not interrupted:
            interrupted.append(1)
            return 0.001
        if len(interrupted) == 1:
            interrupted.append(2)
            raise KeyboardInterrupt
        return 0.001

    interrupted: list[int] = []
    with here, there:
        channel = Channel(here, interrupt)
        with pytest.raises(KeyboardInterrupt):
            channel.request("sleep", {}, lambda _: None)
        assert channel.drain(lambda _: None, limit_s=0.02) is None


def test_interrupt_at_any_moment_loses_no_reply() -> None:
    """A timer interrupts requests, longer than the socket's buffer, wherever they are; each is answered after all."""

    class Interrupt(Exception):  # noqa: N818  # as KeyboardInterrupt
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    def answer() -> None:
        buffer = b""
        while more := there.recv(1 << 16):
            buffer += more
            while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[:4], "little")):
                asked.append(msgpack.unpackb(buffer[4:end])["number"])
                buffer = buffer[end:]
                there.sendall(frame({"event": "output", "data": bytes(200_000)}))
                there.sendall(frame(ok(asked[-1], data=bytes(100_000))))

    asked: list[int] = []
    interrupted = 0
    here, there = socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    channel = Channel(here)
    server = threading.Thread(target=answer)
    server.start()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(0, 800, 2):
            reply = None
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-6 * (number % 300 + 1))
                reply = channel.request("x", {"number": number, "data": bytes(100_000)}, lambda _: None)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:  # while its traceback has all frames of the request, as in a network that is taken down
                interrupted += 1
                if channel.pending:
                    reply = channel.drain(lambda _: None, limit_s=10)
                    assert reply is not None
                again = channel.request("x", {"number": number + 1}, lambda _: None)
                assert again.now_ns == number + 1
            assert reply is None or reply.now_ns == number
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        here.shutdown(socket.SHUT_RDWR)
        server.join()
        here.close()
        there.close()
    assert interrupted > 20
    assert asked == sorted(set(asked))
    assert sum(number % 2 for number in asked) == interrupted
