# SPDX-License-Identifier: MIT
"""Times of one machine's agent on the clock of the whole network."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from testbed.backends.base import Recorder

_HEAD = struct.Struct("<II")
_TIME = struct.Struct("<II")
_PACKET = 6  # enhanced packet block: draft-ietf-opsawg-pcapng, section 4.3
HIDDEN = 1 << 40
"""Numbers of processes from here on are our own, and in no record."""


def shift(data: bytes, by_ns: int) -> bytes:
    """Move the timestamps of whole pcapng blocks.

    Args:
        data: Blocks as an agent sends them: whole ones, little-endian, in nanoseconds.
        by_ns: Nanoseconds to add.
    """
    moved = bytearray(data)
    offset = 0
    while offset + 20 <= len(moved):
        kind, size = _HEAD.unpack_from(moved, offset)
        if kind == _PACKET:
            high, low = _TIME.unpack_from(moved, offset + 12)
            time = max(((high << 32) | low) + by_ns, 0)
            _TIME.pack_into(moved, offset + 12, time >> 32, time & 0xFFFFFFFF)
        offset += max(size, 12)
    return bytes(moved)


class MachineRecorder:
    """Takes what the agent of one machine tells, and hands it on with times of the network's clock.

    Args:
        inner: Who writes it down.
        machine: Name of the machine.
        lock: Of the network: its machines talk at the same time, and a recorder takes one thing after the other.
    """

    def __init__(self, inner: Recorder, machine: str, lock: threading.Lock) -> None:
        self._lock = lock
        self._inner = inner
        self._machine = machine
        self.offset_ns = 0
        self.console_path = None

    def command(self, name: str, fields: object, start_ns: int, end_ns: int) -> None:
        """Drop it: the fleet records commands."""

    def process_started(self, process: int, node: str, **_: object) -> None:
        """Drop it: the fleet records starts."""

    def process_output(self, process: int, stream: int, data: bytes) -> None:
        """Hand it on."""
        if process < HIDDEN:
            with self._lock:
                self._inner.process_output(process, stream, data)

    def process_exited(self, process: int, status: int, end_ns: int) -> None:
        """Hand it on."""
        if process < HIDDEN:
            with self._lock:
                self._inner.process_exited(process, status, end_ns + self.offset_ns)

    def capture(self, link: str, node: str, data: bytes) -> None:
        """Hand on what the machine's own end saw."""
        if node == self._machine:
            with self._lock:
                self._inner.capture(link, node, shift(data, self.offset_ns))

    def capture_path(self, link: str, node: str) -> object:
        """Hand it on."""
        return self._inner.capture_path(link, node)

    def drops(self, count: int) -> None:
        """Hand it on."""
        with self._lock:
            self._inner.drops(count)

    def kernel_log(self, text: str, taint: int) -> None:
        """Hand on what a kernel had to say, with the machine's name; its taint is that of its whole life."""
        if text:
            lines = "".join(f"{line} [{self._machine}]\n" for line in text.splitlines())
            with self._lock:
                self._inner.kernel_log(lines, 0)
        del taint
