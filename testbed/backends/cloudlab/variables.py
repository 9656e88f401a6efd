# SPDX-License-Identifier: MIT
"""The variables that tell the backend of an experiment, and the command line that says the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "TESTBED_MANIFEST"
KNOWN_HOSTS = "TESTBED_KNOWN_HOSTS"
IDENTITY = "TESTBED_IDENTITY"
USER = "TESTBED_SSH_USER"
PATIENCE = "TESTBED_PATIENCE_S"
TAKE_OVER = "TESTBED_TAKE_OVER"


def run_words(given: Mapping[str, str] = os.environ) -> list[str]:
    """Give the words after ``testbed`` that run something on the same experiment.

    Args:
        given: The environment.
    """
    words = ["cloudlab", "run", "--manifest", given.get(MANIFEST) or "FILE"]
    known_hosts = given.get(KNOWN_HOSTS)
    if known_hosts and Path(known_hosts) != Path.home() / ".ssh" / "known_hosts":
        words += ["--known-hosts", known_hosts]
    for file in filter(None, given.get(IDENTITY, "").split(os.pathsep)):
        words += ["--identity", file]
    return words + (["--user", given[USER]] if given.get(USER) else [])
