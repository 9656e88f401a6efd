# SPDX-License-Identifier: MIT
"""The scenarios by name, and what can be said about them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses
from testbed.scenarios import catalogue
from testbed.scenarios.shape import SHAPE_FIELDS, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.scenarios.topology import Topology

_SCENARIOS: dict[str, Callable[..., Topology]] = {
    "single": catalogue.single,
    "pair": catalogue.pair,
    "lan": catalogue.lan,
    "chain": catalogue.chain,
    "dumbbell": catalogue.dumbbell,
    "two_path": catalogue.two_path,
    "tree": catalogue.tree,
    "ring": catalogue.ring,
}


@dataclass(frozen=True, kw_only=True)
class Param:
    """One keyword of a scenario: its name, its default as Python writes it, and what it means."""

    name: str
    default: str
    doc: str


@dataclass(frozen=True, kw_only=True)
class ScenarioInfo:
    """One scenario as ``testbed list scenarios`` shows it."""

    name: str
    doc: str
    params: tuple[Param, ...]


def scenario(name: str, **params: object) -> Topology:
    """Make the topology of a scenario.

    Args:
        name: Name of the scenario; see :func:`scenarios`.
        params: Its keywords.

    Raises:
        ConfigError: No such scenario or keyword (near misses are named), or a value does not fit.
    """
    function = _find(name)
    valid = _params(function)
    for given in params:
        if given not in valid:
            raise ConfigError(
                f"scenario {name!r} has no parameter {given!r}; {near_misses(given, valid) or 'it has none'}"
            )
    try:
        return function(**params)
    except TypeError as error:
        raise ConfigError(f"scenario {name!r}: {error}") from error


def scenario_from_text(name: str, params: Mapping[str, str]) -> Topology:
    """Make the topology of a scenario from words of a command line, such as ``{"n": "10", "delay_ms": "5"}``.

    A value is a number, ``none``, or (``path1``, ``path2``) ``delay_ms=10,rate_bps=5e6``.

    Raises:
        ConfigError: As :func:`scenario`.
    """
    return scenario(name, **{key: _value(text) for key, text in params.items()})


def scenarios() -> tuple[ScenarioInfo, ...]:
    """List all scenarios with their keywords, simplest first."""
    return tuple(_info(name, function) for name, function in _SCENARIOS.items())


def _find(name: str) -> Callable[..., Topology]:
    if name not in _SCENARIOS:
        raise ConfigError(f"no scenario {name!r}; {near_misses(name, _SCENARIOS)}")
    return _SCENARIOS[name]


def _params(function: Callable[..., Topology]) -> list[str]:
    names: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        names += SHAPE_FIELDS if parameter.kind is parameter.VAR_KEYWORD else (parameter.name,)
    return names


def _info(name: str, function: Callable[..., Topology]) -> ScenarioInfo:
    doc = inspect.getdoc(function) or ""
    docs = {**_arg_docs(inspect.getdoc(Shape) or ""), **_arg_docs(doc)}
    defaults: dict[str, object] = Shape().to_dict()
    defaults |= {parameter.name: parameter.default for parameter in inspect.signature(function).parameters.values()}
    params = tuple(Param(name=key, default=repr(defaults[key]), doc=docs[key]) for key in _params(function))
    return ScenarioInfo(name=name, doc=" ".join(doc.split("\n\nArgs:")[0].split()), params=params)


def _arg_docs(doc: str) -> dict[str, str]:
    """Read the Args section of a Google-style docstring: name to text."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", doc, re.MULTILINE)
    found = re.findall(r"^    (\w+): ((?:.*\n?)(?:        .*\n?)*)", section.group(1) if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _value(text: str) -> object:
    if text.lower() == "none":
        return None
    if "=" in text:
        return {key: _value(value) for key, _, value in (part.partition("=") for part in text.split(","))}
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
