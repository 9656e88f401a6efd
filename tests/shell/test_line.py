# SPDX-License-Identifier: MIT
"""A line is taken apart as a shell would."""

from __future__ import annotations

import pytest

from testbed.errors import ConfigError
from testbed.shell.line import here_word, parse


@pytest.mark.parametrize(
    ("text", "words", "special", "background"),
    [
        ("", [], False, False),
        ("  # nothing", [], False, False),
        ("h1 ping -c1 h2", ["h1", "ping", "-c1", "h2"], False, False),
        ("h1 iperf3 -s &", ["h1", "iperf3", "-s"], False, True),
        ("h1 iperf3 -s&", ["h1", "iperf3", "-s"], False, True),
        ("h1 a && b", ["h1", "a", "b"], True, False),
        ("h1 a | b &", ["h1", "a", "b"], True, True),
        ("h1 echo 'a | b' \"c & d\"", ["h1", "echo", "a | b", "c & d"], False, False),
        ("h1 echo a\\ b \\&", ["h1", "echo", "a b", "&"], False, False),
        ("h1 echo a#b # c", ["h1", "echo", "a#b"], False, False),
        ('h1 echo "$HOME"', ["h1", "echo", "$HOME"], True, False),
        ("h1 ls /tmp/*", ["h1", "ls", "/tmp/*"], True, False),
        ("h1 sleep 1 & # later", ["h1", "sleep", "1"], False, True),
    ],
)
def test_words(text: str, words: list[str], special: bool, background: bool) -> None:  # noqa: FBT001
    line = parse(text)
    assert [word.text for word in line.words] == words
    assert (line.special, line.background) == (special, background)


def test_a_dash_in_front_lets_the_line_fail() -> None:
    assert parse("-h1 false").may_fail
    assert [word.text for word in parse("-h1 false").words] == ["h1", "false"]
    assert not parse("h1 -false").may_fail


@pytest.mark.parametrize("text", ["h1 echo 'a", 'h1 echo "a'])
def test_an_open_quote_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="a quote is not closed"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [("h1 cat <<END", "END"), ("h1 cat <<-'E O'", None), ("h1 cat << 'E'", "E"), ("h1 echo '<<END'", None)],
)
def test_here_documents_are_seen(text: str, word: str | None) -> None:
    assert here_word(text) == word


def test_the_body_of_a_here_document_is_not_looked_at() -> None:
    line = parse("h1 cat <<END\nit isn't & won't\nEND\n")
    assert line.body == "it isn't & won't\nEND"
    assert line.text == "h1 cat <<END"
