# SPDX-License-Identifier: MIT
"""The patch series, one patch after the other: each kernel on the way builds, starts an init, and ends."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.backends.memory import memory_folder
from testbed.libos.artifacts import sha256_file
from testbed.libos.linux.source import DISTRIBUTION
from tests.mutants.kernels import Workshop

pytestmark = pytest.mark.build

MEMORY_MIB = 128
GIVE_UP_S = 120  # a boot takes a tenth of a second


def boots(kernel: Path, init: Path, folder: Path) -> str:
    """Boot a kernel of which nothing is expected but what every Linux can: root on hostfs, and an init.

    Returns:
        What init left: the kernel's release.
    """
    root = folder / "root"
    (root / "dev").mkdir(parents=True)
    shutil.copy2(init, root / "init")
    words = ["root=none", "rootfstype=hostfs", f"rootflags={root}", "rw", "init=/init"]
    quiet = ["con=null", "ssl=null", "stderr=1", "norandmaps", "time-travel=inf-cpu"]
    done = subprocess.run(
        [kernel, f"mem={MEMORY_MIB}M", *words, *quiet],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=GIVE_UP_S,
        check=False,
        env={"HOME": str(folder), "TMPDIR": str(memory_folder(folder, MEMORY_MIB))},
    )
    said = root / "said"
    assert said.exists(), f"exit {done.returncode}, init said nothing; the console:\n{done.stdout[-3000:]}"
    assert done.returncode == 0, done.stdout[-3000:]
    return said.read_text()


@pytest.fixture
def init(tmp_path: Path) -> Path:
    program = tmp_path / "init"
    source = Path(__file__).with_name("init.c")
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", program, source], check=True)
    return program


@pytest.mark.timeout(0)  # the first build of all objects
@pytest.mark.parametrize("version", ["6.12", "6.1"])
def test_each_patch_of_the_series_builds_and_boots_alone(version: str, init: Path, tmp_path: Path) -> None:
    source = DISTRIBUTION / f"linux-source-{version}.tar.xz"
    if not source.exists():
        pytest.skip(f"{source} is not installed")
    workshop = Workshop(source=source)
    with workshop.opened():
        series = workshop.series
        assert series[0].parent.name == version
        kernels = set()
        for count, patch in enumerate(series, start=1):
            kernel = workshop.build(patch.stem, (), series=series[:count])
            kernels.add(sha256_file(kernel))
            assert boots(kernel, init, tmp_path / patch.stem).startswith(f"{version}."), patch.name
            if count < len(series):
                workshop.discard(kernel)
        assert len(kernels) == len(series), "each patch changes the kernel"
        # Not the stored one, which is compiled with precompiled headers: another one to the bit (decision 25).
        once = Workshop(folder=tmp_path / "once", source=source)
        with once.opened():
            at_once = sha256_file(once.build("once", ()))
        assert sha256_file(kernel) == at_once, "built in steps or at once, the same bytes"
