# SPDX-License-Identifier: MIT
"""The flavor ``catnip``: PDPIX over DPDK and a TCP/IP stack of its own."""

from __future__ import annotations

import shutil
import subprocess

from testbed.errors import CapabilityError
from testbed.libos.pdpix import libos


def dpdk() -> dict[str, str]:
    """Ask pkg-config for DPDK.

    Returns:
        Its version: part of the artifact's key.

    Raises:
        CapabilityError: It is not installed.
    """
    hint = "apt install libdpdk-dev pkg-config"
    program = shutil.which("pkg-config")
    if program is None:
        raise CapabilityError("catnip needs DPDK, and pkg-config to find it; there is no pkg-config", hint=hint)
    try:
        done = subprocess.run(
            [program, "--modversion", "libdpdk"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CapabilityError("catnip needs DPDK; pkg-config knows no libdpdk", hint=hint) from error
    return {"dpdk": done.stdout.strip()}


CATNIP = libos("catnip", "queue API over DPDK and a user-level TCP/IP stack", "tcp", "udp", "user-stack", needs=dpdk)
