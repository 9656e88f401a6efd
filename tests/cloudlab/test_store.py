# SPDX-License-Identifier: MIT
"""The store of a node: only whole files count, and what the node refuses is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from testbed.backends.cloudlab import facts, store
from testbed.backends.cloudlab.manifest import read_manifest
from testbed.backends.cloudlab.problems import NodeError
from testbed.backends.cloudlab.ssh import Access, Connection
from testbed.backends.cloudlab.store import Store, store_path
from testbed.scenarios.registry import scenario
from tests.cloudlab.test_command import end, findings, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.backends.cloudlab.backend import CloudlabBackend
    from tests.cloudlab.rig import Rig

LAN = scenario("lan", n=2)
FOLDER = store_path("root")


@pytest.fixture
def connection(rig: Rig) -> Iterator[Connection]:
    machine = read_manifest(rig.manifest).machines["h1"]
    connection = Connection(machine, Access(known_hosts=rig.known_hosts, identities=(rig.identity,)))
    yield connection
    connection.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    path.write_bytes(os.urandom(12_000))
    return path


def test_a_file_with_other_bytes_of_the_same_number_is_sent_again(
    rig: Rig, make: Callable[..., CloudlabBackend]
) -> None:
    make().up(LAN).down()
    box = rig.boxes["h1"]
    names = box.enter("find", FOLDER, "-maxdepth", "1", "-type", "f", "-printf", "%f\\n").split()
    assert len(names) >= 2
    for name in names:  # the agent and the script: as after a loss of power in the middle of it
        box.enter("sh", "-c", f"n=$(stat -c %s {FOLDER}/{name}); head -c $n /dev/zero >{FOLDER}/{name}")
    told = [row["text"] for row in findings(rig) if (row["node"], row["what"]) == ("h1", "store")]
    assert told == [f"{len(names)} damaged files there; a run sends what it needs again"]
    with make().up(LAN) as network:
        assert network["h1"].run("true").returncode == 0
    digests = {line.split()[0] for line in box.enter("sh", "-c", f"sha256sum {FOLDER}/{'?' * 64}").splitlines()}
    assert store.digest(store.script()) in digests


def test_a_look_leaves_nothing(rig: Rig, connection: Connection) -> None:
    connection.run(["rm", "-rf", FOLDER])
    end(start(rig, "check"), 0)
    assert rig.boxes["h1"].enter("ls", "/var/tmp") == ""
    assert facts.ask(connection).free_bytes > 1 << 20
    facts.ask(connection, make=True)
    assert rig.boxes["h1"].enter("ls", "/var/tmp") == "testbed-root\n"


def test_a_file_that_the_node_refuses(connection: Connection, file: Path) -> None:
    kept = Store(connection, facts.ask(connection, make=True))
    connection.run(["rm", "-r", f"{FOLDER}/incoming"])
    with pytest.raises(NodeError, match=rf"^node h1: refused file: {FOLDER}/[0-9a-f]{{64}}: "):
        kept.put([file])
    kept = Store(connection, facts.ask(connection, make=True))
    kept.put([file])
    assert kept.missing([file]) == []


def test_a_file_that_changes_while_it_is_sent(
    connection: Connection, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Store(connection, facts.ask(connection, make=True))
    whole = asyncssh.SFTPClient.put

    async def put(self: asyncssh.SFTPClient, local: str, remote: str, **more: Any) -> None:
        with file.open("ab") as growing:
            growing.write(b"more")
        await whole(self, local, remote, **more)

    monkeypatch.setattr(asyncssh.SFTPClient, "put", put)
    with pytest.raises(NodeError, match=r"^node h1: broken transfer: artifact changed while it was sent$"):
        kept.put([file])
    assert connection.run(["ls", f"{FOLDER}/incoming"]).stdout == ""


def test_the_nic_is_found_beside_interfaces_that_stand_on_it(rig: Rig, connection: Connection) -> None:
    box = rig.boxes["h1"]
    mac = box.macs["exp0"]
    box.enter("ip", "link", "add", "a0", "link", "exp0", "address", mac, "type", "macvlan")
    try:
        assert facts.ask(connection).nics[mac].name == "exp0"
    finally:
        box.enter("ip", "link", "del", "a0")
