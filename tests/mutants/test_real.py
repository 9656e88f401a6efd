# SPDX-License-Identifier: MIT
"""The check with kernels that are really built: minutes the first time, so only with ``pytest -m build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mutants.kernels import Workshop
from tests.mutants.mutant import choose, read_all
from tests.mutants.runner import Check

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mutants.mutant import Mutant

pytestmark = pytest.mark.build

COMMENT = (
    "--- a/arch/um/kernel/umid.c\n+++ b/arch/um/kernel/umid.c\n@@ -1,2 +1,3 @@\n"
    " // SPDX-License-Identifier: GPL-2.0\n"
    "+/* this changes nothing */\n"
    " /*\n"
)


def test_faults_are_told_from_what_changes_nothing(plant: Callable[..., Mutant]) -> None:
    mutants = [
        plant("no-op", COMMENT),
        plant("does-not-apply"),
        plant("does-not-build", COMMENT.replace("/* this changes nothing */", "#error planted by a test")),
        *choose(read_all(), ["ip-forward-ttl"], []),
    ]
    findings = Check(mutants, Workshop(), print).run()
    assert [finding.problem.partition(":")[0] for finding in findings] == ["survived", "no kernel", "no kernel", ""]
    assert "does not apply" in findings[1].problem
    assert "#error planted by a test" in findings[2].problem
