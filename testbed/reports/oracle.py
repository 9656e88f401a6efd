# SPDX-License-Identifier: MIT
"""What the oracle says: catnap is Linux behind the queue API, so its case is the measure of the same case elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.harness.records import CaseRecord

ORACLE = "catnap"
"""The flavor that is Linux behind the queue API."""


def oracles(cases: Sequence[CaseRecord]) -> list[CaseRecord | None]:
    """Give for each case the same case on the oracle; None where it has none, or is for no LibOS, or is it itself."""
    known = {case.nodeid: case for case in cases if case.libos == ORACLE}
    return [_oracle(case, known) for case in cases]


def in_words(oracle: CaseRecord) -> dict[str, Any]:
    """Give what the page says of it: ``name``, ``verdict``, ``reason`` and ``id``."""
    return {
        "name": ORACLE,
        "verdict": oracle.verdict,
        "reason": oracle.reason.partition("\n")[0],
        "id": f"{oracle.suite}/{oracle.case}",
    }


def _oracle(case: CaseRecord, known: dict[str, CaseRecord]) -> CaseRecord | None:
    if not case.libos or case.libos == ORACLE:
        return None
    word = re.compile(rf"(?<=[\[-]){re.escape(case.libos)}(?=[\]-])")
    names = (f"{case.nodeid[: at.start()]}{ORACLE}{case.nodeid[at.end() :]}" for at in word.finditer(case.nodeid))
    return next((known[name] for name in names if name in known), None)
