# SPDX-License-Identifier: MIT
"""A LibOS in a node, on every backend: calls, errors, ends of all kinds; with a small LibOS, right or broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.completion import LibOSBroken, LibOSCrashed, LibOSError, LibOSTimeout, Op, WorkloadFailed
from testbed.backends.workload import finish
from testbed.errors import ConfigError
from testbed.libos.foreign_flavor import Wrapper
from tests.libos.broken import small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network
    from testbed.libos.library import Library
    from tests.backends.conftest import Up

    Make = Callable[..., Library]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda variant=None: small(tmp_path, variant)


def connected(network: Network, library: Library) -> tuple[LibOS, int, LibOS, int]:
    """Give two LibOSes with a connection: client, its queue, server, its queue."""
    a, b = network["h1"].libos(library), network["h2"].libos(library)
    listener = b.socket()
    b.bind(listener, (b.address, 80))
    b.listen(listener)
    accept = b.accept(listener)
    queue = a.socket()
    a.wait(a.connect(queue, (b.address, 80)))
    done = b.wait(accept)
    assert done.address[0] == a.address
    return a, queue, b, done.accepted


def test_bytes_go_both_ways_and_an_end_is_seen(up: Up, make: Make) -> None:
    a, out, b, back = connected(up("pair"), make())
    for sender, from_qd, receiver, to_qd in ((a, out, b, back), (b, back, a, out)):
        push = sender.push(from_qd, b"hello")
        assert sender.wait(push).op is Op.PUSH
        assert receiver.wait(receiver.pop(to_qd)).data == b"hello"
    assert b.getpeername(back)[0] == a.address
    a.close(out)
    assert b.wait(b.pop(back)).data == b""
    a.stop()
    b.stop()


def test_errors_have_names_and_a_timeout_leaves_the_operation_alone(up: Up, make: Make) -> None:
    network = up("pair")
    a, out, b, back = connected(network, make())
    with pytest.raises(LibOSError, match=r"^h1: small: close\(qd=99\): EBADF \(Bad file descriptor\)$") as bad:
        a.close(99)
    assert bad.value.errno_name == "EBADF"
    pop = a.pop(out)
    before = network.now()
    with pytest.raises(LibOSError, match="ETIMEDOUT"):
        a.wait(pop, 0.5)
    assert 0.5 <= network.now() - before < 5
    assert a.pending == (pop,)
    b.wait(b.push(back, b"late"))
    assert a.wait(pop).data == b"late"
    assert not a.pending
    last = a.pop(out)
    a.close(out)
    with pytest.raises(LibOSError, match="ECANCELED"):
        a.wait(last)
    with pytest.raises(LibOSError, match="EINVAL"):
        a.socket(null=["qd"])


def test_wait_any_and_wait_next_n_say_which(up: Up, make: Make) -> None:
    a, out, b, back = connected(up("pair"), make())
    pops = [b.pop(back), b.pop(back)]
    a.wait(a.push(out, b"one"))
    first = b.wait_any(pops)
    assert (first.index, first.data) == (0, b"one")
    a.wait(a.push(out, b"two"))
    assert [done.data for done in b.wait_next_n(4)] == [b"two"]


def test_a_process_has_several_engines_and_a_node_several_processes(up: Up, make: Make) -> None:
    network = up("pair")
    library = make()
    node = network["h1"]
    with node.libos(library) as one, node.libos(library) as two:
        assert one.process.pid != two.process.pid
        thread = one.thread()
        assert thread.process.pid == one.process.pid
        queue = thread.socket(kind=2)
        thread.bind(queue, ("127.0.0.1", 5000))
        sender = two.socket(kind=2)
        two.wait(two.pushto(sender, b"datagram", ("127.0.0.1", 5000)))
        done = thread.wait(thread.pop(queue))
        assert (done.data, done.address[0]) == (b"datagram", "127.0.0.1")
        with pytest.raises(LibOSError, match="EBADF"):
            one.close(queue)
        fresh = one.thread(init=False)
        with pytest.raises(LibOSError, match="ENOSYS"):
            fresh.socket()


def test_a_wait_that_never_ends_lists_what_is_pending(up: Up, make: Make) -> None:
    a, out, *_ = connected(up("pair"), make("HANG"))
    a.limit_s = 1.0
    for _ in range(2):
        a.wait(a.push(out, b"x"))
    stuck = a.push(out, b"x")
    a.pop(out)
    with pytest.raises(LibOSTimeout) as late:
        a.wait(stuck)
    first, _, rest = str(late.value).partition("\n")
    assert first == f"h1: small-hang: wait(token={stuck.number}) did not return within 1 s of the network's time"
    assert rest.splitlines()[0] == "pending operations:"
    assert [line.split(" since ")[0] for line in rest.splitlines()[1:]] == [
        f"  #4 push on queue {out}",
        f"  #5 pop on queue {out}",
    ]
    with pytest.raises(ConfigError, match="was ended"):
        a.socket()


def test_a_workload_that_waits_in_vain_lists_what_is_pending(up: Up, make: Make) -> None:
    network = up("pair")
    library, h1, h2 = make("HANG"), network["h1"], network["h2"]
    given: dict[str, Any] = {"libos": library, "requests": 8}
    server = h2.workload("tcp-push-pop", server=f"{h2.address()}:80", timeout=60, **given)
    client = h1.workload("tcp-push-pop", client=f"{h2.address()}:80", timeout=1, **given)
    with pytest.raises(ExceptionGroup) as both:
        finish(server, client)
    closed, late = both.value.exceptions
    assert str(closed).startswith("h2: small-hang: tcp-push-pop failed (exit status 1): the peer closed after ")
    assert isinstance(late, LibOSTimeout)
    first, *rest = str(late).splitlines()
    assert first == "h1: small-hang: tcp-push-pop: demi_wait did not return within 1 s of the network's time"
    assert [line.partition(" since ")[0] for line in rest] == ["pending operations:", "  #4 push on queue 1"]
    (token,) = late.pending
    assert 1 <= network.now() - token.since_s < 30


def test_a_datagram_that_does_not_come_back_is_a_hang(up: Up, make: Make) -> None:
    network = up("pair")
    given: dict[str, Any] = {"libos": make(), "requests": 8, "timeout": 0.5, "retry": 0.2}
    client = network["h1"].workload("udp-ping-pong", client=f"{network['h2'].address()}:9", **given)
    with pytest.raises((LibOSTimeout, WorkloadFailed)) as late:
        client.result()
    assert "datagram 0 did not come back within 0.5 s" in str(late.value) or "Connection refused" in str(late.value)


@pytest.mark.guest
def test_a_library_that_computes_for_ever_is_given_up(up: Up, make: Make) -> None:
    a, out, *_ = connected(up("pair", stall_s=2.0), make("SPIN"))
    for _ in range(2):
        a.wait(a.push(out, b"x"))
    with pytest.raises(LibOSTimeout, match=r"(?s)^h1: small-spin: push\(qd=1, data=1 bytes.*pending operations:"):
        a.push(out, b"x")


def test_a_crash_names_signal_and_call(up: Up, make: Make) -> None:
    a, out, b, back = connected(up("pair"), make("CRASH"))
    for _ in range(2):
        a.wait(a.push(out, b"x"))
    with pytest.raises(LibOSCrashed, match=r"^h1: small-crash: killed by SIGSEGV in push\(qd=1, data=1 bytes"):
        a.push(out, b"x")
    assert b.wait(b.pop(back)).data == b"xx"  # the peer goes on


def test_a_killed_peer_is_no_hang(up: Up, make: Make) -> None:
    a, out, b, back = connected(up("pair"), make())
    pop = b.pop(back)
    a.wait(a.push(out, b"x"))
    assert b.wait(pop).data == b"x"
    a.kill()
    assert b.wait(b.pop(back)).data == b""


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("WROTE", r"^h1: small-wrote: socket\(.*\) failed with ENOTSUP and wrote to its results all the same$"),
        ("ERRNO", None),
    ],
)
def test_a_broken_error_is_found(up: Up, make: Make, variant: str, words: str | None) -> None:
    libos = up("pair")["h1"].libos(make(variant))
    if words is not None:
        with pytest.raises(LibOSBroken, match=words):
            libos.socket(domain=10)
        return
    with pytest.raises(LibOSError) as wrong:
        libos.close(99)
    assert wrong.value.errno_name == "EINVAL"


def test_a_result_of_another_token_is_found(up: Up, make: Make) -> None:
    libos = up("pair")["h1"].libos(make("TOKEN"))
    queue = libos.socket()
    with pytest.raises(LibOSBroken, match="a result for token 0x2, which is not pending"):
        libos.wait(libos.connect(queue, ("127.0.0.1", 9)), check=False)


@pytest.mark.parametrize("call", ["wait", "wait_any", "wait_next_n"])
def test_a_result_of_another_size_is_found(up: Up, make: Make, call: str) -> None:
    libos = up("pair")["h1"].libos(make("SIZE"))
    token = libos.connect(libos.socket(), ("127.0.0.1", 9))
    ask: dict[str, Callable[[], object]] = {
        "wait": lambda: libos.wait(token, check=False),
        "wait_any": lambda: libos.wait_any([token], check=False),
        "wait_next_n": lambda: libos.wait_next_n(4, check=False),
    }
    with pytest.raises(LibOSBroken, match=call + r"\(.*\) wrote behind the 64 bytes of demi_qresult_t"):
        ask[call]()


def test_a_workload_finds_a_result_of_another_size(up: Up, make: Make) -> None:
    node, library = up("pair")["h1"], make("SIZE")
    client = node.workload("tcp-ping-pong", libos=library, client="127.0.0.1:9", timeout=5)
    with pytest.raises(WorkloadFailed, match="demi_wait wrote behind the 64 bytes of demi_qresult_t"):
        finish(client)


def test_two_pops_served_in_the_wrong_order_are_seen(up: Up, make: Make) -> None:
    a, out, b, back = connected(up("pair"), make("ORDER"))
    pops = [b.pop(back), b.pop(back)]
    a.wait(a.push(out, b"one"))
    assert b.wait_any(pops).index == 1


def test_a_library_without_a_function_says_so(up: Up, make: Make) -> None:
    with pytest.raises(LibOSCrashed, match=r"(?s)exit status 1 before it was ready.*small-symbol.so lacks demi_pop"):
        up("pair")["h1"].libos(make("SYMBOL"))


def test_workloads_report_both_sides(up: Up, make: Make) -> None:
    network = up("pair")
    library, h1, h2 = make(), network["h1"], network["h2"]
    where = f"{h2.address()}:80"
    sides: dict[str, Any] = {"size": 1000, "clients": 4, "requests": 16, "mode": "concurrent"}
    server = h2.workload("tcp-echo", libos=library, server=where, **sides)
    client = h1.workload("tcp-echo", libos=library, client=where, threads=2, **sides)
    there, here = finish(server, client)
    assert (there["role"], there["received_bytes"], there["connections"]) == ("server", 64000, 4)
    assert (here["received"], here["latency"]["count"], here["error"]) == (64, 64, None)
    assert here.latency_ns("p50") <= here.latency_ns("p99") <= here.latency_ns("max") * 1.01
    if network.backend == "timetravel":
        assert here.latency_ns("max") < 1e9


def test_datagrams_at_a_rate_are_counted_by_who_takes_them(up: Up, make: Make) -> None:
    network = up("pair")
    library, h1, h2 = make(), network["h1"], network["h2"]
    taker = h2.workload("dump", libos=library, server=f"{h2.address()}:9", idle=0.5)
    maker = h1.workload("pktgen", libos=library, client=f"{h2.address()}:9", requests=50, size=100, rate=500)
    there, here = finish(taker, maker)
    assert (here["sent"], here["sent_bytes"]) == (there["received"], there["received_bytes"]) == (50, 5000)
    assert here["duration_ns"] >= 49 / 500 * 1e9


def test_connections_are_carried_on_to_another_address(up: Up, make: Make) -> None:
    network = up("pair")
    library, h1, h2 = make(), network["h1"], network["h2"]
    sides: dict[str, Any] = {"libos": library, "clients": 3, "requests": 8}
    server = h2.workload("tcp-echo", server=f"{h2.address()}:80", **sides)
    between = h1.workload("relay", server=f"{h1.address()}:81", to=f"{h2.address()}:80", libos=library, clients=3)
    client = h2.workload("tcp-echo", client=f"{h1.address()}:81", **sides)
    there, middle, here = finish(server, between, client)
    assert here["received_bytes"] == there["received_bytes"] == 3 * 8 * 64
    assert middle["connections"] in (3, 6)  # of both sides, or of one


@pytest.mark.guest
def test_a_workload_measures_the_link(up: Up, make: Make) -> None:
    network = up("pair", delay_ms=10)
    library, h1, h2 = make(), network["h1"], network["h2"]
    server = h2.workload("udp-ping-pong", libos=library, server=f"{h2.address()}:80", requests=10)
    client = h1.workload("udp-ping-pong", libos=library, client=f"{h2.address()}:80", requests=10)
    _, here = finish(server, client)
    assert 20e6 <= here.latency_ns("p50") < 21e6
    assert here["lost"] == 0


def test_a_lost_byte_fails_the_side_that_misses_it(up: Up, make: Make) -> None:
    network = up("pair")
    library, h1, h2 = make("BYTE"), network["h1"], network["h2"]
    server = h2.workload("tcp-push-pop", libos=library, server=f"{h2.address()}:80", requests=8)
    client = h1.workload("tcp-push-pop", libos=library, client=f"{h2.address()}:80", requests=8)
    with pytest.raises(
        (WorkloadFailed, ExceptionGroup), match=r"h2: small-byte: tcp-push-pop failed.*byte \d+ of stream 1"
    ):
        finish(server, client)


def test_a_stack_of_its_own_takes_the_interface(up: Up, tmp_path_factory: pytest.TempPathFactory) -> None:
    network = up("chain", n=3)
    node = network["h1"]
    library = small(tmp_path_factory.mktemp("own"), abilities=("tcp", "user-stack"))
    libos = node.libos(library)
    assert "inet " not in node.run("ip addr show dev eth0").stdout
    text = node.read("/libos/small/h1.1.yaml").decode()
    assert f'local_ipv4_addr: "{node.address()}/24"' in text
    assert f'local_link_addr: "{node.interfaces[0].mac}"' in text
    assert f'gateway_ipv4_addr: "{network["r1"].address()}"' in text
    assert libos.address == node.address()
    with pytest.raises(ConfigError, match="no interface 'eth7'"):
        node.libos(library, interface="eth7")


def test_a_wrapper_stands_before_every_program(up: Up, tmp_path: Path) -> None:
    script = tmp_path / "wrap.sh"
    script.write_text('#!/bin/sh\necho "wrapped $WORD"\nexec "$@"\n')
    found = Wrapper(words=("sh", "/libos/mine/wrap.sh"), env={"WORD": "twice"}, files={"/libos/mine/wrap.sh": script})
    node = up("pair", wrapper=found)["h1"]
    done = node.run(["echo", "mine"])
    assert done.stdout == "wrapped twice\nmine\n"
    assert done.argv == ("sh", "/libos/mine/wrap.sh", "echo", "mine")
    spawned = node.spawn("echo again", env={"WORD": "once more"})
    assert spawned.wait().stdout == "wrapped once more\nagain\n"
