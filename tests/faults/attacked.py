# SPDX-License-Identifier: MIT
"""Bring a network up, have its node attack a folder of ours, and print what the attack said; for another user to run.

Usage: python -m tests.faults.attacked BACKEND FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend
from testbed.scenarios.registry import scenario

ATTACK = Path(__file__).with_name("attack.py")


def attacked(name: str, sentinel: Path) -> str:
    """Give what the attack said; the network must still answer after it."""
    with backend(name).up(scenario("single"), options=BackendOptions(shares=(sentinel,))) as network:
        node = network["h1"]
        node.write("/tmp/attack.py", ATTACK.read_bytes())
        said = node.run(["/usr/bin/python3", "-I", "-S", "/tmp/attack.py", str(sentinel)]).stdout
        # The channel is still the agent's: what was asked is what is answered.
        assert node.run(["echo", "still in step"]).stdout == "still in step\n"
    return said


if __name__ == "__main__":
    sys.stdout.write(attacked(sys.argv[1], Path(sys.argv[2])))
