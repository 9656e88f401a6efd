# SPDX-License-Identifier: MIT
"""Real builds of the kernel: minutes each, so only with ``pytest -m build``."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend
from testbed.errors import BuildError
from testbed.libos.artifacts import ArtifactStore
from testbed.libos.linux import build_linux, ensure_linux, toolchain
from testbed.libos.linux.source import DISTRIBUTION, extract, find_source
from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.build


def test_two_builds_in_different_folders_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ensure_linux().digest("linux")
    found = toolchain.find()
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "another" / "cache" / "of-a-longer-name"))
    monkeypatch.setattr(toolchain, "find", lambda: replace(found, ccache=None))
    again = build_linux()
    assert again.fresh
    assert again.digest("linux") == ours


def test_dropped_option_is_named(tmp_path: Path) -> None:
    fragment = tmp_path / "mine.config"
    fragment.write_text("CONFIG_NO_SUCH_THING=y\nCONFIG_PCI_MSI=y\n")
    with pytest.raises(BuildError, match=r"CONFIG_NO_SUCH_THING=y  \(mine\.config:1\) was dropped"):
        build_linux(fragments=[fragment], store=ArtifactStore(tmp_path / "store"))


def test_compile_error_of_a_users_patch_is_shown(tmp_path: Path) -> None:
    patch = tmp_path / "broken.patch"
    patch.write_text(
        "--- a/arch/um/kernel/umid.c\n+++ b/arch/um/kernel/umid.c\n@@ -1,2 +1,3 @@\n"
        " // SPDX-License-Identifier: GPL-2.0\n"
        "+#error planted by a test\n"
        " /*\n"
    )
    with pytest.raises(BuildError, match=r"error: #error planted by a test(.|\n)*log: .*failed/linux-.*\.log$"):
        build_linux(patches=[patch], store=ArtifactStore(tmp_path / "store"))


def test_older_kernel_builds_boots_and_is_deterministic(tmp_path: Path) -> None:
    source = DISTRIBUTION / "linux-source-6.1.tar.xz"
    if not source.exists():
        pytest.skip(f"{source} is not installed")
    kernel = build_linux(source=source, store=ArtifactStore(tmp_path / "store"))
    assert kernel.manifest["inputs"]["source"]["release"].startswith("6.1.")
    seen = []
    for _ in range(2):
        with backend("timetravel").up(scenario("pair"), options=BackendOptions(kernel=kernel.path)) as network:
            assert network.release.startswith("6.1.")
            done = network["h1"].run(["ping", "-c3", network["h2"].address()])
            random = network["h1"].run(["cat", "/proc/sys/kernel/random/boot_id"])
            seen.append((done.stdout, random.stdout, network.now(), network.link("h1-h2").capture("h2").read_bytes()))
    assert seen[0] == seen[1]


def test_a_users_kernel_is_built_from_its_tree_and_judged_by_a_suite(tmp_path: Path) -> None:
    """``testbed.toml`` with ``abi = "kernel"``, from the declaration to the verdict; the tree stays as it is."""
    source = find_source(None)
    if not source.is_tarball:
        pytest.skip("no tarball of the distribution's kernel")
    tree = tmp_path / "mine"
    extract(source.path, tree)
    (tree / "net/ipv4/ping.c").write_text((tree / "net/ipv4/ping.c").read_text() + "/* mine */\n")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "my.config").write_text('CONFIG_LOCALVERSION="-mine"\n')
    (folder / "testbed.toml").write_text('[libos.mykernel]\nabi = "kernel"\nsource = "../mine"\nconfig = "my.config"\n')
    (folder / "suites" / "mini").mkdir(parents=True)
    (folder / "suites" / "mini" / "test_mine.py").write_text(
        "import pytest\n\n\n@pytest.mark.scenario('pair')\ndef test_it_answers(network):\n"
        "    assert network.release.endswith('-mine')\n"
        "    assert '1 received' in network['h1'].run(['ping', '-c1', network['h2'].address()]).stdout\n"
    )
    words = [
        sys.executable,
        "-m",
        "testbed",
        "run",
        "suites/mini",
        "--libos",
        "mykernel",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2x identical" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before
