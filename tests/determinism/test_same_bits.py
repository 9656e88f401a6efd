# SPDX-License-Identifier: MIT
"""One seed, one digest: whatever the host is doing, whoever asks, and from wherever."""

from __future__ import annotations

import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.agent.protocol import Channel
from testbed.backends.guest import Guest
from testbed.harness.records import Record
from tests.determinism.reference import assert_same, busy, environment, execute, reference_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.backends.network import Network

pytestmark = pytest.mark.guest

NOBODY = 65534
BURN = "while True: pass"


@pytest.fixture
def busy_host() -> Iterator[None]:
    """Keep four processes computing: twice as many as there are CPUs on a small machine."""
    hogs = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(4)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def test_twenty_times_in_a_row(recorded: Path, tmp_path: Path) -> None:
    for number in range(20):
        execute(tmp_path / str(number))
        assert_same(recorded, tmp_path / str(number))


def test_the_reference_case_has_all_kinds_of_parts(recorded: Path) -> None:
    record = Record.load(recorded)
    kinds = {part.partition(":")[0] for part in record.parts}
    assert kinds == {"commands", "process", "capture"}
    assert all(capture.bytes > 10_000 for capture in record.captures)
    assert len(record.captures) == 2
    assert not record.left_out


def test_another_seed_gives_other_bits(recorded: Path, tmp_path: Path) -> None:
    other = execute(tmp_path / "other", seed=4712)
    mine = Record.load(recorded)
    assert other.parts.keys() == mine.parts.keys()
    same = [part for part in mine.parts if mine.parts[part] == other.parts[part]]
    assert not same, f"the seed does not reach {same}"


@pytest.mark.usefixtures("busy_host")
def test_busy_host(recorded: Path, tmp_path: Path) -> None:
    for number in range(3):
        execute(tmp_path / str(number))
        assert_same(recorded, tmp_path / str(number))


def test_two_guests_at_once(recorded: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(execute, [tmp_path / str(number) for number in range(4)]))
    for number in range(4):
        assert_same(recorded, tmp_path / str(number))


def test_random_pauses_between_commands(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(1)
    request, pauses = Channel.request, []

    def hesitant(self: Channel, *args: Any) -> Any:
        pauses.append(dice.uniform(0, 0.1))
        time.sleep(pauses[-1])
        return request(self, *args)

    monkeypatch.setattr(Channel, "request", hesitant)
    execute(tmp_path / "slow")
    assert len(pauses) > 5
    assert_same(recorded, tmp_path / "slow")


def large(network: Network) -> None:
    """Hand over more than any buffer holds: a file, and a process's input."""
    data = random.Random(2).randbytes(3 << 20)
    h1 = network["h1"]
    h1.write("/tmp/data", data)
    h1.run(["sha256sum"], input=data[: 1 << 20])
    h1.run(["stat", "-c", "%s %y %z", "/tmp/data"])


def test_requests_that_arrive_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(tmp_path / "at-once", drive=large)
    dice = random.Random(3)
    pieces = []

    def dribble(self: Channel) -> None:
        rest = memoryview(self._request)
        self._sock.settimeout(10)
        while rest:
            pieces.append(dice.choice([1, 3, 100, 5000, 300_000]))
            count = self._sock.send(rest[: pieces[-1]])
            rest = rest[count:]
            time.sleep(dice.choice([0, 0, 0.003]))

    monkeypatch.setattr(Channel, "_send", dribble)
    execute(tmp_path / "dribbled", drive=large)
    assert len(pieces) > 50
    assert_same(tmp_path / "at-once", tmp_path / "dribbled")


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["its kernel", "all its processes"])
def test_a_guest_that_is_stopped_in_mid_run(recorded: Path, tmp_path: Path, send: Callable[[int, int], None]) -> None:
    stops = 0
    over = threading.Event()

    def nag(pid: int) -> None:
        nonlocal stops
        while not over.wait(0.01):
            send(pid, signal.SIGSTOP)
            time.sleep(0.02)
            send(pid, signal.SIGCONT)
            stops += 1

    def drive(network: Network) -> None:
        guest = network.session.peer
        assert isinstance(guest, Guest)
        thread = threading.Thread(target=nag, args=(guest.child.pid,))
        thread.start()
        try:
            busy(network)
        finally:
            over.set()
            thread.join()

    execute(tmp_path / "stopped", drive=drive)
    assert stops >= 5
    assert_same(recorded, tmp_path / "stopped")


def test_with_a_terminal_and_without(recorded: Path, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    try:
        command = reference_command(tmp_path / "terminal")
        subprocess.run(command, stdin=slave, stdout=slave, stderr=slave, env=environment(), check=True, timeout=60)
    finally:
        os.close(master)
        os.close(slave)
    command = reference_command(tmp_path / "none")
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(), check=True, timeout=60)
    for name in ("terminal", "none"):
        assert_same(recorded, tmp_path / name)


def test_another_folder_and_environment(recorded: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a folder with a rather long name, so that the stack moves"
    odd.mkdir()
    changes = {
        "HOME": str(odd),
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C",
        "COLUMNS": "33",
        "TZ": "Asia/Tokyo",
        "TMPDIR": str(odd),
        "PYTHONHASHSEED": "12345",
        "LD_BIND_NOW": "1",
        "FILLER": "x" * 5000,
    }
    command = reference_command(tmp_path / "odd")
    subprocess.run(
        command, cwd=odd, env=environment(**changes), check=True, timeout=60, umask=0o077, stdin=subprocess.DEVNULL
    )
    assert_same(recorded, tmp_path / "odd")


def test_few_open_files_on_the_host(tmp_path: Path, visible_folder: Path) -> None:
    """The guest's kernel holds a file of the host open for as long as it caches it: a low soft limit must not show."""
    for number in range(400):
        (visible_folder / str(number)).write_text("x")

    def drive(network: Network) -> None:
        assert network["h1"].run(["sh", "-c", f"cd {visible_folder} && cat * | wc -c"]).stdout.strip() == "400"

    execute(tmp_path / "many", drive=drive)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        execute(tmp_path / "few", drive=drive)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert_same(tmp_path / "many", tmp_path / "few")


def test_reading_a_file_moves_no_access_time(tmp_path: Path, visible_folder: Path) -> None:
    file = visible_folder / "old"
    file.write_text("x")
    os.utime(file, (1_000_000_000, 1_000_000_001))

    def drive(network: Network) -> None:
        network["h1"].run(["stat", "-c", "%x %y", str(file)])
        network["h1"].run(["cat", str(file)])

    for name in ("first", "second"):
        execute(tmp_path / name, drive=drive)
    assert_same(tmp_path / "first", tmp_path / "second")
    assert file.stat().st_atime == 1_000_000_000, "the guest has changed a file's time on the host"


def test_with_other_limits(recorded: Path, tmp_path: Path) -> None:
    limits = ["sh", "-c", 'ulimit -n 256 -s 4096 -c 0; exec "$@"', "sh"]
    subprocess.run([*limits, *reference_command(tmp_path / "limited")], env=environment(), check=True, timeout=60)
    assert_same(recorded, tmp_path / "limited")


def test_root_and_an_ordinary_user(recorded: Path, public_artifacts: dict[str, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv(1) (util-linux)")
    folder = Path(tempfile.mkdtemp(prefix="testbed-nobody-"))
    try:
        os.chown(folder, NOBODY, NOBODY)
        environ = environment(HOME=str(folder), TMPDIR=str(folder), TESTBED_CACHE=str(folder), **public_artifacts)
        environ.pop("XDG_RUNTIME_DIR", None)
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
        command = [*user, *reference_command(folder / "record")]
        done = subprocess.run(command, env=environ, cwd="/", check=False, timeout=60, capture_output=True, text=True)
        if "Permission denied" in done.stderr and "site-packages" not in done.stderr and "import" in done.stderr:
            pytest.skip(f"an ordinary user cannot read this source tree: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        assert_same(recorded, folder / "record")
    finally:
        shutil.rmtree(folder)
