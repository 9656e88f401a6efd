# SPDX-License-Identifier: MIT
"""The schema of ``run.json`` and ``record.json``, and a check against it.

The check knows those words of JSON Schema that the schema uses, and refuses a schema with others: no dependency for
sixty lines.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA_FILE = Path(__file__).parent / "schema" / "run.schema.json"
RUN = ""
RECORD = "record"
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SAYS_NOTHING = frozenset({"$schema", "$id", "$defs", "title", "description"})
_WORDS = frozenset(
    {"type", "enum", "const", "pattern", "minimum", "properties", "required", "additionalProperties", "items", "$ref"}
)


@cache
def schema() -> Mapping[str, Any]:
    """Give the schema of ``run.json`` (JSON Schema 2020-12); ``$defs/record`` is that of ``record.json``."""
    found: Mapping[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return found


def problems(document: object, what: str = RUN) -> list[str]:
    """Check a document against the schema.

    Args:
        document: What JSON gave.
        what: ``RUN``, or a name below ``$defs`` such as ``RECORD``.

    Returns:
        One line for each thing that is wrong: ``$.cases[0].verdict: ...``; empty where all is right.
    """
    root = schema()
    return list(_check(document, root["$defs"][what] if what else root, "$"))


def _check(value: object, rule: Mapping[str, Any], where: str) -> Iterator[str]:
    unknown = rule.keys() - _WORDS - _SAYS_NOTHING
    if unknown:
        raise InternalError(f"the schema uses words that its check does not know: {sorted(unknown)}")
    if "$ref" in rule:
        yield from _check(value, schema()["$defs"][rule["$ref"].removeprefix("#/$defs/")], where)
        return
    if "type" in rule and not _is(value, rule["type"]):
        yield f"{where}: wanted {rule['type']}, found {value!r}"
        return
    if "enum" in rule and value not in rule["enum"]:
        yield f"{where}: wanted one of {rule['enum']}, found {value!r}"
    if "const" in rule and value != rule["const"]:
        yield f"{where}: wanted {rule['const']!r}, found {value!r}"
    if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{where}: wanted a match of {rule['pattern']}, found {value!r}"
    if isinstance(value, int | float) and value < rule.get("minimum", value):
        yield f"{where}: wanted at least {rule['minimum']}, found {value!r}"
    if isinstance(value, dict):
        yield from _check_object(value, rule, where)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check(item, rule.get("items", {}), f"{where}[{index}]")


def _check_object(value: Mapping[str, object], rule: Mapping[str, Any], where: str) -> Iterator[str]:
    known = rule.get("properties", {})
    for name in rule.get("required", ()):
        if name not in value:
            yield f"{where}: {name!r} is missing"
    for name, item in value.items():
        other = rule.get("additionalProperties", True)
        if name in known:
            yield from _check(item, known[name], f"{where}.{name}")
        elif other is False:
            yield f"{where}: {name!r} is not known"
        elif isinstance(other, dict):
            yield from _check(item, other, f"{where}.{name}")


def _is(value: object, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, kind) for name in names for kind in _TYPES[name])
