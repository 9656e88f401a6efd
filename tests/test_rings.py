# SPDX-License-Identifier: MIT
"""A CI without guests does not pass; a machine of a developer skips."""

from __future__ import annotations

import pytest

from testbed.errors import CapabilityError
from tests.rings import lacks


def test_ci_without_guests_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"^a CI has to boot guests: no kernel source$"):
        lacks("timetravel", CapabilityError("no kernel source"))


@pytest.mark.parametrize(("backend", "ci"), [("netns", "true"), ("timetravel", "")])
def test_everything_else_skips(monkeypatch: pytest.MonkeyPatch, backend: str, ci: str) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(pytest.skip.Exception, match=r"^refused$"):
        lacks(backend, CapabilityError("refused"))
