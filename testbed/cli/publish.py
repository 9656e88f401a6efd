# SPDX-License-Identifier: MIT
"""What a run leaves for others than its folder: ``--summary``, ``--badges``, page and annotations of a GitHub job."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from testbed.cli.output import line, note
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from testbed.harness.records import RunRecord

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""File that GitHub's runner shows on the job's page; steps append to it (its documentation, "Workflow commands")."""


@dataclass(frozen=True)
class Publish:
    """Writes a run's summary and badges when it has ended.

    Args:
        summary: File of the Markdown, replaced; None is none.
        badges: Folder of the badges; None is none.
        step_summary: File that the Markdown is appended to; None is none.
        annotate: Whether a runner of GitHub is told on stdout where something failed.
    """

    summary: Path | None
    badges: Path | None
    step_summary: Path | None
    annotate: bool = False

    @classmethod
    def checked(cls, summary: Path | None, badges: Path | None) -> Self:
        """Take the options, and the environment's wish; refuse now what could not be written after a long run.

        Raises:
            ConfigError: The summary is a folder or lies in none, or the badges' folder is a file.
        """
        if summary is not None and (summary.is_dir() or not summary.absolute().parent.is_dir()):
            found = "it is a folder" if summary.is_dir() else f"there is no folder {summary.absolute().parent}"
            raise ConfigError(f"cannot write the summary {str(summary)!r}: {found}", hint="--summary FILE")
        if badges is not None and badges.exists() and not badges.is_dir():
            raise ConfigError(f"cannot write badges into {str(badges)!r}: it is no folder", hint="--badges DIR")
        from testbed.reports import annotations

        step = os.environ.get(STEP_SUMMARY)
        return cls(summary, badges, Path(step) if step else None, annotations.active())

    def around(self) -> AbstractContextManager[None]:
        """Give what has to stand around the tests: in a job of GitHub, they must not give its runner commands."""
        from testbed.reports import annotations

        return annotations.unheard(line) if self.annotate else contextlib.nullcontext()

    def __call__(self, run: RunRecord, folder: Path) -> None:
        """Write what was asked for; after :meth:`around`.

        Raises:
            ConfigError: A file cannot be written; the run itself is whole.
        """
        if self.summary is not None or self.step_summary is not None:
            self._summarise(run, folder)
        if self.annotate:
            from testbed.reports import annotations

            for command in annotations.render(run):
                line(command)
        if self.badges is not None:
            from testbed.reports import badges

            badges.write(run, self.badges)
            note(f"badges: {self.badges}")

    def _summarise(self, run: RunRecord, folder: Path) -> None:
        from testbed.reports import summary

        text = summary.render(run)
        for path, mode in ((self.summary, "w"), (self.step_summary, "a")):
            if path is None or (mode == "a" and self.summary is not None and path.resolve() == self.summary.resolve()):
                continue
            try:
                with path.open(mode, encoding="utf-8") as stream:
                    stream.write(text)
            except OSError as error:
                what = f"cannot write the summary {str(path)!r}: {error.strerror}"
                raise ConfigError(what, hint=f"the run itself is whole: {folder}") from error
            note(f"summary: {path}")
