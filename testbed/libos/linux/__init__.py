# SPDX-License-Identifier: MIT
"""The flavor ``linux``: the mainline kernel as a program, in virtual time."""

from testbed.libos.linux.builder import build_linux, ensure_linux
from testbed.libos.linux.progress import BuildProgress

__all__ = ["BuildProgress", "build_linux", "ensure_linux"]
