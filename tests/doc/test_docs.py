# SPDX-License-Identifier: MIT
"""The manual is true where a machine can tell: commands parse, links lead somewhere, examples in Python compile."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from testbed.cli import main, reference
from testbed.errors import TestbedError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "doc").rglob("*.md")])
FOLDER = "."  # what a command in a command gives: the folder of an artifact
OURS = "catnap"
_DECLARED = re.compile(r"^\[libos\.([\w-]+)\]", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\!)\[[^\]]+\]\(([^)\s]+)\)")
_INNER = re.compile(r"\$\(([^)]*)\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_NAMED = re.compile(r"(?:\./)?testbed(?:\.sh)? [\[a-z-]")
_CALL = re.compile(r"(?:^|&&|\|)\s*(?:\./)?testbed(?:\.sh)?(?=\s|$)([^|&#]*)")


def blocks(text: str, language: str) -> list[str]:
    """Give the fenced blocks of a language."""
    return [body for found, body in _FENCE.findall(text) if found == language]


def calls(text: str) -> list[list[str]]:
    """Give the words of every call of testbed in the fenced ``sh`` blocks of a page."""
    lines = [line for body in blocks(text, "sh") for line in body.replace("\\\n", " ").splitlines()]
    lines = [part for line in lines for part in (_INNER.sub(FOLDER, line), *_INNER.findall(line))]
    for declared in _DECLARED.findall(text):  # a flavor of the page's own testbed.toml: here, any will do
        lines = [re.sub(rf"\b{re.escape(declared)}\b", OURS, line) for line in lines]
    return [shlex.split(words) for line in lines for words in _CALL.findall(line)]


def parse(words: list[str]) -> str:
    """Parse words as the command line would, without running anything; an error's message, or nothing."""
    command: Any = typer.main.get_command(main.app)
    path = ["testbed"]
    rest = list(words)
    try:
        while hasattr(command, "commands"):
            if not rest or rest[0].startswith("-"):
                return ""
            if rest[0] not in command.commands:
                return f"{' '.join(path)}: no command {rest[0]!r}"
            path.append(rest[0])
            command = command.commands[rest.pop(0)]
        if "--help" not in rest:
            command.make_context(" ".join(path), rest, resilient_parsing=False)
    except (typer.TyperException, TestbedError) as error:
        return f"{' '.join(path)}: {error}"
    return ""


CALLS = sorted(
    {(page.relative_to(ROOT).as_posix(), shlex.join(words)) for page in PAGES for words in calls(page.read_text())}
)


@pytest.mark.parametrize(("page", "words"), CALLS)
def test_every_command_in_the_manual_parses(page: str, words: str) -> None:
    assert parse(shlex.split(words)) == "", page


def named(text: str) -> list[str]:
    """Give the calls of testbed that stand in the prose of a page, as code."""
    return [words for words in _SPAN.findall(_FENCE.sub("", text)) if _NAMED.match(words)]


def stranger(words: str) -> str:
    """Say what a call in prose names that does not exist: a command or an option; values may be placeholders."""
    command: Any = typer.main.get_command(main.app)
    rest = [word.strip("[]()") for word in words.replace("|", " ").split()[1:]]
    while hasattr(command, "commands") and rest and rest[0].isalpha() and rest[0].islower():
        if rest[0] not in command.commands:
            return f"no command {rest[0]!r}"
        command = command.commands[rest.pop(0)]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
    known |= {"--install-completion"} if hasattr(command, "commands") else set()
    settings = command.context_settings
    if settings.get("ignore_unknown_options") or not settings.get("allow_interspersed_args", True):
        return ""  # what comes after its own options is for others
    own = itertools.takewhile(lambda word: word != "--", rest)
    return ", ".join(f"no option {word}" for word in own if word.startswith("-") and word.split("=")[0] not in known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_the_prose_calls_exists(page: Path) -> None:
    wrong = [f"`{words}`: {said}" for words in named(page.read_text()) if (said := stranger(words))]
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("testbed run NAME ... --seed S", ""),
        ("testbed make clean", ""),
        ("testbed packets RUN CASE [--link L]", ""),
        ("testbed run x -- --lf", ""),
        ("testbed rnu", "no command 'rnu'"),
        ("testbed run --sed 1", "no option --sed"),
    ],
)
def test_a_call_of_what_does_not_exist_is_noticed(words: str, said: str) -> None:
    assert named(f"Type `{words}`, see\n```sh\n`testbed nothing`\n```\n") == [words]
    assert stranger(words) == said


def test_the_manual_has_commands() -> None:
    assert len(CALLS) > 30


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sh\n./testbed.sh make test\n```", [["make", "test"]]),
        ("```toml\n[libos.mine]\n```\n```sh\ntestbed run --libos mine\n```", [["run", "--libos", OURS]]),
        ('```sh\ntestbed run --libos "$(testbed build linux)"\n```', [["run", "--libos", FOLDER], ["build", "linux"]]),
        ("```text\ntestbed nonsense\n```", []),
        ("```sh\ncd testbed && pytest\n```", []),
    ],
)
def test_calls_are_found(text: str, found: list[list[str]]) -> None:
    assert calls(text) == found


@pytest.mark.parametrize(
    "words",
    [["mke"], ["make", "tests"], ["doctor", "--jsno"], ["list"], ["bench", "--runs", "x"], ["run", "--libos", "linus"]],
)
def test_the_parser_refuses_what_does_not_exist(words: list[str]) -> None:
    assert parse(words) != ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for target in _LINK.findall(page.read_text())]
    lost = [target for target in targets if target and "://" not in target and not (page.parent / target).exists()]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_in_python_compile(page: Path) -> None:
    for body in blocks(page.read_text(), "python"):
        compile(body, str(page), "exec")


def test_every_command_is_in_the_manual() -> None:
    command: Any = typer.main.get_command(main.app)
    page = (ROOT / "doc" / "cli.md").read_text()
    assert [name for name in command.commands if f"`{name}`" not in page and f"`{name} " not in page] == []


def test_the_reference_of_commands_is_current() -> None:
    page = ROOT / reference.FILE
    assert page.read_text() == reference.render(), "type: python -m testbed.cli.reference --write"


def test_every_decision_is_numbered_and_has_its_parts() -> None:
    pages = sorted((ROOT / "doc" / "decisions").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text()
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert all(part in text for part in ("**Status:**", "**Decision.**", "**Consequences.**", "**Rejected.**")), (
            page
        )


def test_every_module_that_suites_share_is_in_the_manual() -> None:
    page = (ROOT / "doc" / "writing-tests.md").read_text()
    table = page.partition("## What suites share")[2].partition("\n## ")[0]
    told = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    modules = {path.stem for path in (ROOT / "suites" / "common").glob("*.py")} - {"__init__"}
    assert told == modules
