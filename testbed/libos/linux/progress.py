# SPDX-License-Identifier: MIT
"""What a build tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["source", "patch", "configure", "compile", "publish"]


@dataclass(frozen=True)
class BuildProgress:
    """One change in a build.

    Args:
        stage: What is being done.
        done: Steps done in this stage.
        total: Steps expected, or None where nobody knows; ``done`` never exceeds it.
        detail: The file at hand.
    """

    stage: Stage
    done: int = 0
    total: int | None = None
    detail: str = ""


Progress = Callable[[BuildProgress], None]


def ignore(_: BuildProgress) -> None:
    """Take progress and show nothing."""
