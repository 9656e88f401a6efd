# SPDX-License-Identifier: MIT
"""What comes out of a LibOS: tokens, completed operations, and the errors that it gives or makes."""

from __future__ import annotations

import enum
import errno as errnos
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.errors import DeadlineError, GuestCrashed

if TYPE_CHECKING:
    from testbed.backends.sockaddr import Address


class Op(enum.IntEnum):
    """What an operation was (``demi_opcode`` of the public header)."""

    INVALID = 0
    PUSH = 1
    POP = 2
    ACCEPT = 3
    CONNECT = 4
    CLOSE = 5
    FAILED = 6


@dataclass(frozen=True)
class Token:
    """An operation that was started.

    Args:
        number: Which of this LibOS it is, from 1: what a record shows, as a library may draw its tokens by chance.
        value: The library's own token.
        op: What was started.
        qd: On which queue.
        since_s: When, in seconds of the network's clock.
    """

    number: int
    value: int = field(repr=False)
    op: Op
    qd: int
    since_s: float

    def __str__(self) -> str:
        return f"#{self.number} {self.op.name.lower()} on queue {self.qd} since {self.since_s:.6f} s"


class LibOSError(OSError):
    """A call, or the operation of a token, failed with an errno.

    Args:
        number: The errno.
        what: Node, flavor and call.
        completion: The operation that failed; None where it was a call.
    """

    def __init__(self, number: int, what: str, completion: Completion | None = None) -> None:
        self.errno_name = errno_name(number)
        self.completion = completion
        super().__init__(number, f"{what}: {self.errno_name} ({os.strerror(number)})")

    def __str__(self) -> str:
        return str(self.strerror)


class LibOSBroken(AssertionError):  # noqa: N818  # says what happened
    """A library broke the contract of its ABI: a result written in spite of an error, another token's completion."""


class WorkloadFailed(AssertionError):  # noqa: N818  # says what happened
    """A side of a workload failed; the message has its words."""


class LibOSCrashed(GuestCrashed):
    """The process that a library lives in ended before its time."""


class LibOSTimeout(DeadlineError, TimeoutError):  # noqa: N818  # says what happened
    """A call did not return in time, or never could; ``pending`` are the operations that had not completed."""

    def __init__(self, message: str, pending: tuple[Token, ...]) -> None:
        self.pending = pending
        lines = "".join(f"\n  {token}" for token in pending) or "\n  none"
        super().__init__(f"{message}\npending operations:{lines}")


@dataclass(frozen=True, kw_only=True)
class Completion:
    """An operation that completed.

    Args:
        token: The operation.
        op: What completed; ``FAILED`` where it failed.
        ret: The library's return value; of a failure, the errno.
        data: Of a pop: the bytes; empty when the peer closed.
        address: Of a pop or an accept: the peer's address, where there is one.
        accepted: Of an accept: the new queue; else -1.
        index: Of ``wait_any``: which of its tokens.
        where: Node and flavor, for messages.
    """

    token: Token
    op: Op
    ret: int = 0
    data: bytes = b""
    address: Address = None
    accepted: int = -1
    index: int = 0
    where: str = ""

    @property
    def qd(self) -> int:
        """Its queue."""
        return self.token.qd

    @property
    def error(self) -> LibOSError | None:
        """Why it failed; None where it did not."""
        return LibOSError(self.ret, f"{self.where}: {self.token}", self) if self.op is Op.FAILED else None

    def check(self) -> Completion:
        """Give the completion itself when it did not fail.

        Raises:
            LibOSError: It did.
        """
        if self.error is not None:
            raise self.error
        return self


def errno_name(number: int) -> str:
    """Give the name of an errno: ``ECONNRESET``; of a number that has none, the number."""
    return errnos.errorcode.get(number, f"errno {number}")
