# SPDX-License-Identifier: MIT
"""Filters of pcap-filter(7) (``tcp port 80``), run by libpcap itself over bytes: no packet socket, no other program."""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError, ConfigError

if TYPE_CHECKING:
    from testbed.harness.packets import Frame

_ETHERNET = 1  # DLT_EN10MB
_SNAPLEN = 1 << 18
_NETMASK_UNKNOWN = 0xFFFFFFFF


class _Program(ctypes.Structure):
    """``struct bpf_program`` of pcap/bpf.h."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


class _Header(ctypes.Structure):
    """``struct pcap_pkthdr`` of pcap/pcap.h."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("kept", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
    )


class Filter:
    """A compiled filter.

    Args:
        expression: As of pcap-filter(7).

    Raises:
        ConfigError: The expression is none; libpcap's words are in the message.
        CapabilityError: There is no libpcap.
    """

    def __init__(self, expression: str) -> None:
        self._pcap = _libpcap()
        self._program = _Program()
        handle = self._pcap.pcap_open_dead(_ETHERNET, _SNAPLEN)
        try:
            done = self._pcap.pcap_compile(
                handle, ctypes.byref(self._program), expression.encode(), 1, _NETMASK_UNKNOWN
            )
            if done != 0:
                words = self._pcap.pcap_geterr(handle).decode(errors="replace")
                raise ConfigError(
                    f"{expression!r} is no filter of pcap-filter(7): {words}",
                    hint="such as 'tcp port 80'; display filters (tcp.port == 80) need --decoder tshark",
                )
        finally:
            self._pcap.pcap_close(handle)

    def __call__(self, frame: Frame) -> bool:
        """Say whether a frame passes; what was not kept of it cannot match."""
        header = _Header(0, 0, len(frame.data), frame.length)
        passed = self._pcap.pcap_offline_filter(ctypes.byref(self._program), ctypes.byref(header), frame.data)
        return bool(passed)

    def __del__(self) -> None:
        if getattr(self, "_program", None) is not None:
            self._pcap.pcap_freecode(ctypes.byref(self._program))


@cache
def _libpcap() -> ctypes.CDLL:
    name = ctypes.util.find_library("pcap")
    if name is None:
        raise CapabilityError("filters need libpcap, which is not installed", hint="apt-get install tcpdump")
    library = ctypes.CDLL(name)
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_open_dead.argtypes = [ctypes.c_int, ctypes.c_int]
    library.pcap_compile.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(_Program),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    ]
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_geterr.argtypes = [ctypes.c_void_p]
    library.pcap_close.argtypes = [ctypes.c_void_p]
    library.pcap_freecode.argtypes = [ctypes.POINTER(_Program)]
    library.pcap_offline_filter.argtypes = [ctypes.POINTER(_Program), ctypes.POINTER(_Header), ctypes.c_char_p]
    return library
