# SPDX-License-Identifier: MIT
"""Finding the Python that has Mininet: Debian puts it beside its own Python, where our environment does not look."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

from testbed.errors import CapabilityError

VARIABLE = "TESTBED_MININET_PYTHON"
_SYSTEM = "/usr/bin/python3"
_HINT = f"apt-get install -y mininet bridge-utils; {VARIABLE}=PATH names another Python that has it"


@functools.cache
def mininet_python() -> Path:
    """Give the Python that can import Mininet: ``$TESTBED_MININET_PYTHON``, else the system's; asked once per process.

    Raises:
        CapabilityError: There is none.
    """
    python = Path(os.environ.get(VARIABLE) or _SYSTEM)
    try:
        # Found, not imported: that alone would take as long as a small network.
        code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('mininet') is None)"
        found = subprocess.run([python, "-I", "-c", code], check=False, capture_output=True).returncode == 0
    except OSError as error:
        raise CapabilityError(
            f"cannot run {str(python)!r} to look for Mininet: {error.strerror}", hint=_HINT
        ) from error
    if not found:
        raise CapabilityError(f"Mininet is not installed: {python} finds no module 'mininet'", hint=_HINT)
    return python
