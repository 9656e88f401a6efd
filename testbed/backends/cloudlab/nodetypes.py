# SPDX-License-Identifier: MIT
"""What is known of NICs and node types of CloudLab."""

from __future__ import annotations

DPDK_DRIVERS = {
    "mlx5_core": "ConnectX-4 and later: driver mlx5, beside the kernel's",
    "mlx4_core": "ConnectX-3: driver mlx4, beside the kernel's",
    "ixgbe": "Intel 82599 and X520: driver ixgbe, with vfio-pci",
    "i40e": "Intel X710 and XL710: driver i40e, with vfio-pci",
    "ice": "Intel E810: driver ice, with vfio-pci",
    "bnxt_en": "Broadcom NetXtreme-E: driver bnxt, with vfio-pci",
}
"""Kernel drivers whose NICs DPDK drives, too, and how."""
NODE_TYPES = {"c6525-25g": 1, "c6525-100g": 2, "xl170": 1, "d6515": 2, "r7525": 2}
"""Node types of CloudLab whose experiment NICs DPDK drives, and how many of these a node has (doc/cloudlab.md)."""
