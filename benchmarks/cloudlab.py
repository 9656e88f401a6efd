# SPDX-License-Identifier: MIT
"""A small suite on four local ssh nodes, and how quickly files get there beside ``scp``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testbed.errors import CapabilityError, TestbedError

ROOT = Path(__file__).resolve().parents[1]
SUITE = "tests/cloudlab/suite/test_four.py"
_FILE_BYTES = 64 << 20  # about what the agent and all LibOSes are together
_NODES = 4


def run_s() -> float:
    """Measure ``testbed cloudlab run`` from start to exit; the nodes have the artifacts from a run before."""
    from testbed.scenarios.registry import scenario
    from tests.cloudlab.rig import Rig

    _demand()
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder), scenario("lan", n=_NODES)) as rig:
        access = ["--manifest", rig.manifest, "--known-hosts", rig.known_hosts, "--identity", rig.identity]
        words = [sys.executable, "-m", "testbed", "cloudlab", "run", *map(str, access), SUITE]
        _call([*words, "--run-dir", f"{folder}/first", "--", "-k", "h2"])
        begin = time.perf_counter()
        _call([*words, "--run-dir", f"{folder}/second"])
        return time.perf_counter() - begin


def transfer_ratio() -> float:
    """Measure our rate over that of ``scp``, one node, the same file; both log in, and ours checks what has arrived."""
    from testbed.backends.cloudlab import facts
    from testbed.backends.cloudlab.manifest import read_manifest
    from testbed.backends.cloudlab.ssh import Access, Connection
    from testbed.backends.cloudlab.store import Store
    from testbed.scenarios.registry import scenario
    from tests.cloudlab.rig import Rig

    _demand()
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder), scenario("single")) as rig:
        file = Path(folder) / "artifact"
        file.write_bytes(os.urandom(_FILE_BYTES))
        access = ["-o", f"UserKnownHostsFile={rig.known_hosts}", "-o", "BatchMode=yes", "-i", str(rig.identity)]
        begin = time.perf_counter()
        _call(["scp", "-q", *access, str(file), f"root@{rig.boxes['h1'].address}:/var/tmp/artifact"])
        theirs_s = time.perf_counter() - begin
        machine = read_manifest(rig.manifest).machines["h1"]
        entered = Access(known_hosts=rig.known_hosts, identities=(rig.identity,))
        asking = Connection(machine, entered)
        known = facts.ask(asking, make=True)
        asking.close()
        begin = time.perf_counter()
        connection = Connection(machine, entered)
        try:
            store = Store(connection, known)
            store.put([file])
            ours_s = time.perf_counter() - begin
            if store.missing([file]) or store.sent_bytes != _FILE_BYTES:
                raise TestbedError("the node does not have what was sent")
        finally:
            connection.close()
        return theirs_s / ours_s


def _call(words: list[str]) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestbedError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")


def _demand() -> None:
    """Make sure that this machine can play an experiment.

    Raises:
        CapabilityError: It cannot.
    """
    from tests.cloudlab.rig import missing

    why = missing()
    if why is not None:
        raise CapabilityError(f"no local ssh nodes: {why}", hint="install openssh-server, and run as root")
