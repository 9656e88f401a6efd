# SPDX-License-Identifier: MIT
"""Who a case is: its suite, its folder's name and its seed, all derived from where its test stands."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SUITES = "suites"
PREFIX = "dce-"
DEFAULT_KIND = "TestSuite"
DEFAULT_SEED = 1
_SLUG_CHARS = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=,@-]")


@dataclass(frozen=True)
class CaseId:
    """The identity of one case.

    Args:
        nodeid: What pytest calls it.
        suite: The suite's name, ``netlink-socket``.
        name: The name of its folder in a run, unique in its suite, ``test_tcp.test_hello-ipv6``.
        key: What its seed derives from: the same wherever the suite's folder lies.
    """

    nodeid: str
    suite: str
    name: str
    key: str

    def seed(self, run_seed: int) -> int:
        """Derive the seed of the case (63 bits) from the seed of the run."""
        digest = hashlib.sha256(f"{run_seed}\0{self.key}".encode()).digest()
        return int.from_bytes(digest[:8]) >> 1


def normal_suite_name(name: str) -> str:
    """Give the one spelling of a suite's name: no ``dce-``, and ``-`` where a folder has ``_``."""
    return name.strip().strip("/").replace("_", "-").removeprefix(PREFIX)


def suite_kind(folder: Path) -> str:
    """Say what a suite calls itself: ``SUITE_KIND = "Example"`` in its ``__init__.py``, else ``TestSuite``."""
    file = folder / "__init__.py"
    if not file.is_file():
        return DEFAULT_KIND
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="SUITE_KIND")], value=ast.Constant(value=str(kind))):
                return kind
            case ast.AnnAssign(target=ast.Name(id="SUITE_KIND"), value=ast.Constant(value=str(kind))):
                return kind
    return DEFAULT_KIND


def suite_folder(path: Path) -> Path | None:
    """Give the folder of the suite that a test file stands in, or None."""
    for parent in path.parents:  # the innermost first
        if parent.parent.name == SUITES:
            return parent
    return None


def case_id(path: Path, nodeid: str) -> CaseId:
    """Give the identity of a test.

    Args:
        path: The file that the test stands in.
        nodeid: Its node id: ``FILE::[CLASS::]TEST``.

    Returns:
        Its identity. The suite is the folder below the last ``suites`` of the path; a test that stands in none is in a
        suite of its file's own name.
    """
    folder = suite_folder(path)
    if folder is not None:
        suite, inside = folder.name, path.relative_to(folder).as_posix()
    else:
        suite, inside = path.stem.removeprefix("test_"), path.name
    _, _, test = nodeid.partition("::")
    name = normal_suite_name(suite)
    return CaseId(nodeid=nodeid, suite=name, name=_folder_name(inside, test), key=f"{name}/{inside}::{test}")


def _folder_name(inside: str, test: str) -> str:
    """Name a folder so that two tests of a suite never share one: ``MODULE.TEST-PARAMETERS``."""
    plain = f"{inside.removesuffix('.py')}.{test}".replace("/", ".").replace("::", ".").replace("[", "-", 1)
    plain = plain.removesuffix("]")
    slug = _UNSAFE.sub("_", plain)
    if slug == plain and len(slug) <= _SLUG_CHARS:
        return slug
    mark = hashlib.sha256(f"{inside}::{test}".encode()).hexdigest()[:8]
    return f"{slug[:_SLUG_CHARS]}-{mark}"
