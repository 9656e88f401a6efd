# SPDX-License-Identifier: MIT
"""Running kbuild: configure, compile, count what it does, and pass on its own words when it fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.errors import BuildError
from testbed.libos.linux import precompiled
from testbed.libos.linux.progress import BuildProgress, Progress
from testbed.libos.linux.toolchain import Toolchain, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

# Steps of a full build of the shipped fragments, for the first build; afterwards the source's own count is known.
TYPICAL_STEPS = 1560

_STEP = re.compile(r"  ([A-Z][A-Z0-9_]+)  +(\S+)")
_ERROR = re.compile(r"\berror\b:|\bError \d+|undefined reference|No such file|No rule to make|\*\*\*", re.IGNORECASE)
_WORDS_LINES = 15


class Make:
    """Kbuild in one working tree.

    Args:
        tree: The patched source.
        build: Kbuild's output folder, inside the tree.
        tools: Compiler, linker, ccache.
        log: File that everything said is appended to.
        log_if_failed: Where that file will be when the build has failed; named in errors.
        precompile: Compile with precompiled headers.
    """

    def __init__(
        self,
        tree: Path,
        build: Path,
        tools: Toolchain,
        *,
        log: Path,
        log_if_failed: Path,
        precompile: bool = False,
    ) -> None:
        self.tree = tree
        self.build = build
        self.tools = tools
        self.log = log
        self.log_if_failed = log_if_failed
        self._env = environment(tools, tree, wrapper=precompiled.digest() if precompile else None)
        self._compiler = "gcc"
        if precompile:
            self._compiler = precompiled.compiler(build)

    def configure(self, fragment: str) -> None:
        """Make ``.config`` from allnoconfig and a fragment; unchanged options rebuild nothing.

        Raises:
            BuildError: Kconfig failed.
        """
        self.build.mkdir(parents=True, exist_ok=True)
        wanted = self.build / "tb-fragment.config"
        if wanted.is_file() and wanted.read_text() == fragment and (self.build / ".config").is_file():
            return
        wanted.write_text(fragment)
        self._run(["allnoconfig"], {"KCONFIG_ALLCONFIG": str(wanted)}, lambda _: None)

    def compile(self, jobs: int, total: int | None, progress: Progress) -> int:
        """Build the kernel.

        Args:
            jobs: Compilers at a time.
            total: Steps expected, or None where nobody knows.
            progress: Called at each step.

        Returns:
            The number of steps that it took.

        Raises:
            BuildError: The compiler or linker failed; with their last words.
        """
        done = 0

        def follow(line: str) -> None:
            nonlocal done
            if step := _STEP.match(line):
                done += 1
                expected = max(done, total) if total is not None else None
                progress(BuildProgress("compile", done, expected, step.group(2)))

        if self._compiler != "gcc":
            self._run([f"-j{jobs}", precompiled.REFERENCE], {}, follow)
            if words := precompiled.precompile(self.build, self._env):
                with self.log.open("a") as log:
                    log.write(f"no precompiled headers:\n{words}\n")
        self._run([f"-j{jobs}", "linux"], {}, follow)
        return done

    def _run(self, targets: Sequence[str], extra: dict[str, str], follow: Callable[[str], None]) -> None:
        ccache = f"{self.tools.ccache} " if self.tools.ccache else ""
        # LOCALVERSION= keeps the state of a git checkout out of the version string.
        fixed = [
            "ARCH=um",
            f"O={self.build.name}",
            "LOCALVERSION=",
            f"CC={ccache}{self._compiler}",
            f"HOSTCC={ccache}gcc",
        ]
        # A make whose parent was killed ends too, and takes its compilers along.
        command = ["setpriv", "--pdeathsig", "TERM", "make", "-C", str(self.tree), *fixed, *targets]
        last: deque[str] = deque(maxlen=_WORDS_LINES)
        errors: deque[str] = deque(maxlen=_WORDS_LINES)
        with self.log.open("a", buffering=1) as log:  # whole lines, for who follows the log
            log.write("$ " + " ".join(command) + "\n")
            with _started(command, {**self._env, **extra}) as process:
                for line in _lines(process):
                    log.write(line)
                    last.append(line.rstrip("\n"))
                    if _ERROR.search(line):
                        errors.append(line.rstrip("\n"))
                    follow(line)
                code = process.wait()
            log.write(f"exit code {code}\n")
        if code:
            words = "\n".join(f"  {line}" for line in (errors or last))
            raise BuildError(
                f"'make {' '.join(targets)}' failed with exit code {code}:\n{words}\nlog: {self.log_if_failed}"
            )


@contextmanager
def _started(command: Sequence[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process group of its own, which ends with the block."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is not None:
        yield from process.stdout
