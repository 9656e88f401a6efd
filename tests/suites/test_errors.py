# SPDX-License-Identifier: MIT
"""An error number of the node's kernel, told from a test's own patience."""

from __future__ import annotations

import errno

import pytest

from suites.common.errors import raises_errno
from testbed.backends.sockets import NetworkTimeout


def test_the_number_that_is_wanted_passes() -> None:
    with raises_errno(errno.ETIMEDOUT):
        raise OSError(errno.ETIMEDOUT, "Connection timed out")


def test_the_end_of_a_sockets_own_time_out_is_no_error_of_the_kernel() -> None:
    message = r"^wanted ETIMEDOUT from the node's kernel, found NetworkTimeout\('recv .*'\)"
    with pytest.raises(AssertionError, match=message), raises_errno(errno.ETIMEDOUT):
        raise NetworkTimeout("recv took longer than 60 s")


def test_another_number_is_found() -> None:
    message = "^wanted EINVAL from the node's kernel, found ConnectionRefusedError"
    with pytest.raises(AssertionError, match=message), raises_errno(errno.EINVAL):
        raise OSError(errno.ECONNREFUSED, "Connection refused")


def test_no_error_at_all_is_found() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), raises_errno(errno.EINVAL):
        pass
