# SPDX-License-Identifier: MIT
"""Whether this machine has Open vSwitch, and which of its datapaths can move frames here: the kernel's, or its own."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from pathlib import Path
from typing import Literal

from testbed.errors import CapabilityError

Datapath = Literal["kernel", "user"]

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
TUN = Path("/dev/net/tun")
PROGRAMS = ("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl")
_PACKAGE = "openvswitch-switch"
_FAMILY = "ovs_datapath"  # <linux/openvswitch.h>, OVS_DATAPATH_FAMILY
# <linux/netlink.h> and <linux/genetlink.h>
_NETLINK_GENERIC = 16
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_GENL_ID_CTRL = 0x10
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_NAME = 2


def datapath(path: str, *, user: bool = False) -> Datapath:
    """Choose the datapath of switches.

    Args:
        path: Folders with programs, as in ``PATH``.
        user: Whether OVS's own, in user space, is wanted even where the kernel has one.

    Raises:
        CapabilityError: Open vSwitch is not installed, or neither datapath can be had.
    """
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    missing += [] if SCHEMA.exists() else [str(SCHEMA)]
    if missing:
        raise CapabilityError(
            f"Open vSwitch is not installed (package {_PACKAGE}): no {', '.join(missing)}",
            hint=f"apt-get install -y --no-install-recommends {_PACKAGE}; or take --switch bridge",
        )
    if not user and kernel_has_it():
        return "kernel"
    if not os.access(TUN, os.R_OK | os.W_OK):
        reason = "it is not wanted" if user else f"this machine's kernel has no family {_FAMILY!r}"
        raise CapabilityError(
            f"Open vSwitch can move no frames here: of the kernel's datapath, {reason}; "
            f"its own needs {TUN}, which cannot be opened",
            hint="modprobe openvswitch, or modprobe tun; or take --switch bridge",
        )
    return "user"


def kernel_has_it() -> bool:
    """Ask the kernel for its datapath; it loads the module for the question where there is one."""
    name = _FAMILY.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(name), _CTRL_ATTR_FAMILY_NAME) + name
    body = struct.pack("=BBH", _CTRL_CMD_GETFAMILY, 1, 0) + attribute + bytes(-len(attribute) % 4)
    head = struct.pack("=IHHII", 16 + len(body), _GENL_ID_CTRL, _NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as asked:
            asked.settimeout(5)
            asked.send(head + body)
            answer = asked.recv(1 << 16)
    except OSError:
        return False
    kind: int = struct.unpack_from("=IH", answer)[1]
    return kind != _NLMSG_ERROR
