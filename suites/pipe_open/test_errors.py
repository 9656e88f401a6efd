# SPDX-License-Identifier: MIT
"""What a pipe refuses, and what becomes of what is pending when it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.pdpix import Sides
from testbed.backends.completion import LibOSError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

pytestmark = [pytest.mark.flavors("pipe"), pytest.mark.scenario("single")]

PIPE_BYTES = 1 << 20  # more than a pipe holds


@pytest.fixture
def pair(network: Network, flavor: str) -> Iterator[tuple[LibOS, LibOS]]:
    """Give two engines in processes of their own; both end in order."""
    one, other = Sides(network, flavor).engines()
    yield one, other
    one.stop()
    other.stop()


@pytest.mark.parametrize(
    ("name", "errno"),
    [("", "EINVAL"), ("a/b", "EINVAL"), ("x" * 300, "ENAMETOOLONG")],
    ids=["empty", "with-a-slash", "too-long"],
)
def test_a_bad_name_is_refused(pair: tuple[LibOS, LibOS], name: str, errno: str) -> None:
    """Neither is such a pipe made nor opened."""
    one, _ = pair
    for call in (one.create_pipe, one.open_pipe):
        with pytest.raises(LibOSError) as refused:
            call(name)
        assert refused.value.errno_name == errno


def test_a_name_is_taken_once(pair: tuple[LibOS, LibOS]) -> None:
    """A second pipe of a name is refused to its maker and to others, as long as the first is open."""
    one, other = pair
    queue = one.create_pipe("name")
    for libos in pair:
        with pytest.raises(LibOSError) as refused:
            libos.create_pipe("name")
        assert refused.value.errno_name == "EEXIST"
    one.close(queue)
    other.close(other.create_pipe("name"))


def test_an_absent_pipe_is_refused(pair: tuple[LibOS, LibOS]) -> None:
    """A name that nobody made, and one whose pipe was closed, cannot be opened."""
    one, other = pair
    one.close(one.create_pipe("gone"))
    for name in ("never", "gone"):
        with pytest.raises(LibOSError) as refused:
            other.open_pipe(name)
        assert refused.value.errno_name == "ENOENT"


def test_a_pipe_has_two_ends(pair: tuple[LibOS, LibOS]) -> None:
    """A third end is refused, and the two go on."""
    one, other = pair
    made = one.create_pipe("two")
    opened = other.open_pipe("two")
    with pytest.raises(LibOSError) as refused:
        other.open_pipe("two")
    assert refused.value.errno_name == "EBUSY"
    one.wait(one.push(made, b"x"))
    assert other.wait(other.pop(opened)).data == b"x"


def test_a_closed_queue_cannot_be_used(pair: tuple[LibOS, LibOS]) -> None:
    """Closing twice, pushing and popping behind a close are refused."""
    one, _ = pair
    queue = one.create_pipe("once")
    one.close(queue)
    for call in (lambda: one.close(queue), lambda: one.push(queue, b"x"), lambda: one.pop(queue)):
        with pytest.raises(LibOSError) as refused:
            call()
        assert refused.value.errno_name == "EBADF"


def test_a_token_is_good_once(pair: tuple[LibOS, LibOS]) -> None:
    """A token that names nothing, and one whose result was taken, are refused."""
    one, other = pair
    made = one.create_pipe("token")
    other.open_pipe("token")
    push = one.push(made, b"x")
    one.wait(push)
    for token in (push, 0, 2**64 - 1):
        with pytest.raises(LibOSError) as refused:
            one.wait(token)
        assert refused.value.errno_name == "EINVAL"


def test_closing_cancels_what_is_pending(pair: tuple[LibOS, LibOS]) -> None:
    """A pop that waits for bytes and a push that waits for room end when their own queue is closed."""
    one, other = pair
    made = one.create_pipe("full")
    other.open_pipe("full")
    pushes = [one.push(made, bytes(PIPE_BYTES)) for _ in range(2)]
    pop = one.pop(made)
    for token in (pushes[1], pop):
        with pytest.raises(LibOSError) as late:
            one.wait(token, timeout=0.1)
        assert late.value.errno_name == "ETIMEDOUT"
    one.close(made)
    for token in (pushes[1], pop):
        done = one.wait(token, check=False)
        assert done.error is not None
        assert done.error.errno_name == "ECANCELED"


def test_the_other_end_closes(pair: tuple[LibOS, LibOS]) -> None:
    """A pop that waits for bytes sees the end, a push that waits for room the reset, once the other end closes."""
    one, other = pair
    made = one.create_pipe("end")
    opened = other.open_pipe("end")
    pushes = [one.push(made, bytes(PIPE_BYTES)) for _ in range(2)]
    pop = one.pop(made)
    other.close(opened)
    assert one.wait(pop).data == b""
    done = one.wait(pushes[1], check=False)
    assert done.error is not None
    assert done.error.errno_name == "ECONNRESET"
