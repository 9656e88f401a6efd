# SPDX-License-Identifier: MIT
"""A small checkout for the commands of the manual: testbed as it lies here, of each suite one quick case.

A clone of it gets its virtual environment from a hook of git that calls this file, so that the launcher finds all
set up: what is run is real but for the downloads.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testbed.paths import cache_dir

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("testbed", "benchmarks", "suites", "doc", "tests/doc")
TESTS = {"mptcp/test_subflows.py", "netlink_socket/test_multipart.py", "tcp_simple/test_tcp_simple.py"}
"""What the small checkout has of the suites; programs and helpers are all there, as artifacts depend on them."""
_LEFT_OUT = shutil.ignore_patterns("target", "__pycache__", ".*", "*.egg-info")
_CONFTEST = '''"""Of each suite the first case, unless somebody asks for certain ones."""


def pytest_collection_modifyitems(config, items):
    if config.getoption("-k") or any("::" in word for word in config.args):
        return
    first = {item.path.parent: item for item in reversed(items) if "suites/mine" not in str(item.path)}
    items[:] = [item for item in items if first.get(item.path.parent, item) is item]
'''


def make(folder: Path) -> Path:
    """Make the small checkout.

    Args:
        folder: Where; not there yet.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    for name in KEPT:
        shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
    (folder / "tests" / "__init__.py").touch()  # or those of this checkout would be found behind it
    for file in (folder / "suites").glob("*/test_*.py"):
        if f"{file.parent.name}/{file.name}" not in TESTS:
            file.unlink()
    (folder / "suites" / "conftest.py").write_text(_CONFTEST)
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy2(file, folder)
    (folder / ".gitignore").write_text(".venv/\ntestbed-runs/\n")
    make_venv(folder)
    return folder


def make_repository(folder: Path) -> None:
    """Make a git repository of a checkout, with one commit."""
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    for words in (["init", "-q", "--template="], ["add", "-A"], [*author, "commit", "-q", "-m", "All"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)


def make_template(folder: Path) -> Path:
    """Make a template for clones (``GIT_TEMPLATE_DIR``) whose hook sets a fresh clone up: githooks(5)."""
    hook = folder / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$PWD"\n')
    hook.chmod(0o755)
    return folder


def make_cache(folder: Path) -> Path:
    """Make a cache that has what the user's has built, by links: removing it removes the links alone."""
    folder.mkdir()
    for name in ("artifacts", "linux", "ccache"):
        (cache_dir() / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(cache_dir() / name)
    return folder


def make_venv(checkout: Path) -> None:
    """Make what ``testbed.sh`` takes for its virtual environment, ready: programs that run this checkout's package."""
    binaries = checkout / ".venv" / "bin"
    binaries.mkdir(parents=True)
    start = f'#!/bin/sh\nPYTHONPATH="{checkout}" exec "{sys.executable}"'
    for name, words in (("python", ""), ("testbed", " -m testbed"), ("pytest", " -m pytest -p no:cacheprovider")):
        (binaries / name).write_text(f'{start}{words} "$@"\n')
        (binaries / name).chmod(0o755)
    (binaries / "activate").write_text(f'PATH="{binaries}:$PATH"\n')
    for stamp in (".testbed-stamp", ".testbed-stamp-all"):
        (checkout / ".venv" / stamp).write_text(_fingerprint(checkout))


def _fingerprint(checkout: Path) -> str:
    """Give what ``fingerprint`` in ``testbed.sh`` prints."""
    digest = hashlib.sha256(os.fsencode(checkout.resolve()) + b"\n")
    for name in ("pyproject.toml", "testbed.sh", "testbed/packages.txt"):
        digest.update((checkout / name).read_bytes())
    return f"{digest.hexdigest()}  -\n"


if __name__ == "__main__":
    make_venv(Path(sys.argv[1]))
