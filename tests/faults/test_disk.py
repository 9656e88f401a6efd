# SPDX-License-Identifier: MIT
"""The run's folder: one that exists, one that cannot be made, and a disk that is full in the middle of a run."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.faults import leaks
from tests.faults.conftest import need
from tests.faults.workshop import TESTBED

if TYPE_CHECKING:
    from tests.faults.workshop import Workshop

GOOD = "def test_it(network): network['h1'].run(['true'])"


@pytest.mark.parametrize("words", [("run", "mini"), ("exec", "--", "true")], ids=["run", "exec"])
def test_run_folder_that_exists_is_refused_and_kept(workshop: Workshop, words: tuple[str, ...]) -> None:
    workshop.suite(GOOD)
    workshop.run_dir.mkdir()
    (workshop.run_dir / "precious").write_text("mine")
    done = workshop.testbed(words[0], "--run-dir", str(workshop.run_dir), *words[1:])
    assert done.returncode == 4, done.stderr
    assert f"error: the run folder {workshop.run_dir} exists and is not empty; nothing in it was touched" in done.stderr
    assert "hint: give --run-dir a new or an empty folder" in done.stderr
    assert [path.name for path in workshop.run_dir.iterdir()] == ["precious"]


def test_run_folder_that_cannot_be_made_is_told(workshop: Workshop) -> None:
    workshop.suite(GOOD)
    (workshop.folder / "file").write_text("")
    done = workshop.testbed("run", "--run-dir", str(workshop.folder / "file/run"), "mini")
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"cannot make the run folder {workshop.folder}/file/run: Not a directory" in done.stdout + done.stderr


@pytest.mark.guest
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system wants root")
def test_full_disk_is_told_and_earlier_records_are_kept(workshop: Workshop) -> None:
    need("timetravel")
    workshop.suite("""
        def test_a_small(network):
            network["h1"].run(["echo", "kept"])

        def test_b_large(network):
            network["h1"].run(["echo", "before"])
            network["h1"].run(["head", "-c", "3000000", "/dev/zero"])

        def test_c_late(network):
            network["h1"].run(["echo", "after"])
    """)
    before = leaks.traces()
    disk = workshop.folder / "disk"
    disk.mkdir()
    # A mount namespace of its own: the small disk vanishes with it, whatever happens.
    words = shlex.join([str(TESTBED), "run", "mini", "--repeat", "1", "-n", "1", "--run-dir", str(disk / "run")])
    keep = f"code=$?; cp -a {disk}/run {workshop.run_dir}; exit $code"
    script = f"mount -t tmpfs -o size=1m none {disk} && {{ {words}; {keep}; }}"
    done = workshop.command("unshare", "--mount", "sh", "-c", script)
    assert done.returncode == 3, done.stdout + done.stderr
    assert workshop.case("a_small")["verdict"] == "passed"
    large = workshop.case("b_large")
    assert large["verdict"] == "error"
    said = (
        f"cannot write the record {disk}/run/{large['folder']}/1/processes/001-h1-head/stdout: No space left on device"
    )
    assert large["reason"].startswith(said)
    assert f"free some room on the disk of {disk}/run" in large["reason"]
    assert said in done.stdout
    for name, text in (("a_small", "kept\n"), ("b_large", "before\n")):
        assert (workshop.record(name) / "processes/000-h1-echo/stdout").read_text() == text
    run = workshop.document()
    assert (run["state"], run["exit_code"]) == ("finished", 3)
    assert json.loads((workshop.record("a_small") / "record.json").read_text())["verdict"] == "passed"
    assert leaks.await_no_more_than(before) == {}
