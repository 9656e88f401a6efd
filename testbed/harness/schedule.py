# SPDX-License-Identifier: MIT
"""Which worker gets which case when: what took long the last time goes first, so that all workers end together.

An order changes no result: each case has a network and a seed of its own. A run lists its cases as they were collected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScheduling  # type: ignore[import-untyped]

from testbed.harness.durations import Durations
from testbed.harness.identity import case_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

_AT_ONCE = 4  # cases that a worker is given; xdist's own share, a quarter of what is left for it, may be the long ones


class LongestFirst(LoadScheduling):  # type: ignore[misc]  # xdist tells no types
    """xdist's ``load`` in another order.

    Args:
        config: pytest's.
        log: xdist's.
        backend: Where the cases run: its durations count.
    """

    def __init__(self, config: pytest.Config, log: object, *, backend: str) -> None:
        super().__init__(config, log)
        self._backend = backend
        self._ordered = False
        asked: int | None = config.getoption("maxschedchunk")
        self.maxschedchunk = _AT_ONCE if asked is None else asked

    def _send_tests(self, node: WorkerController, num: int) -> None:
        """Put what is pending in order before any of it is sent."""
        if not self._ordered and self.collection is not None:
            self._ordered = True
            self.pending[:] = longest_first(self.config, self.collection, self._backend, Durations.load())
        super()._send_tests(node, num)


def longest_first(config: pytest.Config, nodeids: Sequence[str], backend: str, durations: Durations) -> list[int]:
    """Put cases in order.

    Args:
        config: pytest's.
        nodeids: The cases, as collected.
        backend: Where they run.
        durations: How long they took.

    Returns:
        Their places in ``nodeids``: longest first, and as collected where they took the same time; those that are not
        known count as the mean of the others.
    """
    cases = (case_id(config.rootpath / nodeid.partition("::")[0], nodeid) for nodeid in nodeids)
    known = [durations.of(backend, case.suite, case.name) for case in cases]
    lengths_s = [length_s for length_s in known if length_s is not None]
    mean_s = sum(lengths_s) / len(lengths_s) if lengths_s else 0.0
    return sorted(range(len(nodeids)), key=lambda place: -_or(known[place], mean_s))


def _or(length_s: float | None, mean_s: float) -> float:
    return mean_s if length_s is None else length_s
