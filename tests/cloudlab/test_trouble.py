# SPDX-License-Identifier: MIT
"""What goes wrong with nodes: each trouble has its own verdict, and nothing else is touched."""

from __future__ import annotations

import concurrent.futures.thread
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from testbed.backends.cloudlab import facts, nodes, ssh
from testbed.backends.cloudlab.manifest import read_manifest
from testbed.backends.cloudlab.problems import NodeError
from testbed.backends.cloudlab.ssh import Access, Connection
from testbed.backends.cloudlab.store import SPARE_BYTES, Store, store_path
from testbed.errors import InternalError
from testbed.scenarios.registry import scenario
from tests.cloudlab.test_network import state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.backends.cloudlab.backend import CloudlabBackend
    from tests.cloudlab.rig import Rig

LAN = scenario("lan", n=2)


def trouble(backend: CloudlabBackend) -> NodeError:
    """Bring a network up that cannot come up."""
    with pytest.raises(NodeError) as found:
        backend.up(LAN)
    return found.value


def test_a_key_that_the_node_does_not_take(rig: Rig, make: Callable[..., CloudlabBackend], tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    error = trouble(make(identity=tmp_path / "other"))
    assert (error.node, error.verdict) == ("h1", "refused key")
    assert str(tmp_path / "other") in error.detail
    assert rig.boxes["h1"].address in error.detail


def test_a_host_key_that_changed(rig: Rig, make: Callable[..., CloudlabBackend], tmp_path: Path) -> None:
    one, other = rig.known_hosts.read_text().splitlines()
    swapped = tmp_path / "known_hosts"
    address = rig.boxes["h2"].address
    swapped.write_text(f"{one}\n{address} {one.partition(' ')[2]}\n")
    error = trouble(make(known_hosts=swapped))
    assert (error.node, error.verdict) == ("h2", "changed host key")
    assert error.hint is not None
    assert f"-R {address}" in error.hint
    assert other not in swapped.read_text()


def test_a_host_key_that_nobody_knows(make: Callable[..., CloudlabBackend], tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    error = trouble(make(known_hosts=tmp_path / "known_hosts"))
    assert (error.node, error.verdict) == ("h1", "unknown host key")


def test_a_slow_node(rig: Rig, make: Callable[..., CloudlabBackend]) -> None:
    sshd = rig.boxes["h2"].sshd
    assert sshd is not None
    (child,) = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(sshd.pid)], capture_output=True, check=True
    ).stdout.split()
    os.kill(int(child), signal.SIGSTOP)
    try:
        error = trouble(make(patience_s=3.0))
    finally:
        os.kill(int(child), signal.SIGCONT)
    assert (error.node, error.verdict) == ("h2", "slow node")
    assert "within 3 s" in error.detail


def test_a_node_that_is_off(rig: Rig, make: Callable[..., CloudlabBackend]) -> None:
    box = rig.boxes["h1"]
    box.power_off()
    try:
        error = trouble(make(patience_s=3.0))
    finally:
        box.start_sshd()
    assert (error.node, error.verdict) == ("h1", "no answer")


def test_a_node_that_goes_in_mid_run_and_comes_back(
    rig: Rig, make: Callable[..., CloudlabBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make()
    box = rig.boxes["h2"]
    before = state(box)
    network = backend.up(LAN)
    box.power_off()
    with pytest.raises(NodeError) as found:
        network["h2"].run("true")
    assert (found.value.node, found.value.verdict) == ("h2", "connection lost")
    assert found.value.hint is not None
    assert "--resume" in found.value.hint
    assert isinstance(network.died, NodeError)
    with pytest.raises(NodeError):
        network["h1"].run("true")
    network.down()
    assert [trouble(backend).verdict for _ in range(3)] == ["no answer", "no answer", "gone"]
    monkeypatch.setattr(nodes, "_AGAIN_S", 0)
    box.start_sshd()
    with backend.up(LAN) as again:  # what the lost network left there is undone first
        assert again["h2"].run("true").returncode == 0
    assert state(box) == before


def test_a_node_that_falls_off_the_management_network_and_comes_back(
    rig: Rig, make: Callable[..., CloudlabBackend]
) -> None:
    backend = make()
    box = rig.boxes["h2"]
    before = state(box)
    network = backend.up(LAN)
    rig.cut("h2")
    try:
        with pytest.raises(NodeError) as found:
            network["h2"].run("true")  # nobody says that it is gone: the keep-alives find out
    finally:
        rig.cut("h2", joined=True)
    assert found.value.verdict == "connection lost"
    network.down()
    with backend.up(LAN) as again:  # the agent of the lost network may run there still: it is ended
        assert "1 received" in again["h2"].run(["ping", "-c1", again["h1"].address()]).stdout
    assert state(box) == before


def test_a_killed_controller_leaves_nodes_as_they_were(rig: Rig, make: Callable[..., CloudlabBackend]) -> None:
    make().up(LAN).down()
    before = [state(box) for box in rig.boxes.values()]
    code = "from testbed.backends.registry import backend; from testbed.scenarios.registry import scenario\n"
    code += "network = backend('cloudlab').up(scenario('lan', n=2)); print('up', flush=True); network.sleep(60)"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, env={**os.environ, **rig.environment()}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert [state(box) for box in rig.boxes.values()] != before
        process.kill()
    until = time.monotonic() + 20
    while [state(box) for box in rig.boxes.values()] != before:
        assert time.monotonic() < until


def test_a_node_that_somebody_else_uses(make: Callable[..., CloudlabBackend]) -> None:
    with make().up(LAN) as network:
        error = trouble(make())
        assert error.verdict == "in use"
        assert f":{os.getpid()}:" in error.detail
        with make(take_over=True).up(LAN) as taken:
            assert taken["h1"].run("true").returncode == 0
        network.live = False  # it was ended
        network.session.close()


@pytest.fixture
def connection(rig: Rig) -> Iterator[Connection]:
    machine = read_manifest(rig.manifest).machines["h1"]
    connection = Connection(machine, Access(known_hosts=rig.known_hosts, identities=(rig.identity,)))
    yield connection
    connection.close()


def fill(rig: Rig, left_bytes: int) -> None:
    """Leave so much room on h1."""
    free = int(rig.boxes["h1"].enter("df", "--output=avail", "-B1", "/var/tmp").split()[1])
    rig.boxes["h1"].enter("fallocate", "-l", str(free - left_bytes), "/var/tmp/filling")


def test_no_space_is_known_before_anything_is_sent(
    rig: Rig, make: Callable[..., CloudlabBackend], connection: Connection
) -> None:
    connection.run(["rm", "-rf", store_path("root")])
    fill(rig, 1 << 20)
    try:
        error = trouble(make())
        assert (error.node, error.verdict) == ("h1", "no space"), error
        assert "0.0 GiB" in error.detail
    finally:
        rig.boxes["h1"].enter("rm", "/var/tmp/filling")
    make().up(LAN).down()


def test_a_disk_that_fills_in_mid_transfer(rig: Rig, connection: Connection, tmp_path: Path) -> None:
    file = tmp_path / "artifact"
    file.write_bytes(os.urandom(8 << 20))
    store = Store(connection, facts.ask(connection, make=True))
    fill(rig, 4 << 20)
    try:
        with pytest.raises(NodeError, match=r"^node h1: no space: .*artifact \(8\.0 MiB\)"):
            store.put([file])
        assert connection.run(["ls", f"{store.path}/incoming"]).stdout == ""
    finally:
        rig.boxes["h1"].enter("rm", "/var/tmp/filling")
    store.put([file])
    assert store.missing([file]) == []
    assert store.sent_bytes == 8 << 20
    store.put([file])
    assert store.sent_bytes == 8 << 20, "sent again"
    assert Store(connection, facts.ask(connection)).missing([file]) == []
    assert SPARE_BYTES > 8 << 20


def test_the_thread_of_the_connections_cannot_wait_for_itself(connection: Connection) -> None:
    asked: list[BaseException] = []

    async def ask() -> None:
        try:
            connection.run(["true"])
        except InternalError as error:
            asked.append(error)

    ssh._loop().run(ask(), 10)
    assert str(asked[0]) == "the thread of the ssh connections was to wait for itself"
    assert connection.run(["echo", "on"]).stdout == "on\n"


def test_a_forgotten_network_holds_nobody_up(rig: Rig, make: Callable[..., CloudlabBackend]) -> None:
    """The collector may run in the middle of a submit to an executor, whose lock a new connection waits for."""
    network = make().up(LAN)
    machine = read_manifest(rig.manifest).machines["h1"]
    access = Access(known_hosts=rig.known_hosts, identities=(rig.identity,), patience_s=10.0)
    connected: list[Connection] = []
    thread = threading.Thread(target=lambda: connected.append(Connection(machine, access)))
    with concurrent.futures.thread._global_shutdown_lock:
        thread.start()
        time.sleep(0.3)  # it waits for the lock now
        del network
        gc.collect()
    thread.join()
    assert len(connected) == 1, "it was not let in within its patience"
    connected[0].close()
