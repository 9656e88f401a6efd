# SPDX-License-Identifier: MIT
"""gdb(1) at a guest's kernel, an ordinary process of the host: virtual time stands still while it is stopped."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from testbed.errors import CapabilityError, TestbedError

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_ATTACH_S = 60
_TRAPPED = "handle all nostop noprint pass"  # the kernel lives on SIGSEGV (page faults), SIGALRM (timers), SIGIO
COMMANDS = """\
set pagination off
set confirm off
set print thread-events off
set breakpoint pending on
{signals}
shell printf 1 >{fifo}
"""


class Debugger:
    """gdb, attached to a process that it can stop and look into.

    Args:
        pid: The guest's kernel on the host.
        script: File of gdb commands that are executed in batch, then ``continue``; None is a dialogue on the terminal.

    Raises:
        CapabilityError: There is no gdb, or this user may not trace.
        TestbedError: gdb ended before it was attached; it said why.
    """

    def __init__(self, pid: int, script: Path | None = None) -> None:
        check()
        self._folder = Path(tempfile.mkdtemp(prefix="testbed-gdb-"))
        try:
            self._child = self._start(pid, script)
            self._await()
        finally:
            shutil.rmtree(self._folder)

    def wait(self) -> int:
        """Wait until gdb ends, and give its exit status."""
        return self._child.wait()

    def _start(self, pid: int, script: Path | None) -> subprocess.Popen[bytes]:
        fifo, commands = self._folder / "ready", self._folder / "commands"
        os.mkfifo(fifo)
        commands.write_text(COMMANDS.format(signals=_TRAPPED, fifo=shlex.quote(str(fifo))))
        argv = ["gdb", "-q", "-iex", "set debuginfod enabled off"]  # it would ask servers, or us
        argv += ["-nx", "-batch"] if script is not None else []
        argv += ["-p", str(pid), "-x", str(commands)]
        argv += ["-x", str(script), "-ex", "continue"] if script is not None else []
        self._ready = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL if script is not None else None)
        if script is None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is gdb's: it stops the kernel
        return child

    def _await(self) -> None:
        """Wait until gdb holds the process: only then may the test go on."""
        ended = os.pidfd_open(self._child.pid)
        try:
            poll = select.poll()
            poll.register(self._ready, select.POLLIN)
            poll.register(ended, select.POLLIN)
            seen = {fd for fd, _ in poll.poll(_ATTACH_S * 1000)}
        finally:
            os.close(ended)
            os.close(self._ready)
        if self._ready not in seen:
            self._child.kill()
            self._child.wait()
            raise TestbedError("gdb did not attach to the guest's kernel; its own words are above")


def check() -> None:
    """Refuse what cannot work, before anything runs.

    Raises:
        CapabilityError: There is no gdb, or Yama forbids an ordinary user to attach to a process that is no descendant.
    """
    if shutil.which("gdb") is None:
        raise CapabilityError("there is no gdb", hint="apt-get install gdb")
    scope = int(YAMA.read_text()) if YAMA.exists() else 0
    if scope >= 1 and os.geteuid() != 0:
        raise CapabilityError(
            f"an ordinary user may not attach gdb here: kernel.yama.ptrace_scope is {scope}",
            hint="sysctl -w kernel.yama.ptrace_scope=0 as root, or start testbed as root",
        )
