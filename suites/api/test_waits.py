# SPDX-License-Identifier: MIT
"""Waiting: how long it takes, what it gives, in which order, and what becomes of operations whose queue is closed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from suites.common.queues import LIMIT_S, outcome, pattern
from testbed.backends.completion import Op

if TYPE_CHECKING:
    from suites.common.queues import Engines, Stream
    from testbed.backends.network import Network

pytestmark = [pytest.mark.scenario("pair"), pytest.mark.flavors()]

CLOSE_S = 0.01  # a tick of the kernel (CONFIG_HZ=100)
BIG = 4 << 20  # more than any buffer between two queues holds


def test_time_out_is_exact_and_the_operation_goes_on(network: Network, stream: Stream) -> None:
    libos = stream.client
    pop = libos.pop(stream.out)
    for length_s in (0.0, 0.25, 1.5):
        start_s = network.now()
        assert outcome(partial(libos.wait, pop, length_s)) == "ETIMEDOUT"
        took_s = network.now() - start_s
        assert took_s >= length_s
        assert took_s < length_s + CLOSE_S or not network.virtual_time
    stream.server.wait(stream.server.push(stream.back, b"late"), LIMIT_S)
    assert libos.wait(pop, LIMIT_S).data == b"late"


def test_what_is_done_never_times_out(network: Network, stream: Stream) -> None:
    libos = stream.client
    pops = [libos.pop(stream.out) for _ in range(3)]
    for number in range(3):
        stream.server.wait(stream.server.push(stream.back, bytes([number])), LIMIT_S)
        network.sleep(0.1)  # so that each comes by itself
        assert libos.wait(pops[number], 0.0 if number else LIMIT_S).data == bytes([number])


def test_a_result_is_given_once(stream: Stream) -> None:
    libos = stream.client
    push = libos.push(stream.out, b"x")
    libos.wait(push, LIMIT_S)
    assert outcome(lambda: libos.wait(push.value, 0.0)) == "EINVAL"
    assert outcome(lambda: libos.wait_any([push.value], 0.0)) == "EINVAL"
    assert outcome(lambda: libos.wait_next_n(1, 0.0)) == "ETIMEDOUT"


def test_wait_any_gives_the_one_that_is_done(stream: Stream) -> None:
    libos = stream.client
    pop, push = libos.pop(stream.out), libos.push(stream.out, b"there")
    done = libos.wait_any([pop, push], LIMIT_S)
    assert (done.index, done.op, done.ret) == (1, Op.PUSH, 0)
    stream.server.wait(stream.server.push(stream.back, b"back"), LIMIT_S)
    done = libos.wait_any([pop], LIMIT_S)
    assert (done.index, done.op, done.data) == (0, Op.POP, b"back")


def test_wait_next_n_gives_each_completion_once(stream: Stream) -> None:
    libos = stream.client
    pushes = [libos.push(stream.out, bytes([number])) for number in range(5)]
    done = libos.wait_next_n(2, LIMIT_S)
    assert len(done) <= 2
    while len(done) < len(pushes):
        done += libos.wait_next_n(8, LIMIT_S)
    assert [one.token for one in done] == pushes
    assert outcome(lambda: libos.wait_next_n(1, 0.0)) == "ETIMEDOUT"
    assert stream.take(5) == bytes(range(5))


def test_operations_of_a_queue_complete_in_order(stream: Stream) -> None:
    libos = stream.client
    pops = [libos.pop(stream.out) for _ in range(3)]
    for number in range(3):
        stream.server.wait(stream.server.push(stream.back, bytes([number]) * 8), LIMIT_S)
        done = libos.wait_any(pops, LIMIT_S)
        assert (done.token, done.data) == (pops[number], bytes([number]) * 8)
        pops[number] = libos.pop(stream.out)  # the youngest now, and named first: it must not overtake


@pytest.mark.parametrize("operation", ["pop", "push"])
def test_close_cancels_what_is_pending(stream: Stream, operation: str) -> None:
    libos = stream.client
    if operation == "pop":
        tokens = [libos.pop(stream.out), libos.pop(stream.out)]
    else:
        tokens = [libos.push(stream.out, pattern(BIG)), libos.push(stream.out, b"x")]
    assert outcome(lambda: libos.wait(tokens[0], 0.5)) == "ETIMEDOUT"
    libos.close(stream.out)
    for token in tokens:
        done = libos.wait(token, 0.0, check=False)
        assert (done.op, done.error and done.error.errno_name) == (Op.FAILED, "ECANCELED")
    assert outcome(lambda: libos.wait(tokens[0].value, 0.0)) == "EINVAL"


def test_close_cancels_accept_and_connect(engines: Engines) -> None:
    if engines.has_pipes:
        pytest.skip(f"{engines.client.flavor} has no sockets")
    libos = engines.client
    listener = libos.socket()
    libos.bind(listener, (libos.address, 5000))
    libos.listen(listener)
    tokens = [libos.accept(listener), libos.accept(listener)]
    queues = [listener]
    if "loopback" not in libos.abilities:
        queues.append(libos.socket())
        tokens.append(libos.connect(queues[-1], ("10.0.1.99", 80)))
    assert outcome(lambda: libos.wait_any(tokens, 0.1)) == "ETIMEDOUT"
    for queue in queues:
        libos.close(queue)
    assert [outcome(partial(libos.wait, token, 0.0)) for token in tokens] == ["ECANCELED"] * len(tokens)


def test_the_end_of_the_stream_comes_after_the_last_byte(stream: Stream) -> None:
    libos = stream.client
    libos.wait(libos.push(stream.out, b"last words"), LIMIT_S)
    libos.close(stream.out)
    assert stream.take(100) == b"last words"
    again = stream.server.wait(stream.server.pop(stream.back), LIMIT_S)
    assert (again.op, again.data) == (Op.POP, b"")
