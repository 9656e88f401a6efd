# SPDX-License-Identifier: MIT
"""Cases per flavor: which there are for which ``--libos``, what is skipped and why, how they are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.harness.flavors import skip_reason
from testbed.harness.records import load_run
from testbed.libos.flavor import flavors
from testbed.libos.foreign import ABILITIES
from testbed.libos.library import host_program
from testbed.reports.runjson import problems
from testbed.reports.terminal import libos_lines
from tests.libos.broken import INCLUDE, SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

SUITE = """
    import pytest

    @pytest.mark.flavors("tcp")
    def test_tcp(network, flavor):
        pass

    @pytest.mark.flavors("tcp", "pipe")
    def test_udp_echo(network, flavor):
        pass

    @pytest.mark.flavors(only="pipe")
    def test_pipes(network, flavor):
        pass

    def test_linux(network):
        pass
"""
TABLE = f"""
[libos.mine]
abi = "demi"
source = "{SOURCE.parent}"
build = "gcc -fPIC -shared -I{INCLUDE} -o libmine.so small.c"
artifact = "libmine.so"
"""


def verdicts(inner: Inner) -> dict[str, str]:
    return {case["nodeid"].partition("::")[2]: case["verdict"] for case in inner.document()["cases"]}


@pytest.fixture(scope="module")
def program() -> Path:
    """Give our host program, from the user's own cache; this process remembers it."""
    return host_program()


@pytest.fixture
def mine(program: Path, inner: Inner) -> Inner:
    assert program.is_file()
    inner.suite(SUITE)
    (inner.pytester.path / "testbed.toml").write_text(TABLE)
    return inner


def test_a_library_runs_its_cases_and_no_others(mine: Inner) -> None:
    mine.run("--libos", "mine")
    assert verdicts(mine) == {"test_tcp[mine]": "passed", "test_udp_echo[mine]": "skipped"}
    assert mine.case("udp_echo")["reason"] == "mine has no pipe"
    assert mine.case("tcp")["libos"] == "mine"
    assert problems(mine.document()) == []
    assert libos_lines(load_run(mine.run_dir)) == ["LibOS mine: 2 cases, 1 skipped, 1 passed"]


def test_the_cases_of_the_oracle_come_first(inner: Inner) -> None:
    """In each suite, before those of the other LibOSes; the suites and all else stay in their order."""
    inner.suite(SUITE)
    inner.suite(SUITE, name="later")
    done = inner.run("--collect-only", "-q")
    listed = [line.partition("suites/")[2] for line in done.outlines if "::" in line]
    for suite in ("mini_suite", "later"):
        own = [line.partition("::")[2] for line in listed if line.startswith(suite)]
        assert own[:3] == ["test_tcp[catnap]", "test_udp_echo[catnap]", "test_linux"]
        assert "test_tcp[catnip]" in own[3:]


def test_a_table_skips_by_pattern_with_its_reason(mine: Inner) -> None:
    (mine.pytester.path / "testbed.toml").write_text(
        TABLE + 'abilities = ["tcp", "pipe"]\nskip = { "udp-*" = "no UDP yet" }\n'
    )
    mine.run("--libos", "mine")
    assert verdicts(mine) == {
        "test_tcp[mine]": "passed",
        "test_udp_echo[mine]": "skipped",
        "test_pipes[mine]": "passed",
    }
    assert mine.case("udp_echo")["reason"] == "mine: no UDP yet"


def test_a_wrapper_runs_the_cases_of_the_kernel(mine: Inner) -> None:
    (mine.pytester.path / "testbed.toml").write_text('[libos.wrap]\nabi = "preload"\ncommand = "nice -n 1"\n')
    mine.run("--libos", "wrap")
    assert verdicts(mine) == {"test_linux": "passed"}
    assert mine.case()["libos"] == ""


def test_an_unknown_ability_or_flavor_is_refused(mine: Inner) -> None:
    result = mine.run("--libos", "mien")
    assert "unknown flavor 'mien'" in "\n".join(result.errlines + result.outlines)
    mine.suite("import pytest\n@pytest.mark.flavors('tpc')\ndef test_x(network, flavor): pass\n", name="other")
    result = mine.run("--libos", "mine", "suites/other")
    assert "flavors('tpc'); did you mean 'tcp'?" in "\n".join(result.outlines)


def test_what_our_libraries_can_do_is_known() -> None:
    ours = [known for known in flavors().values() if known.crate is not None]
    assert len(ours) >= 5
    for known in ours:
        assert known.capabilities <= set(ABILITIES), known.name


def test_the_first_pattern_that_fits_gives_the_reason() -> None:
    skip = {"udp-*": "no UDP", "*": "nothing"}
    assert skip_reason(skip, ["suite", "udp-echo"]) == "no UDP"
    assert skip_reason(skip, ["tcp-echo"]) == "nothing"
    assert skip_reason({"udp-*": "no UDP"}, ["tcp-echo"]) is None
