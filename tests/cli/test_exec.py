# SPDX-License-Identifier: MIT
"""exec: the command's output and exit code are ours, and a Record of it is left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed import paths
from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.libos.artifacts import sha256_file
from testbed.reports.runjson import problems
from tests.faults.conftest import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Testbed

    Exec = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def in_netns(testbed: Testbed) -> Exec:
    """Give ``testbed exec`` on the host's kernel, with the agent of the user's own cache."""
    try:
        backend("netns").capabilities()
    except CapabilityError as error:
        pytest.skip(f"no backend netns here: {error.message}")
    cache = {"TESTBED_CACHE": str(paths.cache_dir())}
    return lambda *words, stdin="": testbed("exec", "--backend", "netns", *words, env=cache, stdin=stdin)


def agent(name: str) -> Path:
    """Give the program of an agent's artifact."""
    return paths.cache_dir() / "artifacts" / name / "rootfs" / "agent"


def record(runs: Path) -> tuple[Path, dict[str, object]]:
    """Give the folder and the text of the only record."""
    (file,) = (path for path in runs.glob("*/cases/exec/*/1/record.json") if "latest" not in path.parts)
    return file.parent, json.loads(file.read_text())


def test_output_exit_code_and_record(in_netns: Exec, tmp_path: Path) -> None:
    done = in_netns("--", "sh", "-c", "echo to stdout; echo to stderr >&2; exit 3")
    assert done.returncode == 3
    assert done.stdout == "to stdout\n"
    assert done.stderr.splitlines()[0] == "to stderr"
    folder, found = record(tmp_path / "runs")
    assert done.stderr.splitlines()[-1] == f"record: {folder.relative_to(tmp_path)}"
    assert (found["verdict"], found["complete"], found["suite"]) == ("passed", True, "exec")
    assert (folder / "processes/000-h1-sh/stdout").read_text() == "to stdout\n"
    run = json.loads((folder.parents[3] / "run.json").read_text())
    assert (run["state"], run["verdict"], run["exit_code"], len(run["cases"])) == ("finished", "passed", 0, 1)
    assert problems(run) == []
    ((name, sha256),) = run["environment"]["artifacts"].items()
    assert (paths.cache_dir() / "artifacts" / name).is_dir()
    assert found["artifacts"] == {name: sha256}
    assert sha256 == sha256_file(agent(name))


def test_words_after_the_command_are_its_own(in_netns: Exec) -> None:
    done = in_netns("echo", "--scenario", "--help", "two words")
    assert done.stdout == "--scenario --help two words\n"


def test_input_reaches_the_command(in_netns: Exec) -> None:
    assert in_netns("--input", "-", "cat", stdin="from here\n").stdout == "from here\n"


def test_a_signal_is_128_and_more(in_netns: Exec) -> None:
    assert in_netns("--", "sh", "-c", "kill -9 $$").returncode == 137


def test_captures_are_kept_per_link_end(in_netns: Exec, tmp_path: Path) -> None:
    done = in_netns("-S", "pair", "--node", "h2", "--", "ping", "-c1", "10.0.1.1")
    assert "1 received" in done.stdout
    folder, _ = record(tmp_path / "runs")
    assert sorted(path.name for path in (folder / "captures").iterdir()) == ["h1-h2.h1.pcapng", "h1-h2.h2.pcapng"]


def test_a_program_that_is_not_there_is_an_error_of_the_user(in_netns: Exec, tmp_path: Path) -> None:
    done = in_netns("no-such-program")
    assert done.returncode == 4
    folder, found = record(tmp_path / "runs")
    assert done.stderr.splitlines() == [
        f"record: {folder.relative_to(tmp_path)}",
        "error: h1 cannot run 'no-such-program': No such file or directory",
        "hint: nodes have the programs of this machine; testbed exec -- which NAME",
    ]
    assert found["verdict"] == "error"


def test_a_limit_of_time_ends_the_command(in_netns: Exec, tmp_path: Path) -> None:
    done = in_netns("--timeout", "1", "sleep", "1000")
    assert done.returncode == 6
    folder, found = record(tmp_path / "runs")
    assert done.stderr.splitlines() == [
        f"record: {folder.relative_to(tmp_path)}",
        "error: sleep 1000 still ran after 1 s of the network's time and was killed",
        "hint: --timeout SECONDS gives it more",
    ]
    assert found["verdict"] == "timed out"


def test_a_limit_of_wall_time_ends_the_network(in_netns: Exec, tmp_path: Path) -> None:
    done = in_netns("--wall-limit", "1", "sleep", "1000")
    assert done.returncode == 6
    assert "the network has lived for its 1 s of wall time" in done.stderr
    folder, found = record(tmp_path / "runs")
    assert f"record: {folder.relative_to(tmp_path)}\n" in done.stderr
    assert found["verdict"] == "timed out"


@pytest.fixture
def in_guest(testbed: Testbed) -> Exec:
    """Give ``testbed exec`` in virtual time, with the programs of the user's own cache."""
    need("timetravel")
    cache = {"TESTBED_CACHE": str(paths.cache_dir())}
    return lambda *words, env=None: testbed("exec", *words, env={**cache, **(env or {})})


# On the host it is the launcher, which becomes the kernel; in the guest it has no interpreter, so there is no init.
NO_INIT = """#!/bin/sh
shift 4
exec "$@"
"""


@pytest.mark.guest
def test_a_guest_that_dies_while_it_boots_says_why_first_and_names_files_that_are_there(
    in_guest: Exec, tmp_path: Path
) -> None:
    root = tmp_path / "rootfs"
    for name in ("proc", "sys", "dev", "lower", "upper", "root"):
        (root / name).mkdir(parents=True)
    (root / "agent").write_text(NO_INIT)
    (root / "agent").chmod(0o755)
    done = in_guest("--", "true", env={"TESTBED_AGENT": str(root)})
    assert done.returncode == 6, done.stderr
    folder, found = record(tmp_path / "runs")
    lines = done.stderr.splitlines()
    assert lines[0] == f"record: {folder.relative_to(tmp_path)}"
    assert re.match(r"error: the guest died \(.*\): Kernel panic - not syncing: .*init", lines[1])
    assert lines[-1] == f"hint: the kernel's words: {folder / 'console.log'}"
    assert (folder / "console.log").is_file()
    assert found["verdict"] == "crashed"


@pytest.mark.guest
def test_a_program_that_spins_lets_others_go_on_where_it_is_told_to(in_guest: Exec) -> None:
    spins = "import os, threading, time\nthreading.Thread(target=lambda: (time.sleep(1), os._exit(7))).start()\n"
    spins += "while True: pass"
    assert in_guest("--spin-ms", "5", "--stall", "60", "--", "python3", "-c", spins).returncode == 7


def test_a_library_is_refused_with_what_drives_it(testbed: Testbed, tmp_path: Path) -> None:
    done = testbed("exec", "--libos", "catnap", "--", "true")
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        "error: catnap is a library, which a command does not use by itself: exec runs commands on a kernel",
        "hint: testbed workload --libos catnap drives it; testbed run SUITE --libos catnap tests it",
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("in_netns")
def test_a_record_that_cannot_be_written_is_no_success(tmp_path: Path) -> None:
    words = ["testbed", "exec", "--backend", "netns", "--", "head", "-c", "3000000", "/dev/zero"]
    limited = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, -1)); "
    limited += f"from testbed.cli.main import call; sys.exit(call({words[1:]!r}))"
    env = {**os.environ, "TESTBED_CACHE": str(paths.cache_dir()), "TESTBED_RUNS": str(tmp_path / "runs")}
    done = subprocess.run([sys.executable, "-c", limited], env=env, capture_output=True, check=False, timeout=120)
    assert done.returncode == 3, done.stderr
    assert b"cannot write the record" in done.stderr
    assert record(tmp_path / "runs")[1]["verdict"] == "error"


def test_a_run_folder_that_is_not_empty_is_refused_and_untouched(in_netns: Exec, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("keep me")
    done = in_netns("--run-dir", str(taken), "true")
    assert done.returncode == 4
    assert [path.name for path in taken.iterdir()] == ["mine"]
