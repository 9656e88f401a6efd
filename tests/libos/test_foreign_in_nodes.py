# SPDX-License-Identifier: MIT
"""LibOSes of users in the nodes of a run: a wrapper with its artifact, a library with a template of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import make_workshop, need
from tests.libos.broken import INCLUDE, SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.workshop import Workshop

pytestmark = pytest.mark.guest

PRELOADED = """
#include <unistd.h>
__attribute__((constructor)) static void before(void) { if (write(1, "preloaded\\n", 10) != 10) _exit(9); }
"""
WRAPPER = """
[libos.wrap]
abi = "preload"
source = "wrap"
build = "gcc -fPIC -shared -o libwrap.so wrap.c"
artifact = "libwrap.so"
command = "env LD_PRELOAD={artifact}"
"""
PROGRAMS = """
    import pytest

    @pytest.mark.scenario("pair")
    def test_every_program(network):
        assert network["h1"].run(["echo", "mine"]).stdout == "preloaded\\nmine\\n"
        assert network["h2"].spawn(["echo", "again"]).wait().stdout == "preloaded\\nagain\\n"
"""
QUEUES = """
    import pytest

    @pytest.mark.scenario("pair")
    def test_its_configuration(network, flavor):
        node = network["h2"]
        assert node.libos(flavor).socket() > 0
        assert node.read(f"/libos/{flavor}/h2.1.yaml").decode() == f"who: h2 at {node.address()}/24 on eth0"
"""


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    need("timetravel")
    return make_workshop(tmp_path)


def verdicts(workshop: Workshop, libos: str) -> list[tuple[str, str]]:
    done = workshop.testbed("run", "mini", "--libos", libos, "--run-dir", str(workshop.run_dir), "-n", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads((workshop.run_dir / "run.json").read_text())["cases"]
    return [(case["verdict"], case["reason"]) for case in cases]


def test_a_wrapper_is_before_every_program_with_what_was_built(workshop: Workshop) -> None:
    (workshop.folder / "wrap").mkdir()
    (workshop.folder / "wrap" / "wrap.c").write_text(PRELOADED)
    (workshop.folder / "testbed.toml").write_text(WRAPPER)
    workshop.suite(PROGRAMS)
    assert verdicts(workshop, "wrap") == [("passed", "")]


def test_a_template_of_the_users_makes_the_configuration_of_each_node(workshop: Workshop) -> None:
    (workshop.folder / "mine.j2").write_text("who: {{ node }} at {{ address }}/{{ prefix_bits }} on {{ interface }}\n")
    (workshop.folder / "testbed.toml").write_text(
        f'[libos.small]\nabi = "demi"\nsource = "{SOURCE.parent}"\nartifact = "libsmall.so"\nconfig = "mine.j2"\n'
        f'build = "gcc -O1 -fPIC -shared -I{INCLUDE} -o libsmall.so small.c"\n'
    )
    workshop.suite(QUEUES)
    assert verdicts(workshop, "small") == [("passed", "")]
