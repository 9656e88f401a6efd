# SPDX-License-Identifier: MIT
"""Networks that nobody holds any more: closed in a thread that does nothing else.

The garbage collector finds them in whatever thread it happens to run in, in the middle of whatever that thread does.
To close a session is to wait for other threads and programs, and those may wait for just what this thread holds: a
lock of the standard library's executors, or the loop of the ssh connections. So the collector only hands the session
over, by the one queue that is made for this (:class:`queue.SimpleQueue`, whose ``put`` is reentrant).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.session import Session

_LAST_S = 30.0  # wall-clock, for those that are left at the end of the program
_forgotten: SimpleQueue[Session | None] = SimpleQueue()
_held: dict[int, Session] = {}


def close_when_forgotten(holder: object, session: Session) -> weakref.finalize[[int], object]:
    """Have a session closed when its holder is collected, or at the end of the program.

    Args:
        holder: The network.
        session: Its session.

    Returns:
        What :meth:`~weakref.finalize.detach` takes back.
    """
    _start()
    _held[id(session)] = session
    finalizer = weakref.finalize(holder, _hand_over, id(session))
    finalizer.atexit = False  # _close_all does that
    return finalizer


def keep(finalizer: weakref.finalize[[int], object]) -> None:
    """Forget about a session that is closed by somebody else."""
    if (alive := finalizer.detach()) is not None:
        _held.pop(alive[2][0], None)


def _hand_over(number: int) -> None:
    session = _held.pop(number, None)
    if session is not None:
        _forgotten.put(session)


def _close_for_ever() -> None:
    while (session := _forgotten.get()) is not None:
        with contextlib.suppress(Exception):  # nobody is there to be told
            session.close()


def _close_all(thread: threading.Thread) -> None:
    """Close those that still live when the program ends."""
    for number in list(_held):
        _hand_over(number)
    _forgotten.put(None)
    thread.join(_LAST_S)


@functools.cache
def _start() -> None:
    thread = threading.Thread(target=_close_for_ever, name="forgotten-networks", daemon=True)
    thread.start()
    atexit.register(_close_all, thread)
