# SPDX-License-Identifier: MIT
"""The netlink suite's own parser: what it takes apart, and what it refuses."""

from __future__ import annotations

import errno
import re
import struct

import pytest

from suites.netlink_socket.netlink import Frame, attributes, header, parse_ack, split

NLMSG_ERROR = 2


def test_split_gives_every_message_and_skips_the_padding() -> None:
    datagram = header(16, 1, b"abcde", sequence=1) + header(17, 2, b"", sequence=2)
    assert list(split(datagram)) == [Frame(16, 1, 1, b"abcde"), Frame(17, 2, 2, b"")]


@pytest.mark.parametrize("length", [15, 21])
def test_split_refuses_a_length_that_cannot_be(length: int) -> None:
    message = f"message at byte 0 promises {length} bytes, the datagram has 20 left"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list(split(struct.pack("=IHHII4x", length, 16, 0, 1, 0)))


@pytest.mark.parametrize("length", [0, 3])
def test_attribute_shorter_than_its_header_is_refused(length: int) -> None:
    chain = struct.pack("=HHI", 8, 2, 9) + struct.pack("=HHI", length, 2, 9)
    with pytest.raises(ValueError, match=f"^attribute at byte 8 is {length} bytes long, less than its header$"):
        list(attributes(chain))


def test_attributes_lose_their_nest_bit() -> None:
    chain = struct.pack("=HHB3x", 5, 0x8001, 7) + struct.pack("=HHI", 8, 2, 9)
    assert list(attributes(chain)) == [(1, b"\x07"), (2, struct.pack("=I", 9))]


@pytest.mark.parametrize("capped", [False, True])
def test_ack_text_is_found_behind_the_echo(*, capped: bool) -> None:
    request = header(20, 5, b"12345678")
    echo = request[:16] if capped else request
    text = struct.pack("=HH4s", 8, 1, b"no!\0")
    flags = 0x200 | (0x100 if capped else 0)
    ack = parse_ack(Frame(NLMSG_ERROR, flags, 1, struct.pack("=i", -errno.ENODEV) + echo + text))
    assert (ack.errno, ack.echoed, ack.text, ack.offset) == (errno.ENODEV, echo, "no!", None)
