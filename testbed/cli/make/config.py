# SPDX-License-Identifier: MIT
"""``testbed make defconfig`` and ``make menuconfig``: see and change what the guest's kernel is made from."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.output import line, note
from testbed.errors import BuildError, CapabilityError, ConfigError

if TYPE_CHECKING:
    from testbed.libos.linux.worktree import WorkTree

_BUILD = "tb-menu"  # a build folder beside the builder's own, so that looking at a menu rebuilds nothing
_OPTION = re.compile(r"(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set")

Source = Annotated[Path | None, typer.Option(help="Kernel tree or tarball.", metavar="DIR|TAR")]
Fragments = Annotated[list[Path] | None, typer.Option(help="Config fragment after testbed's own; repeatable.")]


def defconfig(*, source: Source = None, config: Fragments = None) -> None:
    """Print the options that the guest's kernel is made from, over allnoconfig: testbed's fragments, then yours."""
    from testbed.libos.linux.source import find_source
    from testbed.libos.linux.worktree import WorkTree

    tree = WorkTree(find_source(source))
    with tree.locked():
        _note_unpacking(tree)
        tree.prepare()
        text = _wanted(tree, config or ())
    line(text.rstrip("\n"))


def menuconfig(
    fragment: Annotated[Path, typer.Argument(help="Where to save what you change, for --config.", metavar="FILE")],
    *,
    source: Source = None,
    config: Fragments = None,
) -> None:
    """Run the kernel's own menu on the guest's config and save what you changed as a fragment.

    A FILE that exists already is where you start from, and is replaced.
    """
    from testbed.libos.linux import toolchain
    from testbed.libos.linux.make import Make
    from testbed.libos.linux.patches import series_for
    from testbed.libos.linux.source import find_source, read_release
    from testbed.libos.linux.worktree import WorkTree

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CapabilityError("menuconfig needs a terminal", hint="write a fragment by hand: CONFIG_NAME=y, one a line")
    if fragment.exists() and not fragment.is_file():
        raise ConfigError(f"cannot save a fragment in {str(fragment)!r}: it is no file")
    tools = toolchain.find()
    tree = WorkTree(find_source(source))
    log = tree.folder / "menuconfig.log"
    with tree.locked():
        _note_unpacking(tree)
        tree.prepare()
        tree.apply(series_for(read_release(tree.tree).version))
        make = Make(tree.tree, tree.tree / _BUILD, tools, log=log, log_if_failed=log)
        make.configure(_wanted(tree, config or ()))
        settled = make.build / ".config"
        before = settled.read_text()
        if fragment.exists():
            make.configure(_wanted(tree, [*(config or ()), fragment]))
        _menu(tree, toolchain.environment(tools, tree.tree))
        text = difference(before, settled.read_text())
        (make.build / "tb-fragment.config").unlink()  # what is settled now is the user's, not what was asked for
    fragment.write_text(text, encoding="utf-8")
    count = len(text.splitlines())
    note(f"{count} options saved; build with: testbed build linux --config {fragment}" if count else "nothing changed")


def difference(before: str, after: str) -> str:
    """Write the options of a ``.config`` that differ from another one, as a fragment that wins over testbed's own.

    Args:
        before: Text of the ``.config`` that testbed's fragments give.
        after: Text of the one that is wanted.

    Returns:
        One line per option, sorted; empty where nothing differs.
    """
    old, new = _options(before), _options(after)
    changed = {name: new.get(name, "n") for name in old.keys() | new.keys() if old.get(name, "n") != new.get(name, "n")}
    lines = (f"# {name} is not set" if value == "n" else f"{name}={value}" for name, value in sorted(changed.items()))
    return "".join(f"{text} # override\n" for text in lines)


def _options(text: str) -> dict[str, str]:
    found = (_OPTION.fullmatch(entry) for entry in text.splitlines())
    return {match[1] or match[3]: match[2] or "n" for match in found if match}


def _wanted(tree: "WorkTree", fragments: "list[Path] | tuple[Path, ...]") -> str:
    """Merge testbed's fragments and the user's for the kernel in a tree."""
    from testbed.libos.linux import config
    from testbed.libos.linux.source import read_release

    version = read_release(tree.tree).version
    files = [*config.default_fragments(), *(config.find_fragment(name) for name in fragments)]
    return config.text_of(config.merge(option for file in files for option in config.read_fragment(file, version)))


def _note_unpacking(tree: "WorkTree") -> None:
    if tree.source.is_tarball and not tree.tree.is_dir():
        note(f"unpacking {tree.source.path} (half a minute, once)")


def _menu(tree: "WorkTree", env: dict[str, str]) -> None:
    """Run the menu on this terminal.

    Raises:
        BuildError: It could not be built or ended with an error.
    """
    env |= {"TERM": os.environ.get("TERM", "linux")}
    argv = ["make", "-s", "-C", str(tree.tree), "ARCH=um", f"O={_BUILD}", "menuconfig"]
    code = subprocess.run(argv, env=env, check=False).returncode
    if code:
        raise BuildError(f"make menuconfig ended with exit code {code}", hint="it needs libncurses-dev")
