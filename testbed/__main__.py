# SPDX-License-Identifier: MIT
"""``python -m testbed``: the command line."""

from testbed.cli.main import main

main()
