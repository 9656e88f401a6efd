# SPDX-License-Identifier: MIT
"""Expressions of GitHub Actions, as far as our files use them; anything else is an error.

Source: GitHub's documentation, "Evaluate expressions in workflows and actions".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSERTED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(r"\s*(\|\||&&|==|!=|[(),]|'(?:[^']|'')*'|[A-Za-z_][\w.-]*)")


class Expression:
    """One expression, to be evaluated once.

    Args:
        text: What stands between the braces, or after ``if:``.
        context: ``inputs``, ``steps``, ``matrix``, ``github`` and so on; what is not there is null.
    """

    def __init__(self, text: str, context: Mapping[str, Any]) -> None:
        self._context = context
        self._tokens = _tokens(text)
        self.is_always = "always" in self._tokens

    def value(self) -> Any:
        """Evaluate it.

        Raises:
            SyntaxError: It uses more than is known here.
        """
        found = self._either()
        if self._tokens:
            raise SyntaxError(f"not understood: {' '.join(self._tokens)}")
        return found

    def _either(self) -> Any:
        found = self._both()
        while self._take("||"):
            other = self._both()
            found = found or other
        return found

    def _both(self) -> Any:
        found = self._equal()
        while self._take("&&"):
            other = self._equal()
            found = found and other
        return found

    def _equal(self) -> Any:
        found = self._one()
        for sign in ("==", "!="):
            if self._take(sign):
                same = _text(found).lower() == _text(self._one()).lower()
                return same if sign == "==" else not same
        return found

    def _one(self) -> Any:
        if not self._tokens:
            raise SyntaxError("the expression ends too early")
        word = self._tokens.pop(0)
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if self._take("("):
            return self._called(word)
        if not word[0].isalpha():
            raise SyntaxError(f"not understood: {word}")
        found: Any = self._context
        for name in word.split("."):
            found = found.get(name) if hasattr(found, "get") else None
        return found

    def _called(self, name: str) -> Any:
        arguments = []
        while not self._take(")"):
            arguments.append(self._either())
            self._take(",")
        if name == "always":
            return True
        if name == "format":
            return re.sub(r"\{(\d+)\}", lambda found: _text(arguments[int(found[1]) + 1]), arguments[0])
        raise SyntaxError(f"no function {name}()")

    def _take(self, sign: str) -> bool:
        if self._tokens[:1] == [sign]:
            del self._tokens[0]
            return True
        return False


def filled(text: Any, context: Mapping[str, Any]) -> str:
    """Replace every ``${{ ... }}`` in a text by its value."""
    return _INSERTED.sub(lambda found: _text(Expression(found[1], context).value()), str(text))


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SyntaxError(f"not understood: {text[at:]!r} in {text!r}")
        found.append(match[1])
        at = match.end()
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
