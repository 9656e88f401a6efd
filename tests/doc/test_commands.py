# SPDX-License-Identifier: MIT
"""Every command line of the manual is run, in the order of its page; a page that is new is picked up by itself."""

from __future__ import annotations

import os
import re
import select
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from . import workshop
from .compare import agrees
from .pages import PAGES, ROOT, RUN, Block, blocks, commands, name_of
from .session import ADVICE, PageError, Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERY = {name_of(page): list(blocks(page.read_text(), name_of(page))) for page in PAGES}
TYPED = re.compile(r"^\s*(?:\$ )?(?:\./)?testbed(?:\.sh)? [a-z-]", re.MULTILINE)
SHOWN_ONLY = frozenset({"text", "", "python", "json", "toml"})
MOST_NOT_RUN = 20


def plays(block: Block) -> bool:
    """Say whether a block is for the session."""
    return block.not_run is None and (block.language in RUN or block.file is not None)


@pytest.fixture(scope="module")
def small_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workshop.make(tmp_path_factory.mktemp("doc") / "checkout")


@pytest.fixture
def session(small_checkout: Path, tmp_path: Path) -> Iterator[Session]:
    """Give a reader with a checkout of their own, on one CPU: no workers to start for a case or two."""
    folder, state = tmp_path / "reader", tmp_path / "state"
    shutil.copytree(small_checkout, folder, ignore=shutil.ignore_patterns(".venv"))
    workshop.make_venv(folder)
    state.mkdir()
    repository = tmp_path / "repository"
    repository.symlink_to(small_checkout)
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})
    yield Session(
        folder,
        state,
        repository,
        workshop.make_template(tmp_path / "template"),
        workshop.make_cache(tmp_path / "cache"),
    )
    os.sched_setaffinity(0, cpus)


@pytest.mark.parametrize("page", [page for page, found in EVERY.items() if any(map(plays, found))])
def test_commands_of_a_page_do_what_it_says(page: str, session: Session, small_checkout: Path) -> None:
    found = [block for block in EVERY[page] if plays(block)]
    if any("REPOSITORY" in block.text for block in found) and not (small_checkout / ".git").exists():
        workshop.make_repository(small_checkout)
    for block in found:
        session.play(block)


@pytest.mark.parametrize(
    "block", [b for found in EVERY.values() for b in found if b.not_run and b.language in RUN], ids=lambda b: b.where
)
def test_commands_that_are_not_run_say_why(block: Block) -> None:
    assert block.not_run is not None
    assert len(block.not_run) > 10, f"{block.where}: the reason is no reason: {block.not_run!r}"
    pytest.skip(f"{block.where}: {block.not_run}")


def test_few_commands_are_not_run() -> None:
    assert sum(bool(block.not_run) for found in EVERY.values() for block in found) <= MOST_NOT_RUN


@pytest.mark.parametrize("page", list(EVERY))
def test_commands_stand_in_blocks_that_are_run(page: str) -> None:
    hidden = [b.where for b in EVERY[page] if b.language in SHOWN_ONLY and not b.not_run and TYPED.search(b.text)]
    assert hidden == [], f"these blocks look like commands; make them sh or console blocks\n{ADVICE}"


def test_there_is_something_to_run() -> None:
    assert sum(len(commands(block)) for found in EVERY.values() for block in found if block.language in RUN) > 25


# The guards fire.

FENCE = "```"


def only(text: str) -> Block:
    (found,) = blocks(text)
    return found


def test_markers_are_read() -> None:
    found = only(f"x\n\n<!-- before: touch a\ntouch b -->\n<!-- exits 3 -->\n{FENCE}sh\nls\n{FENCE}\n")
    assert (found.before, found.exits, found.text, found.line) == ("touch a\ntouch b", 3, "ls\n", 6)
    assert only(f"<!-- not run: needs root -->\n{FENCE}sh\nls\n{FENCE}").not_run == "needs root"
    assert only(f"<!-- not run: too far above -->\n\n{FENCE}sh\nls\n{FENCE}").not_run is None
    assert only(f"<!-- file: a/b.py -->\n{FENCE}python\npass\n{FENCE}").file == "a/b.py"


def test_console_blocks_have_commands_and_output() -> None:
    text = f"  {FENCE}console\n  $ echo a \\\n  > b\n  a b\n  $ true\n  {FENCE}\n"
    assert [(c.text, c.shown) for c in commands(only(text))] == [("echo a \\\nb", "a b\n"), ("true", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("false", "wanted exit code 0, found 1"),
        ("$ echo right\nwrong", "the output is another"),
        ("$ false\n$ true", "wanted exit code 0, found 1"),
        ("no command at all", "without a command"),
    ],
)
def test_a_page_that_lies_fails(text: str, message: str, tmp_path: Path) -> None:
    language = "console" if message != "wanted exit code 0, found 1" or "$" in text else "sh"
    session = Session(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path)
    with pytest.raises(PageError, match=rf"^page.md:1: .*{message}[\s\S]*not run: REASON"):
        session.play(only(f"{FENCE}{language}\n{text}\n{FENCE}"))


def test_folder_and_variables_last_from_command_to_command(tmp_path: Path) -> None:
    session = Session(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path)
    session.play(only(f"{FENCE}sh\nmkdir inner && cd inner\nexport WORD='a b'\n{FENCE}"))
    session.play(only(f"{FENCE}console\n$ basename $PWD; echo $WORD\ninner\na b\n{FENCE}"))
    session.play(only(f"<!-- exits 3 -->\n{FENCE}sh\nexit 3\n{FENCE}"))


def test_a_command_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    session = Session(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path, limit_s=0.5)
    with pytest.raises(PageError, match=r"wanted exit code 0, found no end in 0.5 s"):
        session.play(only(f"{FENCE}sh\nsleep 1000 & echo $! >child; sleep 1000\n{FENCE}"))
    with suppress(ProcessLookupError):  # gone for good already
        child = os.pidfd_open(int((tmp_path / "child").read_text()))
        ended, _, _ = select.select([child], [], [], 30)
        os.close(child)
        assert ended


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\nc\n", True),
        ("...\nc\n", "c\n", True),
        ("took ... in all", "took 3 apples in all", True),
        ("12 passed in 3.2s", "12 passed in 0.9s", True),
        ("13 passed in 3.2s", "12 passed in 0.9s", False),
        ("records: testbed-runs/20260101-120000-abcd", "records: testbed-runs/20271231-000000-ffff", True),
        ("512.0 virtual s in 34.0 s", "512.0 virtual s in 7 s", True),
        ("512.0 virtual s in 34.0 s", "511.0 virtual s in 7 s", False),
        ("a.c", "abc", False),
    ],
)
def test_outputs_are_compared_but_for_times_and_names(shown: str, printed: str, *, same: bool) -> None:
    assert agrees(shown, printed) == same


def test_a_command_in_a_text_block_is_noticed() -> None:
    assert TYPED.search("see:\n    testbed run mptcp")
    assert TYPED.search("$ ./testbed.sh doctor")
    assert not TYPED.search("testbed: a testbed for network code")


def test_the_small_checkout_is_ready_for_the_launcher(small_checkout: Path) -> None:
    text = (ROOT / "testbed.sh").read_text()
    assert (
        '{ printf \'%s\\n\' "$here"; cat -- "$here/pyproject.toml" "$here/testbed.sh" "$packages"; } | sha256sum'
        in text
    )
    assert (small_checkout / ".venv" / ".testbed-stamp").read_text().endswith("  -\n")
