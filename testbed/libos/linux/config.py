# SPDX-License-Identifier: MIT
"""Config fragments: read them, find contradictions, and prove that Kconfig took every option that they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BuildError, ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOLDER = Path(__file__).resolve().parent / "config"
OPTIONAL = ("debug", "extra")

_SET = re.compile(r"(CONFIG_\w+)=(\"[^\"]*\"|[^\s#]+)\s*(?:#\s*(.*))?")
_UNSET = re.compile(r"#\s*(CONFIG_\w+) is not set\s*(?:#\s*(.*))?")
_SINCE = re.compile(r"since (\d+)\.(\d+)")
_UNTIL = re.compile(r"until (\d+)\.(\d+)")


@dataclass(frozen=True)
class Option:
    """One line of a fragment.

    Args:
        name: With its ``CONFIG_`` prefix.
        value: As in a ``.config``; ``n`` for one that must not be set.
        where: Path and line number, ``net.config:12``.
        overrides: The line says ``# override``: it wins over another fragment.
    """

    name: str
    value: str
    where: str
    overrides: bool = False

    @property
    def line(self) -> str:
        """Give the line as Kconfig writes it."""
        return f"# {self.name} is not set" if self.value == "n" else f"{self.name}={self.value}"


def default_fragments() -> list[Path]:
    """List the fragments that every guest kernel is made from."""
    return sorted(path for path in FOLDER.glob("*.config") if path.stem not in OPTIONAL)


def find_fragment(name: str | Path) -> Path:
    """Give the path of a fragment that the user named: a file, or one of ours such as ``debug``.

    Raises:
        ConfigError: There is no such file.
    """
    path = Path(name)
    if path.is_file():
        return path.absolute()
    ours = {given.stem: given for given in FOLDER.glob("*.config")}
    if str(name) in ours:
        return ours[str(name)]
    raise ConfigError(
        f"no config fragment {str(name)!r}: no such file, and none of ours ({near_misses(str(name), ours)})"
    )


def read_fragment(path: Path, version: tuple[int, int]) -> list[Option]:
    """Read a fragment, leaving out the lines for other kernels (``# since 6.6``, ``# until 6.1`` at a line's end).

    Args:
        path: The file.
        version: Version and patch level of the kernel, ``(6, 12)``.

    Raises:
        ConfigError: A line is neither an option, a comment nor empty.
    """
    options = []
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config fragment {path}: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        found = _UNSET.fullmatch(line.strip())
        value = "n"
        if found is None:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            found = _SET.fullmatch(line.strip())
            if found is None:
                raise ConfigError(
                    f"{path}:{number}: {line!r} is not of the form CONFIG_NAME=value or '# CONFIG_NAME is not set'"
                )
            value = found.group(2)
        note = found.groups()[-1] or ""
        if _applies(note, version):
            options.append(Option(found.group(1), value, f"{path.name}:{number}", "override" in note))
    return options


def merge(options: Iterable[Option]) -> dict[str, Option]:
    """Combine options of several fragments: name to option.

    Raises:
        ConfigError: Two fragments want different values and none of them says ``# override``.
    """
    merged: dict[str, Option] = {}
    for option in options:
        before = merged.get(option.name)
        if before is None or before.value == option.value or (option.overrides and not before.overrides):
            merged[option.name] = option
        elif option.overrides or not before.overrides:
            raise ConfigError(
                f"config fragments contradict each other on {option.name}: "
                f"{before.value!r} in {before.where}, {option.value!r} in {option.where}",
                hint="end the line that shall win with '# override'",
            )
    return merged


def text_of(options: Mapping[str, Option]) -> str:
    """Write options in the canonical form that is digested and given to Kconfig: one line each, sorted."""
    return "".join(f"{options[name].line}\n" for name in sorted(options))


def check_survivors(options: Mapping[str, Option], config: str, log: Path) -> None:
    """Compare what was asked for with the ``.config`` that Kconfig made.

    Args:
        options: What was asked for.
        config: The text of the ``.config``.
        log: Path of the build's log, named in the message.

    Raises:
        BuildError: Kconfig dropped or changed options; each is named with its fragment.
    """
    got = {found.group(1): found.group(2) for line in config.splitlines() if (found := _SET.fullmatch(line))}
    wrong = [option for option in options.values() if got.get(option.name, "n") != option.value]
    if wrong:
        raise BuildError(_complaint(wrong, got, log))


def _complaint(wrong: Sequence[Option], got: Mapping[str, str], log: Path) -> str:
    lines = [f"Kconfig did not take {len(wrong)} option{'s' if len(wrong) > 1 else ''} of the config fragments:"]
    for option in wrong:
        found = got.get(option.name)
        became = f"became {found!r}" if found is not None else "was dropped (unknown here, or a dependency is not met)"
        lines.append(f"  {option.line}  ({option.where}) {became}")
    lines.append(f"log: {log}")
    return "\n".join(lines)


def _applies(note: str, version: tuple[int, int]) -> bool:
    since, until = _SINCE.search(note), _UNTIL.search(note)
    if since and version < (int(since.group(1)), int(since.group(2))):
        return False
    return not (until and version > (int(until.group(1)), int(until.group(2))))
