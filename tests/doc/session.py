# SPDX-License-Identifier: MIT
"""A reader of one page: a folder and a shell in which the page's commands are typed one after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .compare import agrees, difference
from .pages import commands

if TYPE_CHECKING:
    from .pages import Block

LIMIT_S = 180
"""Wall time that a block may take, s: far more than it does, even on a busy machine."""
TOO_LONG = -1000  # in the place of an exit code
ADVICE = """\
The manual's commands are run by this test, in a small checkout (tests/doc/workshop.py). If this one is right but cannot
be run there, say so in a comment on the line right above the block:
  <!-- not run: REASON -->        not run (root, a kernel's build, a machine far away); keep these few
  <!-- exits 1 -->                the last command's exit code
  <!-- before: COMMANDS -->       what has to be there first, not shown to readers
  <!-- file: suites/mine/test_x.py -->   above a python block: it lies there for what follows
Output of a console block may have ... for any text, alone on a line for any lines; times in seconds may differ."""
_STATE = """
trap '__code=$?; pwd >"$TESTBED_DOC_STATE/cwd"; export -p >"$TESTBED_DOC_STATE/env"; exit $__code' EXIT
[ ! -e "$TESTBED_DOC_STATE/env" ] || . "$TESTBED_DOC_STATE/env"
[ ! -e "$TESTBED_DOC_STATE/cwd" ] || cd "$(cat "$TESTBED_DOC_STATE/cwd")"
set -e
"""


class PageError(AssertionError):
    """A command of a page does not do what the page says."""


@dataclass(frozen=True)
class Session:
    """The shell of a page.

    Args:
        folder: The checkout that the reader stands in at first.
        state: Folder for what lasts from one command to the next: the current folder, exported variables.
        repository: What ``REPOSITORY`` in a command stands for.
        template: Of clones.
        cache: Where testbed keeps what it builds.
        limit_s: Wall time that a block may take, s.
    """

    folder: Path
    state: Path
    repository: Path
    template: Path
    cache: Path
    limit_s: float = LIMIT_S

    def play(self, block: Block) -> None:
        """Run a block.

        Raises:
            PageError: A command's exit code or output is another than the page says.
        """
        if block.before:
            self._expect(block, self._run(block.before), 0, f"(before) {block.before}")
        if block.file is not None:
            path = self._here() / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            return
        every = commands(block)
        if not every:
            raise PageError(
                f"{block.where}: a {block.language} block without a command (they begin with '$ ')\n{ADVICE}"
            )
        for command in every:
            done = self._run(command.text)
            self._expect(block, done, block.exits if command is every[-1] else 0, command.text)
            if command.shown is not None and not agrees(command.shown, done.stdout):
                shown = difference(command.shown, done.stdout)
                raise PageError(f"{block.where}: the output is another\n$ {command.text}\n{shown}\n\n{ADVICE}")

    def _here(self) -> Path:
        """Give the folder that the reader stands in."""
        saved = self.state / "cwd"
        return Path(saved.read_text().strip()) if saved.exists() else self.folder

    def _run(self, text: str) -> subprocess.CompletedProcess[str]:
        own = {
            "PATH": f"{self.folder}/.venv/bin:{os.environ['PATH']}",
            "HOME": str(self.state),
            "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
            "TESTBED_CACHE": str(self.cache),
            "TESTBED_DOC_STATE": str(self.state),
            "GIT_TEMPLATE_DIR": str(self.template),
            "GIT_CONFIG_NOSYSTEM": "1",
            "COLUMNS": "120",
            "LANG": "C.UTF-8",
        }
        kept = {name: os.environ[name] for name in ("TERM", "CI") if name in os.environ}
        argv = ["bash", "--noprofile", "--norc", "-c", _STATE + text.replace("REPOSITORY", str(self.repository))]
        # To a file, and in a group of its own: what a command leaves running must neither hold a pipe nor stay.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            child = subprocess.Popen(
                argv,
                cwd=self.folder,
                env=kept | own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = child.wait(self.limit_s)
            except subprocess.TimeoutExpired:
                code = TOO_LONG
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            output.seek(0)
            return subprocess.CompletedProcess(argv, code, output.read())

    def _expect(self, block: Block, done: subprocess.CompletedProcess[str], code: int, text: str) -> None:
        if done.returncode != code:
            said = "\n".join(done.stdout.splitlines()[-40:])
            found = f"no end in {self.limit_s} s" if done.returncode == TOO_LONG else str(done.returncode)
            raise PageError(f"{block.where}: wanted exit code {code}, found {found}\n$ {text}\n{said}\n\n{ADVICE}")
