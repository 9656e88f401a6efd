# SPDX-License-Identifier: MIT
"""The reference case: a busy network whose digest must not depend on anything but its seed; also a program.

``python -m tests.determinism.reference FOLDER SEED`` executes it once in a process of its own, which the tests start
with another terminal, user, folder or environment, and prints the digest.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.backends.timetravel import TimeTravelBackend
from testbed.harness import determinism
from testbed.harness.recorder import DiskRecorder
from testbed.harness.records import Record
from testbed.paths import package_dir
from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.backends.base import BackendOptions
    from testbed.backends.network import Network

SEED = 4711
LINK: dict[str, object] = {"rate_bps": 4_000_000, "delay_ms": 5, "jitter_ms": 3, "loss_ratio": 0.05}


def busy(network: Network) -> None:
    """Ping, transfer over TCP and read randomness, over a link with loss and jitter; all that is random shows up."""
    h1, h2 = network["h1"], network["h2"]
    server = h2.spawn(["iperf3", "-s", "-1"])
    h2.wait_listen(5201)
    pings = h1.spawn(["ping", "-i", "0.05", "-c", "10", h2.address(6)])
    h1.run(["iperf3", "-c", h2.address(), "-t", "1", "-J"])
    h1.run(["od", "-An", "-tx1", "-N64", "/dev/urandom"])
    pings.wait()
    server.wait()
    assert len(list(network.link("h1-h2").frames("h2"))) > 100, "the transfer left no packets"


def execute(
    folder: Path,
    *,
    seed: int = SEED,
    drive: Callable[[Network], object] = busy,
    link: Mapping[str, object] = LINK,
    options: BackendOptions | None = None,
) -> Record:
    """Execute a case once, straight on the backend.

    Args:
        folder: Where its record goes; made here.
        seed: Seed of the network.
        drive: What is done in it.
        link: Parameters of the scenario ``pair``.
        options: The backend's.

    Returns:
        Its record, with the digest.
    """
    record = Record(
        nodeid="reference", suite="determinism", case="reference", execution=1, seed=seed, backend="timetravel"
    )
    recorder = DiskRecorder(folder, record)
    backend = TimeTravelBackend()
    with backend.up(scenario("pair", **link), seed=seed, recorder=recorder, options=options) as network:
        record.epoch_ns = network.epoch_ns
        drive(network)
    recorder.finish()
    assert recorder.failure is None, recorder.failure
    assert record.lost_frames == 0, "the capture ring lost frames"
    return record


def assert_same(one: Path, other: Path) -> None:
    """Fail with the first difference where the records of two folders have not one digest."""
    left, right = Record.load(one), Record.load(other)
    if left.digest != right.digest:
        differences = determinism.compare(one, other)
        raise AssertionError(determinism.describe(differences))
    assert left.digest is not None, "a record without a digest proves nothing"


def environment(**changes: str) -> dict[str, str]:
    """Give an environment for a subprocess that imports this source tree."""
    return {**os.environ, "PYTHONPATH": str(package_dir().parent), "PYTHONDONTWRITEBYTECODE": "1", **changes}


def reference_command(folder: Path) -> list[str]:
    """Give the command that executes the reference case into a folder, in a process of its own."""
    return [sys.executable, "-m", "tests.determinism.reference", str(folder), str(SEED)]


if __name__ == "__main__":
    sys.stdout.write(f"{execute(Path(sys.argv[1]), seed=int(sys.argv[2])).digest}\n")
