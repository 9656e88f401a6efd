# SPDX-License-Identifier: MIT
"""How long builds took before, from the artifacts that they left."""

from __future__ import annotations


def build_s(name: str) -> float | None:
    """Give how long the newest artifact of a name took to build, s of wall time; None where there is none.

    Args:
        name: Beginning of artifacts' names: ``linux``, ``agent``.
    """
    from testbed.libos.artifacts import ArtifactStore

    found = [artifact for artifact in ArtifactStore().all() if artifact.path.name.startswith(f"{name}-")]
    newest = max(found, key=lambda artifact: artifact.path.stat().st_mtime, default=None)
    return None if newest is None else float(newest.manifest["build_s"])
