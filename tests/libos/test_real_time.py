# SPDX-License-Identifier: MIT
"""Every flavor in real time, too: some of the suites' cases of each on the host's kernel, in namespaces.

All of them by hand: ``testbed run SUITES --backend netns``; doc/libos.md has what came of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError
from testbed.libos.flavor import flavors
from testbed.libos.library import find_library
from testbed.paths import package_dir
from tests.faults.conftest import make_workshop, need
from tests.rings import lacks

if TYPE_CHECKING:
    from pathlib import Path

SUITES = package_dir().parent / "suites"
CASES = {
    "tcp": (
        "tcp_ping_pong/test_rounds.py::test_each_message_comes_back_whole[{}-64]",
        "tcp_push_pop/test_one_way.py::test_all_that_is_pushed_is_popped[{}-1460]",
        "tcp_close/test_close.py::test_the_other_side_sees_the_end[{}-client-concurrent]",
        "tcp_wait/test_wait.py::test_what_is_pending_completes[{}-pop-async-close-wait]",
    ),
    "udp": ("udp_ping_pong/test_datagrams.py::test_each_comes_back_once[{}-64]",),
    "pipe": (
        "pipe_open/test_open.py::test_one_name_128_times[{}]",
        "pipe_open/test_errors.py::test_closing_cancels_what_is_pending[{}]",
    ),
}


@pytest.mark.netns
@pytest.mark.parametrize("name", [one.name for one in flavors().values() if one.crate is not None])
def test_a_flavor_passes_in_real_time(tmp_path: Path, name: str) -> None:
    need("netns")
    try:
        abilities = find_library(name).abilities
    except CapabilityError as error:
        lacks(name, error)
    cases = [
        f"{SUITES}/{case.format(name)}" for ability, found in CASES.items() if ability in abilities for case in found
    ]
    workshop = make_workshop(tmp_path)
    words = ("--libos", name, "--backend", "netns", "--run-dir", str(workshop.run_dir), "-n", "1")
    done = workshop.testbed("run", *cases, *words)
    document = json.loads((workshop.run_dir / "run.json").read_text())
    assert {(case["verdict"], case["reason"]) for case in document["cases"]} == {("passed", "")}, done.stdout
    assert len(document["cases"]) == len(cases)
    assert done.returncode == 0
