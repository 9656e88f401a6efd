# SPDX-License-Identifier: MIT
"""A job of a user without any privilege: it works, with the same bits as anywhere; or it says what is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.backends.artifacts import Artifacts, find_artifacts
from testbed.errors import CapabilityError
from tests.rings import lacks

from .container import Container

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
    from testbed.backends.network import Network

    def test_ping(network: Network) -> None:
        h1, h2 = network["h1"], network["h2"]
        result = h1.run(["ping", "-c2", h2.address()])
        assert "2 received" in result.stdout

    def test_what_a_guest_shows_of_its_memory(network: Network) -> None:
        network["h1"].run(["cat", "/proc/meminfo", "/proc/iomem", "/proc/self/maps"])
"""
Make = Callable[..., Container]


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    try:
        return find_artifacts(None, None)
    except CapabilityError as error:
        lacks("timetravel", error)


@pytest.fixture(scope="module")
def place(artifacts: Artifacts) -> Iterator[Path]:
    """Give a folder that everyone may read and that a container sees (``/tmp`` is its own), with kernel and agent."""
    if shutil.which("bwrap") is None:
        pytest.skip("no bwrap: apt-get install bubblewrap")
    base = Path("/var/lib") if os.access("/var/lib", os.W_OK) else Path.home()
    folder = Path(tempfile.mkdtemp(prefix="testbed-container-", dir=base))
    folder.chmod(0o755)
    agent = artifacts.agent / "agent" if artifacts.agent.is_dir() else artifacts.agent
    for source, name in ((artifacts.kernel, "linux"), (agent, "agent")):
        shutil.copy(source, folder / name)
        (folder / name).chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make(place: Path) -> Iterator[Make]:
    """Give a function that makes a container, with a suite in the job's folder."""
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=place))

    def container(**more: Any) -> Container:
        home, work = folder / "home", folder / "work"
        (home / ".cache" / "testbed").mkdir(parents=True)
        file = work / "suites" / "mini" / "test_it.py"
        file.parent.mkdir(parents=True)
        file.write_text(textwrap.dedent(SUITE))
        programs = {"TESTBED_LINUX": str(place / "linux"), "TESTBED_AGENT": str(place / "agent")}
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LANG": "C.UTF-8", **programs}
        env |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
        return Container(home, work, env, **more)

    probe = container()
    done = probe.run("true")
    shutil.rmtree(folder)
    folder.mkdir()
    if done.returncode:
        pytest.skip(f"no container can be made here: {done.stderr.strip()}")
    yield container
    shutil.rmtree(folder)


def call(container: Container, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``testbed`` in a container."""
    return container.run(sys.executable, "-m", "testbed", *words)


def digests(container: Container, run: str = "run") -> dict[str, str]:
    """Give the digest of each case of a run in a container's job."""
    document = json.loads((container.work / run / "run.json").read_text())
    return {case["case"]: case["digest"] for case in document["cases"]}


def test_the_container_is_what_it_says(make: Make) -> None:
    container = make()
    found = container.run(
        "sh",
        "-c",
        "id -u; grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/self/status; cat /proc/mounts | grep ' /dev/shm '; "
        'setarch -R true; unshare --user true; touch "$HOME/a"; touch "$HOME/.cache/testbed/b" ./c; ls /dev/kvm',
    )
    words = found.stdout.split()
    assert words[:7] == ["65534", "CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert "noexec" in found.stdout
    assert "size=65536k" in found.stdout
    refused = [line for line in found.stderr.splitlines() if "not permitted" in line or "Read-only" in line]
    assert len(refused) == 3, found.stderr
    assert "cannot access '/dev/kvm'" in found.stderr
    assert (container.work / "c").exists()


def test_a_suite_runs_with_the_bits_that_it_has_outside(make: Make) -> None:
    container = make()
    done = call(container, "run", "mini", "--run-dir", "run", "-n", "2", "--repeat", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 cases  3x identical" in done.stdout
    outside = Outside(container.home, container.work, container.env)
    assert call(outside, "run", "mini", "--run-dir", "outside", "-n", "1", "--repeat", "1").returncode == 0
    assert digests(container) == digests(container, "outside")
    assert not [path for path in container.home.rglob("*") if ".cache" not in path.parts]


class Outside(Container):
    """No container at all."""

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this machine as it is."""
        return subprocess.run(
            argv, env=self.env, cwd=self.work, capture_output=True, text=True, check=False, timeout=120
        )


def test_a_container_without_shared_memory_is_enough(make: Make) -> None:
    container = make(shm="none")
    done = call(container, "run", "mini", "--run-dir", "run", "-n", "1", "--repeat", "1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_ptrace_refused_is_told_before_anything_else(make: Make) -> None:
    done = call(make(refused=("ptrace",)), "run", "mini")
    assert done.returncode == 7
    assert done.stderr.splitlines()[-2:] == [
        "error: a guest's kernel runs its processes by ptrace(2), which is refused here: Operation not permitted",
        "hint: a container: --cap-add SYS_PTRACE, or a seccomp profile that allows ptrace (Docker's does)",
    ]


def test_addresses_that_cannot_be_settled_are_told(make: Make) -> None:
    done = call(make(refused=("prctl",)), "run", "mini")
    assert done.returncode == 7
    assert "error: addresses are randomized here and cannot be settled" in done.stderr
    assert "hint: a container: --security-opt seccomp=unconfined" in done.stderr


def test_no_room_for_a_guests_memory_is_told_with_all_folders_that_were_tried(make: Make) -> None:
    container = make(tmp_bytes=16 << 20, read_only=True)
    done = call(container, "exec", "--run-dir", "/tmp/run", "-S", "single", "--", "true")
    assert done.returncode == 7, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "a guest's memory is a file of 512 MiB, and no folder can hold it: /dev/shm is mounted noexec; /tmp/" in line
    assert "MiB free" in line
    assert f"{container.home}/.cache/testbed cannot be written" in line
    assert "hint: a container: --shm-size=2g" in done.stderr


def test_a_folder_in_which_no_run_can_be_made_is_told(make: Make) -> None:
    done = call(make(read_only=True), "run", "mini")
    assert done.returncode == 4
    assert "Read-only file system" in done.stderr
    assert "hint: --run-dir" in done.stderr


def test_the_backend_on_the_hosts_kernel_says_that_namespaces_are_refused(make: Make) -> None:
    done = call(make(), "exec", "--backend", "netns", "--run-dir", "run", "-S", "single", "--", "true")
    assert done.returncode == 7
    assert "error: this machine refuses namespaces: " in done.stderr
    assert "hint: run as root, or let users make namespaces" in done.stderr


def test_doctor_knows_what_a_container_refuses(make: Make) -> None:
    def checks(container: Container) -> dict[str, dict[str, str]]:
        found = json.loads(call(container, "doctor", "--json").stdout)
        return {check["name"]: check for check in found["checks"]}

    found = checks(make())
    assert found["ptrace"]["status"] == "ok"
    assert found["addresses"]["found"] == "randomized; the agent settles a guest's"
    assert found["guests' memory"]["status"] == "limited"
    assert "/dev/shm is mounted noexec" in found["guests' memory"]["found"]
    assert found["user namespaces"]["status"] == "limited"
