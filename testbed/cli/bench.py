# SPDX-License-Identifier: MIT
"""``testbed bench``: the figures of this machine, with peers measured in the same run."""


def bench() -> None:
    """Measure."""
