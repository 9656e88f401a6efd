# SPDX-License-Identifier: MIT
"""A machine without DPDK: doctor says so, a run is told what it will skip, and skips it; all else is as ever."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from testbed.cli.make.library import libraries
from tests.faults.conftest import make_workshop, need
from tests.libos.broken import INCLUDE, SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.workshop import Workshop

SUITE = """
    import pytest

    @pytest.mark.scenario("pair")
    def test_one(network, flavor):
        assert network["h1"].libos(flavor).socket() > 0
"""
WHY = "catnip needs DPDK; pkg-config knows no libdpdk"


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Give a user's folder on a machine whose pkg-config knows nothing."""
    program = tmp_path / "bin" / "pkg-config"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "work").mkdir()
    made = make_workshop(tmp_path / "work")
    made.suite(SUITE)
    return made


def test_doctor_says_that_one_flavor_is_missing_and_no_other(workshop: Workshop) -> None:
    done = workshop.testbed("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"] if check["name"].startswith("LibOS ")}
    assert checks["LibOS catnip"]["status"] == "limited"
    assert checks["LibOS catnip"]["remedy"] == "apt install libdpdk-dev pkg-config"
    assert {check["status"] for name, check in checks.items() if name != "LibOS catnip"} == {"ok"}


@pytest.mark.usefixtures("workshop")
def test_a_build_for_a_run_says_what_will_be_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    libraries("catnip")
    assert f"catnip: its cases will be skipped: {WHY}" in capsys.readouterr().err


@pytest.mark.guest
def test_its_cases_are_skipped_with_the_reason_and_the_others_run(workshop: Workshop) -> None:
    need("timetravel")
    done = workshop.testbed(
        "run", "mini", "--run-dir", str(workshop.run_dir), "-n", "1", "--", "-k", "catnap or catnip"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = {case["libos"]: case for case in json.loads((workshop.run_dir / "run.json").read_text())["cases"]}
    assert cases["catnap"]["verdict"] == "passed"
    assert (cases["catnip"]["verdict"], cases["catnip"]["reason"]) == ("skipped", WHY)


@pytest.mark.guest
def test_a_run_that_skips_everything_is_no_success(workshop: Workshop) -> None:
    need("timetravel")
    done = workshop.testbed("run", "mini", "--libos", "catnip", "--run-dir", str(workshop.run_dir), "-n", "1")
    assert done.returncode == 5, done.stdout + done.stderr


@pytest.mark.guest
def test_what_requires_dpdk_is_skipped(workshop: Workshop) -> None:
    need("timetravel")
    (workshop.folder / "testbed.toml").write_text(
        f'[libos.small]\nabi = "demi"\nsource = "{SOURCE.parent}"\nartifact = "libsmall.so"\nrequires = ["dpdk"]\n'
        f'build = "gcc -O1 -fPIC -shared -I{INCLUDE} -o libsmall.so small.c"\n'
    )
    done = workshop.testbed("run", "mini", "--libos", "small", "--run-dir", str(workshop.run_dir), "-n", "1")
    assert done.returncode == 5, done.stdout + done.stderr
    (case,) = json.loads((workshop.run_dir / "run.json").read_text())["cases"]
    assert (case["verdict"], case["reason"]) == ("skipped", "small requires dpdk")
