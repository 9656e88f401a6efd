# SPDX-License-Identifier: MIT
"""How long builds took before, from the artifacts that they left."""

from __future__ import annotations

import json
from contextlib import suppress


def build_s(name: str) -> float | None:
    """Give how long the newest artifact of a name took to build, s of wall time; None where there is none.

    Args:
        name: Beginning of artifacts' names: ``linux``, ``agent``.
    """
    from testbed.libos.artifacts import MANIFEST, ArtifactStore

    # Not by the store's own list: it looks at every file of every artifact, and this is asked at each start.
    newest = max(ArtifactStore().root.glob(f"{name}-*/{MANIFEST}"), key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        return None
    with suppress(OSError, ValueError, LookupError, TypeError):  # damaged, or removed just now: nobody knows then
        return float(json.loads(newest.read_text(encoding="utf-8"))["build_s"])
    return None
