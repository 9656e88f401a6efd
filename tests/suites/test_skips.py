# SPDX-License-Identifier: MIT
"""Where the suites skip a case: kernels that are too old, and backends in real time."""

from __future__ import annotations

import importlib.util
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from suites.common.kernel import since
from suites.transport.conftest import FIT_FOR_REAL_TIME

if TYPE_CHECKING:
    from testbed.backends.network import Network

REAL_TIME = """
import pytest
from types import SimpleNamespace
from suites.common.fixtures import exact_time

@pytest.fixture
def network(request):
    return SimpleNamespace(virtual_time=request.param, backend="netns")

@pytest.mark.parametrize("network", [True, False], indirect=True, ids=["virtual", "real"])
def test_case(network):
    pass
"""


def kernel(release: str) -> Network:
    return cast("Network", SimpleNamespace(release=release))


@pytest.mark.parametrize("release", ["6.1.170", "5.15.0-91-generic", "6.11.0", "4.19"])
def test_older_kernel_is_a_skip_with_its_reason(release: str) -> None:
    reason = f"^{re.escape(f'Linux {release}, older than 6.12: forgets the last one')}$"
    with pytest.raises(pytest.skip.Exception, match=reason):
        since(kernel(release), (6, 12), "forgets the last one")


@pytest.mark.parametrize("release", ["6.12.0", "6.12.117", "6.100.1", "7.0-rc1"])
def test_newer_kernel_runs_the_case(release: str) -> None:
    since(kernel(release), (6, 12), "forgets the last one")


def test_release_that_is_no_number_is_an_error() -> None:
    with pytest.raises(AssertionError, match="mainline"):
        since(kernel("mainline"), (6, 12), "forgets the last one")


def test_exact_times_need_virtual_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(REAL_TIME)
    result = pytester.runpytest_inprocess("-rs", "-p", "no:testbed", "-p", "no:xdist", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*the backend netns runs in real time: no frame leaves at an exact one*"])


@pytest.mark.parametrize("name", FIT_FOR_REAL_TIME)
def test_modules_that_are_fit_for_real_time_exist(name: str) -> None:
    assert importlib.util.find_spec(f"suites.transport.{name}") is not None
