# SPDX-License-Identifier: MIT
"""Where testbed keeps things (artifacts in the user's cache, runs below the current folder, locks); its own name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Give the folder of artifacts and downloads: ``$TESTBED_CACHE``, else the user's cache folder."""
    given = os.environ.get("TESTBED_CACHE")
    return Path(given).expanduser().absolute() if given else Path(platformdirs.user_cache_dir("testbed"))


def runs_dir() -> Path:
    """Give the folder that new runs are made in: ``$TESTBED_RUNS``, else ``testbed-runs`` below the current folder."""
    given = os.environ.get("TESTBED_RUNS")
    return Path(given).expanduser().absolute() if given else Path.cwd() / "testbed-runs"


def runtime_dir() -> Path:
    """Give (and make) a private folder for locks and short-lived files of running guests."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    root = Path(base) if base and os.access(base, os.W_OK) else Path(tempfile.gettempdir())
    path = root / f"testbed-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def package_dir() -> Path:
    """Give the folder of the installed Python package, where sources of native parts lie."""
    return Path(__file__).resolve().parent


def program() -> str:
    """Give what the user types to call us: ``testbed``, or what the launcher says where nothing is called so."""
    return os.environ.get("TESTBED_PROGRAM", "testbed")
