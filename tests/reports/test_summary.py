# SPDX-License-Identifier: MIT
"""The Markdown of a run: what it says, and that no text of a case is taken as markup."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from testbed.harness.records import Failure
from testbed.reports import summary
from testbed.reports.text import cell, code, fenced, plain, shortened
from testbed.verdict import Verdict

from .made_up import HOSTILE, case, run

READER = MarkdownIt("commonmark").enable("table")
OWN_HTML = {"<details>", "</details>", "<summary>", "</summary>"}


def html_of(text: str) -> list[str]:
    """Give what a reader of Markdown takes as HTML."""
    tokens = READER.parse(text)
    found = [token.content for token in tokens if token.type == "html_block"]
    return found + [child.content for token in tokens for child in token.children or () if child.type == "html_inline"]


def test_a_good_run_has_a_row_for_each_suite() -> None:
    text = summary.render(run(case(), case(test="test_y"), case(suite="transport"), wall_s=3.21))
    assert text.startswith("## testbed: PASS\n\n**3 passed** in 3.2 s (12.0 s of virtual time)\n\n|")
    assert "\n| PASS | `mptcp` | 2 | 2 passed | 2 times | 8.0 | 1.0 | 8 |\n| PASS | `transport` | 1 |" in text
    assert "3 cases executed 2 times or more, with the same bits every time." in text
    assert "What failed" not in text
    assert "| kernel | `6.12.117` |" in text
    assert "\n\n\n" not in text


def test_a_failure_has_its_assertion_and_its_replay() -> None:
    failure = Failure("def f():\n>  assert 1 == 2\nE   assert 1 == 2\nE    +  where", "suites/mptcp/test_it.py", 12)
    text = summary.render(run(case(Verdict.FAILED, reason="AssertionError", failure=failure, folder="cases/mptcp/x")))
    assert "## testbed: FAIL" in text
    assert "**failed** `suites/mptcp/test_it.py::test_x` at `suites/mptcp/test_it.py:12`" in text
    assert "```text\nassert 1 == 2\n +  where\n```" in text
    assert "```sh\ntestbed run suites/mptcp/test_it.py::test_x --seed 1 --repeat 2\n```" in text
    assert "Record: `cases/mptcp/x`" in text


def test_only_the_first_failures_are_shown() -> None:
    bad = [case(Verdict.FAILED, test=f"test_{number}", reason="no") for number in range(25)]
    text = summary.render(run(*bad))
    assert text.count("```sh") == summary.SHOWN_FAILURES
    assert "... and 15 more." in text
    assert len(text) < 100_000


def test_a_long_assertion_is_cut_to_its_end() -> None:
    long = case(Verdict.FAILED, reason="x" * 100_000 + "END")
    text = summary.render(run(long))
    assert len(text) < 10_000
    assert "END" in text
    assert "characters left out" in text


def test_skips_are_counted_by_reason_and_an_interrupt_is_told() -> None:
    skipped = [case(Verdict.SKIPPED, test=f"test_{n}", reason="no sctp", executions=1, digest=None) for n in range(3)]
    text = summary.render(run(*skipped, state="interrupted"))
    assert "## testbed: SKIP" in text
    assert "**interrupted**, not all was run" in text
    assert "<summary>3 skipped</summary>" in text
    assert "| `mptcp` | 3 | `no sctp` |" in text


@pytest.mark.parametrize(
    ("cases", "sentence"),
    [
        ([case(Verdict.NON_DETERMINISTIC), case()], "1 of 2 cases gave different bits"),
        ([case(executions=1)], "Nothing was compared"),
        ([case(left_out=["process:top"]), case()], "1 of them with named parts left out."),
    ],
)
def test_determinism_in_a_sentence(cases: list[object], sentence: str) -> None:
    assert sentence in summary.render(run(*cases))  # type: ignore[arg-type]


def test_hostile_text_is_never_markup() -> None:
    failure = Failure(f"E   {HOSTILE}", HOSTILE, 1)
    cases = [
        case(Verdict.FAILED, test=HOSTILE, suite=HOSTILE, reason=HOSTILE, failure=failure, folder=HOSTILE),
        case(Verdict.SKIPPED, test="test_y", reason=HOSTILE),
    ]
    text = summary.render(run(*cases, problems=[HOSTILE], libos=HOSTILE, environment={"kernels": [HOSTILE]}))
    assert "<script>" in text
    assert {tag for html in html_of(text) for tag in html.replace(">", ">\n").split() if "script" in tag} == set()
    assert not {"\x1b", "\x00", "\x07", "\u202e"} & set(text)
    tokens = READER.parse(text)
    inline = [child.type for token in tokens for child in token.children or ()]
    assert "link_open" not in inline
    kinds = [token.type for token in tokens if token.type in {"tr_open", "td_open", "th_open"}]
    rows = " ".join(kinds).split("tr_open")[1:]
    assert {row.count("d_open") + row.count("h_open") for row in rows} == {8, 3, 2}


@pytest.mark.parametrize("text", [HOSTILE, "``` ```` `", "`", "a`b``c", "|", "\\|", "~~~", "\n```\n# head\n"])
def test_code_and_fences_keep_what_they_hold(text: str) -> None:
    (paragraph,) = (token for token in READER.parse(f"x {code(text)} y") if token.type == "inline")
    kinds = [child.type for child in paragraph.children or ()]
    assert kinds == ["text", "code_inline", "text"]
    (block,) = READER.parse(fenced(text))
    assert block.type == "fence"
    assert block.content.strip("\n") == plain(text).strip("\n")


def test_a_table_s_cell_holds_a_bar() -> None:
    rows = READER.parse(f"| a | b |\n| --- | --- |\n| {cell('x | y')} | z |")
    cells = [token.content for token in rows if token.type == "inline"]
    assert cells == ["a", "b", "`x | y`", "z"]


def test_shortened_keeps_the_end() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdef", 3) == "[... 3 characters left out ...]\ndef"
