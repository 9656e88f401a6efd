# SPDX-License-Identifier: MIT
"""Nodes that are entered as CloudLab's are: as an ordinary user with a key, who becomes root by ``sudo -n``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.scenarios.registry import scenario
from tests.cloudlab.rig import USER, Rig, missing
from tests.cloudlab.test_command import end, start, verdicts
from tests.cloudlab.test_network import state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORE = f"/var/tmp/testbed-{USER}"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two nodes on one LAN that only an ordinary user enters."""
    if (why := missing("sudo")) is not None:
        pytest.skip(why)
    with Rig(tmp_path_factory.mktemp("users"), scenario("lan", n=2), user=USER) as rig:
        yield rig


def test_check_run_and_clean(users: Rig, tmp_path: Path) -> None:
    before = [state(box) for box in users.boxes.values()]
    assert "2 nodes are fit: h1, h2" in end(start(users, "check"), 0)
    assert users.boxes["h1"].enter("ls", "/var/tmp") == "", "a look leaves something"
    folder = tmp_path / "suites" / "user"
    folder.mkdir(parents=True)
    (folder / "test_user.py").write_text(
        "import pytest\n"
        '@pytest.mark.scenario("lan", n=2)\n'
        "def test_user(network):\n"
        '    assert network["h1"].run(["id", "-u"]).stdout == "0\\n"\n'
        '    network["h1"].run(["ping", "-c1", network["h2"].address()])\n'
    )
    words = end(start(users, "run", "suites/user", "--run-dir", "run", cwd=tmp_path), 0)
    assert verdicts(tmp_path / "run") == {"test_user.test_user": "passed"}, words
    box = users.boxes["h1"]
    assert box.enter("stat", "-c", "%U", STORE).strip() == USER
    # The agent and the script: what SFTP, which has no sudo, has put there.
    assert len(box.enter("find", STORE, "-maxdepth", "1", "-type", "f", "-user", USER).split()) == 2
    assert "clean: h1, h2" in end(start(users, "clean"), 0)
    assert [state(one) for one in users.boxes.values()] == before
    assert box.enter("ls", "/var/tmp") == ""


def test_a_sudo_that_wants_a_password(users: Rig) -> None:
    box = users.boxes["h2"]
    good = box.enter("cat", "/etc/sudoers").strip()
    box.enter("sh", "-c", f"echo '{good.replace('NOPASSWD:', '')}' >/etc/sudoers")
    try:
        words = end(start(users, "check"), 7)
    finally:
        box.enter("sh", "-c", f"echo '{good}' >/etc/sudoers")
    assert "BAD  h2       unfit (root): the first command as root ended with 1: sudo: a password is required" in words
    assert "BAD  h1" not in words
