# SPDX-License-Identifier: MIT
"""Real builds of the kernel: minutes each, so only with ``pytest -m build``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from testbed.errors import BuildError
from testbed.libos.artifacts import ArtifactStore
from testbed.libos.linux import build_linux, ensure_linux, toolchain

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.build


def test_two_builds_in_different_folders_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ensure_linux().digest("linux")
    found = toolchain.find()
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "another" / "cache" / "of-a-longer-name"))
    monkeypatch.setattr(toolchain, "find", lambda: replace(found, ccache=None))
    again = build_linux()
    assert again.fresh
    assert again.digest("linux") == ours


def test_dropped_option_is_named(tmp_path: Path) -> None:
    fragment = tmp_path / "mine.config"
    fragment.write_text("CONFIG_NO_SUCH_THING=y\nCONFIG_PCI_MSI=y\n")
    with pytest.raises(BuildError, match=r"CONFIG_NO_SUCH_THING=y  \(mine\.config:1\) was dropped"):
        build_linux(fragments=[fragment], store=ArtifactStore(tmp_path / "store"))


def test_compile_error_of_a_users_patch_is_shown(tmp_path: Path) -> None:
    patch = tmp_path / "broken.patch"
    patch.write_text(
        "--- a/arch/um/kernel/umid.c\n+++ b/arch/um/kernel/umid.c\n@@ -1,1 +1,2 @@\n"
        " // SPDX-License-Identifier: GPL-2.0\n"
        "+#error planted by a test\n"
    )
    with pytest.raises(BuildError, match=r"error: #error planted by a test(.|\n)*log: .*failed/linux-.*\.log$"):
        build_linux(patches=[patch], store=ArtifactStore(tmp_path / "store"))
