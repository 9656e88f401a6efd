# SPDX-License-Identifier: MIT
"""How the tests of this suite call its programs, and compare what these print with what they should."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.backends.network import Network
    from testbed.backends.node import Node
    from testbed.backends.process import Completed

    Install = Callable[[Node, str], str]

LATE_NS = 50_000
"""How late a program may see a time: a system call takes 1 us of virtual time, reading a clock 256 ns."""

REAL_LATE_NS = 300_000_000
"""The same where the clock is that of the host, which has other things to do."""

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
        done = place.run([self.program(place, name), *words], timeout=None, check=False)
        assert (done.returncode, done.stderr) == (code, ""), f"{done.stderr}{done.stdout}"
        allowed = late_ns if self.network.virtual_time else REAL_LATE_NS
        compare(done.stdout, f"{expected}\n" if expected else "", late_ns=allowed)
        return done


def compare(found: str, expected: str, *, late_ns: int) -> None:
    """Compare what was printed with what should have been; times may be late, never early.

    Args:
        found: What was printed.
        expected: The same, but for the times, with the exact ones.
        late_ns: How late a time may be.
    """
    assert _TIME.sub("# ns", found) == _TIME.sub("# ns", expected)
    for printed, wanted in zip(_TIME.findall(found), _TIME.findall(expected), strict=True):
        late = int(printed) - int(wanted)
        assert 0 <= late <= late_ns, f"{printed} ns instead of {wanted} ns:\n{found}"
