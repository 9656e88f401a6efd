# SPDX-License-Identifier: MIT
"""Raw socket addresses: bytes as the kernel's headers lay them out, and back."""

from __future__ import annotations

import socket

import pytest

from testbed.backends.sockaddr import Address, pack, unpack
from testbed.errors import InternalError

GOLDEN: list[tuple[int, Address, str, Address]] = [
    (socket.AF_INET, ("10.0.1.2", 80), "0200 0050 0a000102 0000000000000000", ("10.0.1.2", 80)),
    (socket.AF_INET, ("", 0), "0200 0000 00000000 0000000000000000", ("0.0.0.0", 0)),
    (
        socket.AF_INET6,
        ("fd00::1", 65535),
        "0a00 ffff 00000000 fd000000000000000000000000000001 00000000",
        ("fd00::1", 65535, 0, 0),
    ),
    (
        socket.AF_INET6,
        ("fe80::1", 1, 5, 2),
        "0a00 0001 00000005 fe800000000000000000000000000001 02000000",
        ("fe80::1", 1, 5, 2),
    ),
    (socket.AF_NETLINK, (0, 0x40), "1000 0000 00000000 40000000", (0, 0x40)),
    (socket.AF_UNIX, "/run/x", "0100 2f72756e2f7800", "/run/x"),
    (socket.AF_UNIX, b"\0abstract", "0100 006162737472616374", b"\0abstract"),
    (
        socket.AF_PACKET,
        ("eth0", 0x0800),
        "1100 0800 07000000 0000 00 00 0000000000000000",
        (7, 0x0800, 0, 0, b""),
    ),
    (
        socket.AF_PACKET,
        (3, 3, 4, 1, b"\x02\0\0\0\0\x01"),
        "1100 0003 03000000 0100 04 06 0200000000010000",
        (3, 3, 4, 1, b"\x02\0\0\0\0\x01"),
    ),
]


@pytest.mark.parametrize(("family", "address", "raw", "back"), GOLDEN)
def test_address_to_bytes_and_back(family: int, address: Address, raw: str, back: Address) -> None:
    packed = pack(family, address, {"eth0": 7}.__getitem__)
    assert packed == bytes.fromhex(raw)
    assert unpack(packed) == back


def test_no_address_is_none() -> None:
    assert unpack(b"") is None


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "10.0.0.1"), (socket.AF_INET, ("10.0.0.1", "80")), (socket.AF_NETLINK, (1,)), (99, ("x", 1))],
)
def test_address_of_another_form_is_type_error(family: int, address: Address) -> None:
    with pytest.raises(TypeError, match=rf"^.* is no address of family {family}$"):
        pack(family, address, len)


def test_host_name_is_os_error() -> None:
    with pytest.raises(OSError, match=r"illegal IP address"):
        pack(socket.AF_INET, ("localhost", 80), len)


@pytest.mark.parametrize("raw", ["0200 0050", "6300 0000"])
def test_bytes_that_are_no_address_are_our_fault(raw: str) -> None:
    with pytest.raises(InternalError, match=r"^the agent sent an address of "):
        unpack(bytes.fromhex(raw))
