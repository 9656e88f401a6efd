# SPDX-License-Identifier: MIT
"""The shell: lines of a person or of a script, carried out in a live network whose time stands still in between."""

from testbed.shell.interact import interact

__all__ = ["interact"]
