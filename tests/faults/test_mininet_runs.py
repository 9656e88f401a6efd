# SPDX-License-Identifier: MIT
"""``testbed run --backend mininet`` to its verdicts: what this machine cannot do is a SKIP with the reason."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from testbed.backends.registry import backend
from tests.faults.conftest import need, need_ovs

if TYPE_CHECKING:
    from tests.faults.workshop import Workshop

SUITE = """
    import pytest

    @pytest.mark.scenario("pair", delay_ms=10)
    def test_delay(network):
        assert network["h1"].run(["ping", "-c1", network["h2"].address()]).returncode == 0

    @pytest.mark.scenario("lan", n=2)
    def test_lan(network):
        assert network["h1"].run(["ping", "-c1", network["h2"].address()]).returncode == 0
"""
TOPO = """
from mininet.node import OVSSwitch
from mininet.topo import Topo

class MyTopo(Topo):
    def build(self):
        switch = self.addSwitch("s1", cls=OVSSwitch)
        for name in ("h1", "h2"):
            self.addLink(self.addHost(name), switch)
"""
MACHINE = "from testbed.backends import openvswitch as o; o.PROGRAMS = ('no-vswitchd',); import testbed.__main__"
"""The command line on a machine without Open vSwitch."""


@pytest.mark.mininet
def test_impairment_that_the_kernel_cannot_do_is_a_skip_and_the_others_run(workshop: Workshop) -> None:
    need("mininet")
    workshop.suite(SUITE)
    done = workshop.run("--backend", "mininet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert workshop.case("lan")["verdict"] == "passed"
    case = workshop.case("delay")
    if "netem" in backend("mininet").capabilities():
        assert case["verdict"] == "passed"
        return
    reason = "link 'h1-h2' asks for delay_ms=10: that needs netem, which this machine's kernel lacks"
    assert (case["verdict"], case["reason"]) == ("skipped", reason)
    assert f"SKIP: mini [1] {reason}" in " ".join(done.stdout.split())


@pytest.mark.mininet
@pytest.mark.parametrize("asks", ["user", "class"])
def test_open_vswitch_that_is_not_there_is_a_skip_with_what_to_install(workshop: Workshop, asks: str) -> None:
    need("mininet")
    workshop.suite(SUITE)
    (workshop.folder / "mytopo.py").write_text(TOPO)
    more = ["--switch", "ovs"] if asks == "user" else ["--topo", "mytopo.py:MyTopo"]
    done = workshop.command(sys.executable, "-c", MACHINE, *workshop.words(), "--backend", "mininet", *more)
    case = workshop.case("lan")
    assert case["verdict"] == "skipped", done.stdout + done.stderr
    reason = "Open vSwitch is not installed (package openvswitch-switch): no no-vswitchd"
    assert case["reason"] == reason
    count = {"user": 1, "class": 2}[asks]  # with --topo the pair is this network, too
    assert f"SKIP: mini [{count}] {reason}" in " ".join(done.stdout.split())
    assert done.returncode == 5, "nothing ran"


@pytest.mark.mininet
@pytest.mark.parametrize("asks", ["user", "class"])
def test_cases_pass_over_open_vswitch(workshop: Workshop, asks: str) -> None:
    need("mininet")
    need_ovs()
    workshop.suite(SUITE)
    (workshop.folder / "mytopo.py").write_text(TOPO)
    more = ["--switch", "ovs"] if asks == "user" else ["--topo", "mytopo.py:MyTopo"]
    done = workshop.run("--backend", "mininet", *more, "--", "-k", "lan")
    assert workshop.case("lan")["verdict"] == "passed", done.stdout + done.stderr
    assert done.returncode == 0
    recorded = (workshop.record("lan") / "topology.json").read_text()
    assert ('"switch":"ovs"' in recorded) == (asks == "class")


@pytest.mark.mininet
def test_failure_over_open_vswitch_says_how_to_see_it_again(workshop: Workshop) -> None:
    need("mininet")
    need_ovs()
    workshop.suite("""
        def test_bad(network):
            assert network.nodes.keys() == {"x"}
    """)
    done = workshop.run("--backend", "mininet", "--switch", "ovs-user")
    assert workshop.case("bad")["verdict"] == "failed", done.stdout + done.stderr
    assert "--backend mininet --switch ovs-user" in done.stdout


@pytest.mark.parametrize("words", [("run", "mini"), ("exec", "--", "true"), ("shell",)])
def test_kind_of_switch_is_refused_where_there_is_no_choice(workshop: Workshop, words: tuple[str, ...]) -> None:
    workshop.suite(SUITE)
    done = workshop.testbed(words[0], "--switch", "ovs", *words[1:])
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == (
        "error: the backend 'timetravel' has one kind of switch: --switch ovs is for the backend mininet"
    )
