# SPDX-License-Identifier: MIT
"""Every function with arguments that are wrong in one way: the exact errno, and results that stay untouched.

That nothing is written by a call that fails is seen by the host program at each call (``LibOSBroken``).
"""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import TYPE_CHECKING

import pytest

from suites.common.queues import outcome
from testbed.backends import sockaddr
from testbed.backends.completion import LibOSError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from suites.common.queues import Stream
    from testbed.backends.libos import LibOS

pytestmark = [pytest.mark.scenario("pair")]
sockets = pytest.mark.flavors("tcp")
pipes = pytest.mark.flavors("pipe")

NO_QUEUES = (-1, 0, 99, 2**31 - 1, -(2**31))
LINGER = struct.pack("ii", 1, 5)
ADDRESSES: dict[str, tuple[bytes, str]] = {
    "short": (b"\2\0\0\x50\x0a\0\1", "EINVAL"),
    "empty": (b"", "EINVAL"),
    "of another family": (socket.AF_INET6.to_bytes(2, "little") + bytes(26), "ENOTSUP"),
    "of no family": (bytes(16), "ENOTSUP"),
}


def told(calls: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """Make each call; give the name of its errno."""
    return {name: outcome(call) for name, call in calls.items()}


def all_are(errno: str, calls: Mapping[str, Callable[[], object]]) -> None:
    """Check that each call fails with this errno."""
    assert told(calls) == dict.fromkeys(calls, errno)


def raw(libos: LibOS, port: int) -> bytes:
    """Give a port of the LibOS as the bytes of a ``struct sockaddr_in``."""
    return sockaddr.pack(socket.AF_INET, (libos.address, port), lambda _: 0)


@pytest.mark.flavors
def test_init_is_once_for_a_thread(libos: LibOS) -> None:
    assert told({"again": libos.init, "without arguments": lambda: libos.init(null=["args"])}) == {
        "again": "EEXIST",
        "without arguments": "EEXIST",
    }


@pytest.mark.flavors
def test_nothing_goes_before_init(libos: LibOS) -> None:
    early = libos.thread(init=False)
    there = ("10.0.1.1", 80)
    all_are(
        "ENOSYS",
        {
            "socket": early.socket,
            "bind": lambda: early.bind(1, there),
            "listen": lambda: early.listen(1),
            "accept": lambda: early.accept(1),
            "connect": lambda: early.connect(1, there),
            "close": lambda: early.close(1),
            "push": lambda: early.push(1, b"x", source="heap"),
            "pushto": lambda: early.pushto(1, b"x", there, source="heap"),
            "pop": lambda: early.pop(1),
            "setsockopt": lambda: early.setsockopt(1, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            "getsockopt": lambda: early.getsockopt(1, socket.IPPROTO_TCP, socket.TCP_NODELAY),
            "getpeername": lambda: early.getpeername(1),
            "wait": lambda: early.wait(1, 0.0),
            "wait_any": lambda: early.wait_any([1], 0.0),
            "wait_next_n": lambda: early.wait_next_n(1, 0.0),
            "create_pipe": lambda: early.create_pipe("early"),
            "open_pipe": lambda: early.open_pipe("early"),
        },
    )
    with pytest.raises(LibOSError):
        early.sgaalloc(64)
    assert outcome(lambda: early.init(null=["args"])) == "EINVAL"


@sockets
def test_socket(libos: LibOS) -> None:
    all_are(
        "ENOTSUP",
        {
            "domain INET6": lambda: libos.socket(domain=socket.AF_INET6),
            "domain UNIX": lambda: libos.socket(domain=socket.AF_UNIX),
            "domain 0": lambda: libos.socket(domain=0),
            "domain -1": lambda: libos.socket(domain=-1),
            "type RAW": lambda: libos.socket(kind=socket.SOCK_RAW),
            "type SEQPACKET": lambda: libos.socket(kind=socket.SOCK_SEQPACKET),
            "type 0": lambda: libos.socket(kind=0),
            "type -1": lambda: libos.socket(kind=-1),
            "UDP over STREAM": lambda: libos.socket(protocol=socket.IPPROTO_UDP),
            "TCP over DGRAM": lambda: libos.socket(kind=socket.SOCK_DGRAM, protocol=socket.IPPROTO_TCP),
            "protocol -1": lambda: libos.socket(protocol=-1),
        },
    )
    assert outcome(lambda: libos.socket(null=["qd"])) == "EINVAL"
    assert libos.socket(protocol=socket.IPPROTO_TCP) > 0
    if "udp" in libos.abilities:
        assert libos.socket(kind=socket.SOCK_DGRAM, protocol=socket.IPPROTO_UDP) > 0


@sockets
def test_bind(libos: LibOS) -> None:
    qd = libos.socket()
    assert told({name: partial(libos.bind, qd, address) for name, (address, _) in ADDRESSES.items()}) == {
        name: errno for name, (_, errno) in ADDRESSES.items()
    }
    all_are(
        "EADDRNOTAVAIL",
        {host: partial(libos.bind, qd, (host, 5000)) for host in ("10.0.1.77", "192.0.2.1", "8.8.8.8")},
    )
    assert outcome(lambda: libos.bind(qd, (libos.address, 5000), null=["address"])) == "EINVAL"
    all_are("EBADF", {str(bad): partial(libos.bind, bad, (libos.address, 5000)) for bad in NO_QUEUES})
    libos.bind(qd, raw(libos, 5000) + bytes(12))  # longer than an address of IPv4 is no fault


@sockets
def test_listen(libos: LibOS) -> None:
    qd = libos.socket()
    libos.bind(qd, (libos.address, 5000))
    assert outcome(lambda: libos.listen(qd, -1)) == "EINVAL"
    all_are("EBADF", {str(bad): partial(libos.listen, bad) for bad in NO_QUEUES})
    libos.listen(qd, 0)


@sockets
def test_accept(libos: LibOS) -> None:
    qd = libos.socket()
    libos.bind(qd, (libos.address, 5000))
    libos.listen(qd)
    assert outcome(lambda: libos.accept(qd, null=["token"])) == "EINVAL"
    all_are("EBADF", {str(bad): partial(libos.accept, bad) for bad in NO_QUEUES})
    assert outcome(lambda: libos.wait_next_n(1, 0.0)) == "ETIMEDOUT"  # the call that failed started nothing


@sockets
def test_connect(libos: LibOS) -> None:
    qd = libos.socket()
    assert told({name: partial(libos.connect, qd, address) for name, (address, _) in ADDRESSES.items()}) == {
        name: errno for name, (_, errno) in ADDRESSES.items()
    }
    all_are(
        "EINVAL",
        {null: partial(libos.connect, qd, (libos.address, 5000), null=[null]) for null in ("token", "address")},
    )
    all_are("EBADF", {str(bad): partial(libos.connect, bad, (libos.address, 5000)) for bad in NO_QUEUES})


@pytest.mark.flavors
def test_close(stream: Stream) -> None:
    libos = stream.client
    all_are("EBADF", {str(bad): partial(libos.close, bad) for bad in NO_QUEUES})
    libos.close(stream.out)
    assert outcome(lambda: libos.close(stream.out)) == "EBADF"


@pytest.mark.flavors
def test_push(stream: Stream) -> None:
    libos, qd = stream.client, stream.out
    sga, _ = libos.sgaalloc(64)
    all_are(
        "EINVAL",
        {
            "no token": lambda: libos.push(qd, b"x", null=["token"]),
            "no array": lambda: libos.push(qd, b"x", null=["sga"]),
            "no memory": lambda: libos.push(qd, b"x", source="heap", null=["segment"]),
            "no bytes": lambda: libos.push(qd, b"", source="heap"),
            "no segments": lambda: libos.push(qd, b"x", sga=sga, count=0),
            "two segments": lambda: libos.push(qd, b"x", sga=sga, count=2),
            "many segments": lambda: libos.push(qd, b"x", sga=sga, count=2**32 - 1),
        },
    )
    all_are("EBADF", {str(bad): partial(libos.push, bad, b"x") for bad in NO_QUEUES})
    assert stream.send(b"all the same") == b"all the same"  # nothing of the above was sent


@sockets
def test_pushto(libos: LibOS) -> None:
    if "udp" not in libos.abilities:
        pytest.skip(f"{libos.flavor} has no udp")
    qd = libos.socket(kind=socket.SOCK_DGRAM)
    there = ("10.0.1.2", 5000)
    assert told({name: partial(libos.pushto, qd, b"x", address) for name, (address, _) in ADDRESSES.items()}) == {
        name: errno for name, (_, errno) in ADDRESSES.items()
    }
    all_are(
        "EINVAL",
        {null: partial(libos.pushto, qd, b"x", there, null=[null]) for null in ("token", "sga", "address")}
        | {"no bytes": lambda: libos.pushto(qd, b"", there, source="heap")},
    )
    all_are("EBADF", {str(bad): partial(libos.pushto, bad, b"x", there) for bad in NO_QUEUES})


@pytest.mark.flavors
def test_pop(stream: Stream) -> None:
    libos = stream.client
    assert outcome(lambda: libos.pop(stream.out, null=["token"])) == "EINVAL"
    all_are("EBADF", {str(bad): partial(libos.pop, bad) for bad in NO_QUEUES})


@sockets
def test_setsockopt(stream: Stream) -> None:
    libos, qd = stream.client, stream.out
    level, tcp = socket.SOL_SOCKET, socket.IPPROTO_TCP
    all_are(
        "ENOPROTOOPT",
        {
            "SO_REUSEADDR": lambda: libos.setsockopt(qd, level, socket.SO_REUSEADDR, 1),
            "SO_RCVBUF": lambda: libos.setsockopt(qd, level, socket.SO_RCVBUF, 65536),
            "TCP_CORK": lambda: libos.setsockopt(qd, tcp, socket.TCP_CORK, 1),
            "of IP": lambda: libos.setsockopt(qd, socket.IPPROTO_IP, socket.IP_TTL, 1),
            "TCP_NODELAY of SOL_SOCKET": lambda: libos.setsockopt(qd, level, 10**6, 1),
            "level -1": lambda: libos.setsockopt(qd, -1, -1, 1),
        },
    )
    all_are(
        "EINVAL",
        {
            "short linger": lambda: libos.setsockopt(qd, level, socket.SO_LINGER, LINGER[:4]),
            "negative linger": lambda: libos.setsockopt(qd, level, socket.SO_LINGER, struct.pack("ii", 1, -1)),
            "no linger": lambda: libos.setsockopt(qd, level, socket.SO_LINGER, LINGER, null=["value"]),
            "short keepalive": lambda: libos.setsockopt(qd, level, socket.SO_KEEPALIVE, b"\1"),
            "short nodelay": lambda: libos.setsockopt(qd, tcp, socket.TCP_NODELAY, b"\1\0\0"),
            "no nodelay": lambda: libos.setsockopt(qd, tcp, socket.TCP_NODELAY, 1, null=["value"]),
        },
    )
    all_are("EBADF", {str(bad): partial(libos.setsockopt, bad, tcp, socket.TCP_NODELAY, 1) for bad in NO_QUEUES})


@sockets
def test_getsockopt(stream: Stream) -> None:
    libos, qd = stream.client, stream.out
    level, tcp = socket.SOL_SOCKET, socket.IPPROTO_TCP
    all_are(
        "ENOPROTOOPT",
        {
            "SO_ERROR": lambda: libos.getsockopt(qd, level, socket.SO_ERROR),
            "TCP_INFO": lambda: libos.getsockopt(qd, tcp, socket.TCP_INFO, 104),
            "level -1": lambda: libos.getsockopt(qd, -1, -1),
        },
    )
    all_are(
        "EINVAL",
        {
            "short linger": lambda: libos.getsockopt(qd, level, socket.SO_LINGER, 7),
            "short keepalive": lambda: libos.getsockopt(qd, level, socket.SO_KEEPALIVE, 3),
            "empty nodelay": lambda: libos.getsockopt(qd, tcp, socket.TCP_NODELAY, 0),
            "no value": lambda: libos.getsockopt(qd, tcp, socket.TCP_NODELAY, null=["value"]),
            "no length": lambda: libos.getsockopt(qd, tcp, socket.TCP_NODELAY, null=["length"]),
        },
    )
    all_are("EBADF", {str(bad): partial(libos.getsockopt, bad, tcp, socket.TCP_NODELAY) for bad in NO_QUEUES})


@sockets
def test_getpeername(stream: Stream) -> None:
    libos, qd = stream.client, stream.out
    all_are(
        "EINVAL",
        {
            "short": lambda: libos.getpeername(qd, 15),
            "empty": lambda: libos.getpeername(qd, 0),
            "no address": lambda: libos.getpeername(qd, null=["address"]),
            "no length": lambda: libos.getpeername(qd, null=["length"]),
        },
    )
    all_are("EBADF", {str(bad): partial(libos.getpeername, bad) for bad in NO_QUEUES})
    assert libos.getpeername(qd, 128) == (stream.server.address, 7000)


@pytest.mark.flavors
def test_sgaalloc_and_sgafree(libos: LibOS) -> None:
    for size in (0, 2**32, 2**63, 2**64 - 1):
        with pytest.raises(LibOSError):
            libos.sgaalloc(size)
    sga, length = libos.sgaalloc(64)
    assert length == 64
    assert outcome(lambda: libos.sgafree(sga, null=["sga"])) == "EINVAL"
    libos.sgafree(sga)


@pytest.mark.flavors
def test_wait(stream: Stream) -> None:
    libos = stream.client
    pop = libos.pop(stream.out)
    all_are("EINVAL", {f"{token:#x}": partial(libos.wait, token, 0.0) for token in (0, 1 << 60, 2**64 - 1)})
    bad_times = {"s": (-1, 0), "ns": (0, -1), "1 s of ns": (0, 10**9), "both": (-1, -1)}
    all_are("EINVAL", {name: partial(libos.wait, pop, time) for name, time in bad_times.items()})
    assert outcome(lambda: libos.wait(pop, 0.0, null=["result"])) == "EINVAL"
    assert outcome(lambda: libos.wait(pop, 0.0)) == "ETIMEDOUT"  # and it is still good


@pytest.mark.flavors
def test_wait_any(stream: Stream) -> None:
    libos = stream.client
    pop = libos.pop(stream.out)
    all_are(
        "EINVAL",
        {
            "no result": lambda: libos.wait_any([pop], 0.0, null=["result"]),
            "no index": lambda: libos.wait_any([pop], 0.0, null=["index"]),
            "no tokens": lambda: libos.wait_any([pop], 0.0, null=["tokens"]),
            "count 0": lambda: libos.wait_any([pop], 0.0, count=0),
            "count -1": lambda: libos.wait_any([pop], 0.0, count=-1),
            "unknown": lambda: libos.wait_any([1 << 60], 0.0),
            "one unknown": lambda: libos.wait_any([pop, 1 << 60], 0.0),
            "s": lambda: libos.wait_any([pop], (-1, 0)),
            "ns": lambda: libos.wait_any([pop], (0, 10**9)),
        },
    )
    assert outcome(lambda: libos.wait_any([pop], 0.0)) == "ETIMEDOUT"


@pytest.mark.flavors
def test_wait_next_n(stream: Stream) -> None:
    libos = stream.client
    assert outcome(lambda: libos.wait_next_n(1)) == "EINVAL"  # nothing was started: it would be for ever
    libos.pop(stream.out)
    all_are(
        "EINVAL",
        {
            "no results": lambda: libos.wait_next_n(1, 0.0, null=["results"]),
            "no count": lambda: libos.wait_next_n(1, 0.0, null=["count"]),
            "0": lambda: libos.wait_next_n(0, 0.0),
            "-1": lambda: libos.wait_next_n(-1, 0.0),
            "s": lambda: libos.wait_next_n(1, (-1, 0)),
            "ns": lambda: libos.wait_next_n(1, (0, 10**9)),
        },
    )
    assert outcome(lambda: libos.wait_next_n(1, 0.0)) == "ETIMEDOUT"


@pipes
def test_pipes(libos: LibOS) -> None:
    for call in (libos.create_pipe, libos.open_pipe):
        all_are(
            "EINVAL",
            {
                "no queue": partial(call, "name", null=["qd"]),
                "no name": partial(call, "name", null=["name"]),
                "empty": partial(call, ""),
                "no text": partial(call, b"\xff\xfe"),
            },
        )
    assert outcome(lambda: libos.open_pipe("absent")) == "ENOENT"


@pytest.mark.flavors
def test_what_a_flavor_lacks_is_not_supported(libos: LibOS) -> None:
    lacking = {"create_pipe": lambda: libos.create_pipe("a"), "open_pipe": lambda: libos.open_pipe("a")}
    if "pipe" in libos.abilities:
        lacking = {}
    if "tcp" not in libos.abilities:
        lacking |= {"stream": libos.socket}
    if "udp" not in libos.abilities:
        lacking |= {"datagrams": lambda: libos.socket(kind=socket.SOCK_DGRAM)}
    assert lacking
    all_are("ENOTSUP", lacking)
