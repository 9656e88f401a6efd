# SPDX-License-Identifier: MIT
"""What only a guest can promise: exact times, identical bits, and an orderly end whatever happens in it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP

from testbed.backends import scratch as scratch_module
from testbed.backends.base import BackendOptions
from testbed.backends.guest import GuestStalled
from testbed.backends.registry import backend
from testbed.errors import GuestCrashed, InternalError
from testbed.paths import runtime_dir
from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from tests.backends.conftest import Up

pytestmark = pytest.mark.guest


def guests_of(owner: int) -> list[Path]:
    return [path for path in runtime_dir().iterdir() if path.name.startswith(f"net-{owner}-")]


def test_capture_times_are_exactly_the_delay_apart(up: Up) -> None:
    network = up("pair", delay_ms=10)
    network["h1"].run(["ping", "-c3", "-i1", network["h2"].address()])
    link = network.link("h1-h2")
    sent, received = (
        [round(p.time * 1e9) for p in link.packets(end) if ICMP in p and p[ICMP].type == 8] for end in ("h1", "h2")
    )
    assert len(sent) == len(received) == 3
    assert [there - here for here, there in zip(sent, received, strict=True)] == pytest.approx(
        [10_000_000] * 3, abs=5_000
    )


def test_hundred_virtual_hours_take_no_time(up: Up) -> None:
    network = up("single")
    begin = time.monotonic()
    network.sleep(360_000)
    assert network.now() >= 360_000
    assert time.monotonic() - begin < 5


def trace(seed: int, *, pauses: bool) -> tuple[str, list[tuple[int, bytes]]]:
    with backend().up(scenario("pair", delay_ms=5, jitter_ms=2, loss_ratio=0.2), seed=seed) as network:
        if pauses:
            time.sleep(0.1)
        out = network["h1"].run(["ping", "-c20", "-i0.1", network["h2"].address()], check=False).stdout
        out += network["h1"].run(["head", "-c8", "/proc/sys/kernel/random/uuid"]).stdout
        if pauses:
            time.sleep(0.1)
        frames = [(frame.time_ns, frame.data) for frame in network.link("h1-h2").frames("h2")]
        return out + f"{network.now():.9f}", frames


def test_same_seed_same_bits_and_another_seed_others() -> None:
    assert trace(1, pauses=False) == trace(1, pauses=True)
    assert trace(1, pauses=False) != trace(2, pauses=False)


# PID 1 cannot be harmed from a node; memory that nobody is killed for can.
PANIC = """
open("/proc/sys/vm/panic_on_oom", "w").write("2")
hog = []
while True:
    hog.append(bytearray(1 << 20))
"""


def test_guest_that_panics_is_crashed_with_its_log(up: Up) -> None:
    network = up("single", memory_mib=64)
    message = (
        r"(?s)^the guest died .*the end of its log:\n.*Kernel panic - not syncing: Out of memory: compulsory panic"
    )
    with pytest.raises(GuestCrashed, match=message):
        network["h1"].run(["python3", "-c", PANIC])
    with pytest.raises(GuestCrashed):
        network["h1"].read("/etc/hostname")


def test_guest_that_is_killed_is_crashed(up: Up) -> None:
    network = up("single")
    os.kill(network.session.peer.child.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    with pytest.raises(GuestCrashed, match=r"^the guest died \(killed by SIGKILL\): "):
        network["h1"].run(["true"])


def test_what_was_written_before_the_last_answer_outlives_the_guest(up: Up) -> None:
    network = up("single")
    talker = network["h1"].spawn(["sh", "-c", "echo early; exec sleep 1000"])
    network.sleep(1)
    os.kill(network.session.peer.child.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    with pytest.raises(GuestCrashed):
        network["h1"].read("/etc/hostname")
    assert bytes(talker._output[1]) == b"early\n"


def test_guest_that_spins_is_stalled_and_names_the_process(up: Up) -> None:
    network = up("single", stall_s=2.0)
    begin = time.monotonic()
    with pytest.raises(
        GuestStalled, match=r"^the guest made no progress for 2 s of wall time: sh\[\d+\] was running, in user"
    ):
        network["h1"].run(["sh", "-c", "while :; do :; done"])
    assert time.monotonic() - begin < 6


def test_guest_that_is_stopped_goes_on_and_is_not_stalled(up: Up) -> None:
    network = up("single", stall_s=1.0)
    pid = network.session.peer.child.pid  # type: ignore[attr-defined]
    code = f"import os,signal,time; os.kill({pid},signal.SIGSTOP); time.sleep(2); os.kill({pid},signal.SIGCONT)"
    helper = subprocess.Popen([sys.executable, "-c", code])
    network["h1"].run(["sh", "-c", "for i in $(seq 300); do /bin/true; done"])
    assert helper.wait(timeout=10) == 0


def test_network_past_its_wall_limit_is_given_up(up: Up) -> None:
    network = up("single", wall_limit_s=1.0)
    with pytest.raises(GuestStalled, match=r"^the network has lived for its 1 s of wall time: "):
        network["h1"].run(["sh", "-c", "while :; do /bin/true; done"], timeout=None)


def test_nothing_of_the_host_is_writable(up: Up, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("before")
    node = up("single", shares=(tmp_path,))["h1"]
    node.run(
        ["sh", "-c", f"echo after > {victim}; echo x > {tmp_path}/new; echo x > /etc/new-file-of-testbed"], check=False
    )
    assert victim.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim"]
    assert not Path("/etc/new-file-of-testbed").exists()


def test_where_a_file_of_the_host_lies_changes_no_bit(tmp_path: Path) -> None:
    """A folder that is masked in nodes, one behind a link, one that is visible: the virtual time is the same."""
    data = os.urandom(300_001)
    seen = Path.cwd() / f".{tmp_path.name}"
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    told = []
    try:
        for file in (tmp_path / "masked", link / "linked", seen):
            file.write_bytes(data)
            with backend().up(scenario("pair")) as network:
                network["h1"].install("/there", file)
                told.append(network.now())
                assert network["h2"].read("/there") == data
    finally:
        seen.unlink(missing_ok=True)
    assert len(set(told)) == 1


def test_a_copy_of_a_file_that_has_another_size_is_refused(up: Up, tmp_path: Path) -> None:
    network = up("single")
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    copy = partial(network.session.call, "copy", node="h1", path="/there", mode=0o644)
    with pytest.raises(InternalError, match=rf"the host's {file} has 3 bytes, not 4"):
        copy(size=4, host=os.fsencode(file))
    with pytest.raises(FileNotFoundError, match=rf"the host's {file}x"):
        copy(size=3, host=os.fsencode(f"{file}x"))


def test_down_leaves_nothing_behind(up: Up) -> None:
    network = up("pair")
    child = network.session.peer.child  # type: ignore[attr-defined]
    assert guests_of(os.getpid())
    network.down()
    assert not child.alive()
    assert guests_of(os.getpid()) == []


HELD = """
import os, signal
from testbed.backends.registry import backend
from testbed.scenarios.registry import scenario
network = backend().up(scenario("pair"))
network["h1"].spawn(["sleep", "1000"])
print(os.getpid(), network.session.peer.child.pid, flush=True)
signal.pause()
"""


def processes_below(folder: str) -> list[int]:
    """Find processes that have a folder as HOME: a guest and the processes that it made on the host."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if folder.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_parent_that_dies_leaves_no_guest(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", HELD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        owner, guest = map(int, parent.stdout.readline().split())
        (scratch,) = guests_of(owner)
        assert guest in processes_below(str(scratch))
        watch = os.pidfd_open(guest)
        parent.send_signal(how)
        parent.wait(timeout=10)
    assert select.select([watch], [], [], 10)[0], "the guest still runs"
    os.close(watch)
    deadline = time.monotonic() + 5
    while left := processes_below(str(scratch)):
        assert time.monotonic() < deadline, f"host processes of the guest still run: {left}"
        os.sched_yield()
    scratch_module.remove_stale.cache_clear()
    scratch_module.remove_stale()
    assert guests_of(owner) == []


def test_two_guests_at_once_do_not_meet(up: Up) -> None:
    first, second = up("pair"), up("pair", seed=2)
    first["h1"].write("/tmp/mark", b"1")
    with pytest.raises(FileNotFoundError):
        second["h1"].read("/tmp/mark")
    assert "1 received" in first["h1"].run(["ping", "-c1", first["h2"].address()]).stdout
    assert "1 received" in second["h1"].run(["ping", "-c1", second["h2"].address()]).stdout


def test_boot_to_first_reply_is_fast() -> None:
    """The figure is 0.06 s; the bound here leaves room for a busy machine."""
    took = []
    for _ in range(5):
        begin = time.monotonic()
        network = backend().up(scenario("single"), options=BackendOptions(capture=False))
        took.append(time.monotonic() - begin)
        network.down()
    assert min(took) < 0.2, took
