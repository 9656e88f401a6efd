# SPDX-License-Identifier: MIT
"""A network over a scripted agent: what is recorded, what is raised, and what is never done twice."""

from __future__ import annotations

import gc
import hashlib
import re
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.base import BackendOptions
from testbed.backends.network import Network
from testbed.backends.process import ProcessFailed, ProcessTimeout
from testbed.backends.recorders import NullRecorder
from testbed.backends.session import Session
from testbed.errors import ConfigError, GuestCrashed, InternalError
from testbed.scenarios.registry import scenario
from tests.backends.fake_agent import HELLO, Answer, FakePeer, agent, err, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Notes(NullRecorder):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[tuple[str, Mapping[str, object], int, int]] = []
        self.exits: list[tuple[int, int, int]] = []
        self.output = bytearray()

    def command(self, name: str, fields: Mapping[str, object], start_ns: int, end_ns: int) -> None:
        """Keep it."""
        self.commands.append((name, fields, start_ns, end_ns))

    def process_output(self, process: int, stream: int, data: bytes) -> None:  # noqa: ARG002  # the output of all
        """Keep it."""
        self.output += data

    def process_exited(self, process: int, status: int, end_ns: int) -> None:
        """Keep it."""
        self.exits.append((process, status, end_ns))


def test_greeting_of_an_agent_that_is_gone_is_told_where_the_answer_is_taken() -> None:
    here, there = socket.socketpair()
    there.close()
    session = Session(here, FakePeer(), Notes())
    session.send_hello([])
    for _ in range(2):
        with pytest.raises(GuestCrashed, match=r"^the fake guest died$"):
            session.take_hello()
    session.close()


class World:
    """A network of a pair whose agent answers as the test says."""

    def __init__(self, sock: Any) -> None:
        self.notes, self.peer = Notes(), FakePeer()
        session = Session(sock, self.peer, self.notes)
        self.network = Network(
            session,
            scenario("pair"),
            backend="fake",
            artifacts={},
            virtual_time=True,
            seed=1,
            options=BackendOptions(),
            settle_ns=0,
            greet=lambda: session.hello([]),
        )


def answers(special: Answer) -> Answer:
    def answer(request: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        match request["op"]:
            case "hello":
                return [ok(-5, **HELLO)]
            case "up":
                return [ok(0)]
            case "down":
                return [ok(99)]
            case _:
                return special(request)

    return answer


def exits(status: int, out: bytes = b"", error: bytes = b"", *, done: bool = True) -> list[dict[str, Any] | bytes]:
    return [
        {"event": "output", "id": 1, "stream": 1, "data": out},
        {"event": "output", "id": 1, "stream": 2, "data": error},
        {"event": "exit", "id": 1, "status": status, "end": 1_500_000_000},
        ok(1_500_000_001, done=done),
    ]


def test_run_gives_output_and_times_and_records_them() -> None:
    with agent(answers(lambda _: exits(0, b"hi\xff\n"))) as (sock, requests):
        world = World(sock)
        done = world.network["h1"].run("echo 'hi there'", env={"X": "1"})
        world.network.down()
    assert (done.argv, done.stdout, done.stdout_bytes) == (("echo", "hi there"), "hi\udcff\n", b"hi\xff\n")
    assert (done.returncode, done.start_s, done.end_s, done.duration_s) == (0, 0.0, 1.5, 1.5)
    assert requests[2]["timeout"] == 60_000_000_000
    assert requests[2]["env"]["X"] == "1"
    assert [(name, start, end) for name, _, start, end in world.notes.commands] == [
        ("up", -5, 0),
        ("run", 0, 1_500_000_001),
        ("down", 1_500_000_001, 99),
    ]
    assert world.notes.commands[0][1]["topology"] == scenario("pair").digest()
    assert world.notes.exits == [(1, 0, 1_500_000_000)]
    assert world.peer.closed == 1


def test_run_that_fails_shows_command_status_and_last_lines() -> None:
    many = "".join(f"line {number}\n" for number in range(20)).encode()
    with agent(answers(lambda _: exits(2 << 8, many, b"no such host\n"))) as (sock, _):
        node = World(sock).network["h2"]
        with pytest.raises(ProcessFailed) as caught:
            node.run(["ping", "a b"])
    shown = "\n".join(f"  line {number}" for number in range(5, 20))
    assert str(caught.value) == (
        f"h2: ping 'a b': exit status 2 after 1.5 s\nstdout (last 15 of 20 lines):\n{shown}\nstderr:\n  no such host"
    )


def test_run_killed_by_a_signal_names_it_and_check_false_lets_it_pass() -> None:
    with agent(answers(lambda _: exits(11))) as (sock, _):
        assert World(sock).network["h1"].run(["x"], check=False).returncode == -11
    with agent(answers(lambda _: exits(11))) as (sock, _):
        node = World(sock).network["h1"]
        with pytest.raises(ProcessFailed, match=r"^h1: x: killed by SIGSEGV after 1\.5 s\n\(it wrote nothing\)$"):
            node.run(["x"])


def test_run_past_its_time_is_process_timeout_with_what_it_wrote() -> None:
    with agent(answers(lambda _: exits(9, b"half", done=False))) as (sock, _):
        node = World(sock).network["h1"]
        with pytest.raises(ProcessTimeout) as caught:
            node.run(["sleep", "9"], timeout=1.5)
    assert str(caught.value) == "h1: sleep 9: killed after 1.5 s of the network's time\nstdout:\n  half"
    assert caught.value.completed is not None
    assert caught.value.completed.stdout == "half"


def test_run_unknown_program_is_file_not_found_and_recorded() -> None:
    with agent(answers(lambda _: [err("os", "execve", 2, 3)])) as (sock, _):
        world = World(sock)
        with pytest.raises(FileNotFoundError, match=re.escape("h1 has no program 'nope', or no folder '/': execve")):
            world.network["h1"].run(["nope"])
    assert world.notes.commands[-1][1]["error"] == "errno 2"
    assert world.notes.exits == [(1, 127 << 8, 3)]


def test_run_of_nothing_is_refused() -> None:
    with agent(answers(lambda _: [])) as (sock, _):
        node = World(sock).network["h1"]
        with pytest.raises(
            ConfigError, match=r"^h1: a command needs at least the name of a program, this one is empty$"
        ):
            node.run("")


def test_guest_that_dies_stays_dead() -> None:
    with agent(answers(lambda _: [])) as (sock, requests):
        world = World(sock)
        for _ in range(2):
            with pytest.raises(GuestCrashed, match=r"^the fake guest died$"):
                world.network["h1"].read("/etc/hostname")
        assert [request["op"] for request in requests] == ["hello", "up", "read"], "asked once only"
        world.network.down()
        assert world.peer.closed == 1
        assert str(world.network.died) == "the fake guest died"


def test_answers_are_recorded_with_their_questions() -> None:
    with agent(answers(lambda _: [ok(7, data=b"abc")])) as (sock, _):
        world = World(sock)
        assert world.network["h1"].read("/x") == b"abc"
        assert world.network.died is None
    fields = world.notes.commands[-1][1]
    assert fields["reply"] == {"data": f"3 bytes sha256:{hashlib.sha256(b'abc').hexdigest()}"}


def test_network_that_is_down_cannot_be_asked() -> None:
    with agent(answers(lambda _: [ok()])) as (sock, _):
        world = World(sock)
        world.network.down()
        world.network.down()
        with pytest.raises(InternalError, match=r"^the network is down; nothing can be asked of it any more$"):
            world.network["h1"].read("/x")


def test_network_dropped_without_down_ends_its_guest() -> None:
    with agent(answers(lambda _: [ok()])) as (sock, _):
        world = World(sock)
        peer = world.peer
        closed = threading.Event()
        close_peer = peer.close

        def close() -> None:
            close_peer()
            closed.set()

        peer.close = close  # type: ignore[method-assign]
        del world
        gc.collect()
        assert closed.wait(10)
        assert peer.closed == 1


@pytest.mark.parametrize("main", [True, False], ids=["main", "other"])
def test_network_dropped_in_a_thread_is_closed_in_another_one(*, main: bool) -> None:
    """The thread that happens to collect it may hold what closing has to wait for, such as a lock of the executors."""
    with agent(answers(lambda _: [ok()])) as (sock, _):
        world = World(sock)
        peer, worlds = world.peer, [world]
        collected, closed = threading.Event(), threading.Event()

        del world
        close_peer = peer.close

        def close_when_collected() -> None:
            if collected.wait(10):
                close_peer()
            closed.set()

        peer.close = close_when_collected  # type: ignore[method-assign]

        def collect() -> None:
            worlds.clear()
            gc.collect()
            collected.set()

        if main:
            collect()
        else:
            thread = threading.Thread(target=collect)
            thread.start()
            thread.join()
        assert closed.wait(10)
        assert peer.closed == 1


def test_network_that_lives_at_the_end_of_the_program_is_closed() -> None:
    code = """
import threading
from testbed.backends.forgotten import close_when_forgotten
class Holder: pass
class Session:
    def close(self): print("closed in", threading.current_thread().name, flush=True)
holder = Holder()
finalizer = close_when_forgotten(holder, Session())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "closed in forgotten-networks\n"


def test_network_interrupted_request_is_fetched_before_down() -> None:
    with agent(answers(lambda _: exits(0, b"late"))) as (sock, requests):
        world = World(sock)
        take = world.notes.process_output

        def interrupt(process: int, stream: int, data: bytes) -> None:
            take(process, stream, data)
            world.notes.process_output = take  # type: ignore[method-assign]
            raise KeyboardInterrupt

        world.notes.process_output = interrupt  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            world.network["h1"].run(["x"])
        world.network.down()
    assert requests[-1]["op"] == "down"
    assert world.notes.exits == [(1, 0, 1_500_000_000)]


def test_agent_of_another_version_is_refused() -> None:
    def old(_: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        return [ok(-1, **{**HELLO, "version": 7})]

    with (
        agent(old) as (sock, _),
        pytest.raises(InternalError, match=r"^the agent speaks version 7 of the protocol, not 1\n"),
    ):
        World(sock)


def test_unknown_event_is_our_fault() -> None:
    with agent(answers(lambda _: [{"event": "surprise"}, ok()])) as (sock, _):
        network = World(sock).network
        with pytest.raises(
            InternalError, match=r"^the agent sent an event that nobody knows: \{'event': 'surprise'\}$"
        ):
            network.sleep(1)


REFUSED: list[tuple[Callable[[Network], object], str]] = [
    (lambda network: network["h11"], "the network has no node 'h11'; did you mean 'h1'?"),
    (lambda network: network.link("h1-h3"), "the network has no link 'h1-h3'; did you mean 'h1-h2'?"),
    (lambda network: network.link("h1-h2").capture("h9"), "link h1-h2 has no end 'h9'; valid: h1, h2"),
    (lambda network: network["h1"].interface("eth1"), "h1 has no interface 'eth1'; did you mean 'eth0'?"),
    (lambda network: network["h1"].address(5), "h1 has no IPv5 address"),
    (
        lambda network: network["h1"].address(4, "h1-h3"),
        "h1 has no IPv4 address on link 'h1-h3'; did you mean 'h1-h2'?",
    ),
    (
        lambda network: network["h1"].inject("eth0", b"", direction="up"),
        "a frame goes 'to' a node or 'from' it, not 'up'",
    ),
]


def test_names_that_do_not_exist_are_refused_with_near_misses() -> None:
    with agent(answers(lambda _: [ok()])) as (sock, _):
        network = World(sock).network
        for ask, message in REFUSED:
            with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
                ask(network)
        assert network.link("h2-h1") is network.link("h1-h2")


def test_inject_counts_links_ends_and_nanoseconds() -> None:
    with agent(answers(lambda _: [ok(5)])) as (sock, requests):
        network = World(sock).network
        network["h2"].inject("eth0", b"abc", at=1.000000001)
        network["h1"].inject("h2", b"def", direction="from")
    assert [request["frames"] for request in requests[2:]] == [
        [[1_000_000_001, 0, 1, "to", b"abc"]],
        [[5, 0, 0, "from", b"def"]],
    ]


def test_link_set_sends_both_directions_and_keeps_the_rest() -> None:
    with agent(answers(lambda _: [ok()])) as (sock, requests):
        link = World(sock).network.link("h1-h2")
        link.set(delay_ms=1)
        link.set(toward="h2", loss_ratio=0.5)
        link.cut()
        link.restore()
    shapes = [[(shape["delay_ns"], shape["loss"]) for shape in request["shapes"] or []] for request in requests[2:]]
    assert shapes == [[(1_000_000, 0), (1_000_000, 0)], [(1_000_000, 0.5), (1_000_000, 0)], [], []]
    assert [request["up"] for request in requests[2:]] == [None, None, False, True]
    seeds = [shape["seed"] for shape in requests[2]["shapes"]]
    assert seeds[0] != seeds[1]
    assert seeds == [end["seed"] for end in requests[1]["plan"]["links"][0]["shapes"]]
