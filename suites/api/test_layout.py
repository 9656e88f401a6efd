# SPDX-License-Identifier: MIT
"""A C program that was compiled against the public header: the layouts it sees, and what the library makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.backends.deploy import Deployed
from testbed.harness.programs import install
from testbed.libos.library import find_library

if TYPE_CHECKING:
    from testbed.backends.network import Network

LAYOUT = {  # PDPIX: size, or offset and size
    "demi_qtoken_t": "8",
    "demi_args_t": "20",
    "demi_args_t.argv": "4 8",
    "demi_args_t.log_callback": "12 8",
    "demi_sgaseg_t": "12",
    "demi_sgaseg_t.sgaseg_len": "8 4",
    "demi_sgarray_t": "40",
    "demi_sgarray_t.sga_numsegs": "8 4",
    "demi_sgarray_t.sga_segs": "12 12",
    "demi_sgarray_t.sga_addr": "24 16",
    "demi_accept_result_t": "20",
    "demi_accept_result_t.addr": "4 16",
    "demi_qresult_t": "64",
    "demi_qresult_t.qr_qd": "4 4",
    "demi_qresult_t.qr_qt": "8 8",
    "demi_qresult_t.qr_ret": "16 8",
    "demi_qresult_t.qr_value": "24 40",
}


@pytest.mark.flavors
@pytest.mark.scenario("pair")
def test_a_c_program_sees_the_layouts_of_the_header(network: Network, flavor: str) -> None:
    node = network["h1"]
    deployed = Deployed(node, find_library(flavor), interface=None, config=None, env=None)
    path = deployed.argv[2]
    done = node.run([install(node, "demi-layout"), path], env=deployed.env)
    assert dict(line.split(" ", 1) for line in done.stdout.splitlines()) == LAYOUT
