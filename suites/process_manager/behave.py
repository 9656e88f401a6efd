# SPDX-License-Identifier: MIT
"""How the tests of this suite call its programs, and compare what these print with what they should."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from suites.common.timer_wheel import fires_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.backends.network import Network
    from testbed.backends.node import Node
    from testbed.backends.process import Completed

    Install = Callable[[Node, str], str]

NS = 1_000_000_000

LATE_NS = 50_000
"""How late a program may see a time: a system call takes 1 us of virtual time, reading a clock 256 ns."""

TIMEOUT_S = 100_000.0
"""More than a day: no program of this suite takes longer."""

REAL_LATE_NS = 300_000_000
"""The same where the clock is that of the host, which has other things to do."""

_EXPIRY = re.compile(r"\b(\d+) ns from (\d+) ns$", re.MULTILINE)
_TIME = re.compile(r"\b(\d+) ns$", re.MULTILINE)

alone = pytest.mark.scenario("single")


def table(expected: Mapping[str, str]) -> pytest.MarkDecorator:
    """Make a case of each row: the name of a behaviour, and what the program prints."""
    return pytest.mark.parametrize(("behaviour", "expected"), list(expected.items()), ids=list(expected))


class Behave:
    """Runs programs of this suite in a node.

    Args:
        network: The network of the case.
        program: The fixture that puts a program into a node.
    """

    def __init__(self, network: Network, program: Install) -> None:
        self.network = network
        self.program = program

    def each(self, name: str, expected: Mapping[str, str]) -> None:
        """Run several behaviours of a program one after the other, in the same node."""
        for behaviour, lines in expected.items():
            self(name, behaviour, expected=lines)

    def __call__(
        self, name: str, *words: str, expected: str, code: int = 0, node: str = "h1", late_ns: int = LATE_NS
    ) -> Completed:
        """Run a program and compare all that it prints, and how it ends.

        Args:
            name: The program.
            words: The behaviour, and what follows it.
            expected: Lines of stdout. At the end of a line ``N ns`` is a time: the program may see it a little late.
            code: Exit status; negative is the number of a signal.
            node: Where it runs.
            late_ns: How late it may see a time.
        """
        place = self.network[node]
        done = place.run([self.program(place, name), *words], timeout=TIMEOUT_S, check=False)
        assert (done.returncode, done.stderr) == (code, ""), f"{done.stderr}{done.stdout}"
        allowed = late_ns if self.network.virtual_time else REAL_LATE_NS
        compare(done.stdout, f"{expected}\n" if expected else "", late_ns=allowed, virtual=self.network.virtual_time)
        return done


def compare(found: str, expected: str, *, late_ns: int, virtual: bool = True) -> None:
    """Compare what was printed with what should have been; times may be late, never early.

    Args:
        found: What was printed.
        expected: The same, but with exact times. ``N ns from 0 ns`` is a time-out of the kernel's timer wheel.
        late_ns: How late a time may be.
        virtual: Whether it is known when the kernel's timer wheel turns; else it may add an eighth of a time-out.
    """
    wheel = [(int(length), int(armed)) for length, armed in _EXPIRY.findall(found)]
    timeouts = [int(length) for length, _ in _EXPIRY.findall(expected)]
    found, expected = (_EXPIRY.sub("(expiry)", text) for text in (found, expected))
    assert _TIME.sub("# ns", found) == _TIME.sub("# ns", expected)
    for printed, wanted in zip(_TIME.findall(found), _TIME.findall(expected), strict=True):
        late = int(printed) - int(wanted)
        assert 0 <= late <= late_ns, f"{printed} ns instead of {wanted} ns:\n{found}"
    for (length, armed), timeout in zip(wheel, timeouts, strict=True):
        fires = round(fires_s(armed / NS, timeout / NS) * NS) - armed if virtual else timeout
        coarse = 0 if virtual else timeout // 8
        assert 0 <= length - fires <= late_ns + coarse, (
            f"{length} ns from {armed} ns on instead of {fires} ns:\n{found}"
        )
