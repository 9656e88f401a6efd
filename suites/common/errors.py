# SPDX-License-Identifier: MIT
"""What a node's kernel refuses, told from what a test has only stopped waiting for."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def raises_errno(number: int) -> Iterator[None]:
    """Expect that the node's kernel answers with an error number.

    ``pytest.raises(TimeoutError)`` does not tell ETIMEDOUT, with which a kernel ends a connection, from the end of a
    socket's own ``timeout``, which says nothing about the kernel: that has no number.

    Args:
        number: The errno, such as ``errno.ETIMEDOUT``.
    """
    with pytest.raises(OSError) as caught:  # noqa: PT011  # its number is looked at here
        yield
    found = caught.value.errno
    assert found == number, f"wanted {errno.errorcode[number]} from the node's kernel, found {caught.value!r}"
