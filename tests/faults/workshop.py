# SPDX-License-Identifier: MIT
"""A user's folder: suites of its own, runs beside them, and the real command ``testbed`` started in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_S = 120.0
TESTBED = Path(sys.executable).with_name("testbed")


class Workshop:
    """A folder in which a user works.

    Args:
        folder: The folder; it exists.
        env: What the environment has beside the caller's.
    """

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.temporary = folder / "temporary"
        self.env = {**os.environ, "COLUMNS": "200", "TESTBED_RUNS": str(folder / "runs"), **(env or {})}
        self.env.pop("PYTEST_XDIST_WORKER", None)

    def suite(self, text: str, *, name: str = "mini", file: str = "test_it.py") -> Path:
        """Write a suite of one file; give the file."""
        path = self.folder / "suites" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(textwrap.dedent(text))
        return path

    def testbed(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``testbed WORDS...`` without a terminal, to its end."""
        return self.command(str(TESTBED), *words, env=env)

    def command(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run any command in the folder, to its end."""
        return subprocess.run(
            argv,
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the suite ``mini``, each case once, one at a time, into ``self.run_dir``; ``words`` come last."""
        return self.testbed(*self.words(), *words)

    def words(self) -> list[str]:
        """Give the words of :meth:`run`."""
        return ["run", "mini", "--repeat", "1", "--run-dir", str(self.run_dir), "-n", "1"]

    def start(self, *words: str) -> Running:
        """Start ``testbed WORDS...`` in a process group of its own."""
        return Running([str(TESTBED), *words], self.folder, self.env)

    def document(self, run_dir: Path | None = None) -> dict[str, Any]:
        """Read ``run.json``."""
        found: dict[str, Any] = json.loads(((run_dir or self.run_dir) / "run.json").read_text())
        return found

    def case(self, name: str, run_dir: Path | None = None) -> dict[str, Any]:
        """Give the only case whose test is called so."""
        cases: list[dict[str, Any]] = self.document(run_dir)["cases"]
        (found,) = [case for case in cases if case["nodeid"].rpartition("::")[2] == f"test_{name}"]
        return found

    def record(self, name: str, run_dir: Path | None = None) -> Path:
        """Give the folder of the first execution of a case."""
        return (run_dir or self.run_dir) / str(self.case(name, run_dir)["folder"]) / "1"

    def without(self, *programs: str) -> str:
        """Make a PATH with the programs of the caller's PATH except these; give its value."""
        folder = self.folder / "bin"
        folder.mkdir()
        for place in os.environ["PATH"].split(":"):
            for program in Path(place).glob("*"):
                link = folder / program.name
                if program.name not in programs and not link.is_symlink() and os.access(program, os.X_OK):
                    link.symlink_to(program)
        return str(folder)


class Running:
    """A command that runs; ended at the end of a ``with``, if nothing else did it.

    ``waiter`` is the process in which a case waits, once a test has learnt it.
    """

    waiter = 0

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            list(argv),
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends SIGINT to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Wait for the end; give the exit code and all output."""
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, output
