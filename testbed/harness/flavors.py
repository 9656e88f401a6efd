# SPDX-License-Identifier: MIT
"""Which cases a run has for which flavor: tests that take ``flavor`` run once for each library with the queue API."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import pytest

from testbed.backends.base import CAPABILITIES
from testbed.errors import ConfigError, near_misses
from testbed.harness.identity import case_id, normal_suite_name
from testbed.harness.settings import DEFAULT_LIBOS
from testbed.libos.flavor import Flavor, flavor, flavors, is_artifact
from testbed.libos.foreign import ABILITIES
from testbed.libos.foreign_flavor import kernel_capabilities
from testbed.libos.library import find_library
from testbed.reports.oracle import ORACLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ARGUMENT = "flavor"
MARKER = "flavors"
_NONE = ""  # the flavor of a case that is none: pytest would skip a test without parameters, select() takes it out


def chosen(libos: str) -> list[Flavor]:
    """Give the libraries that a run is for: the one that ``--libos`` names, else all of testbed's own."""
    found = None if libos == DEFAULT_LIBOS or is_artifact(libos) else flavor(libos)
    if found is None or _is_kernel(found):
        return [known for known in flavors().values() if known.crate is not None]
    return [found] if found.is_library else []


def parametrize(metafunc: pytest.Metafunc, libos: str) -> None:
    """Make a case of a test for each flavor that it is for.

    The marker ``flavors(*abilities, only=())`` says what a flavor must be able to do: one that lacks some of
    ``abilities`` is skipped with the reason, one that lacks some of ``only`` has no such case.
    """
    markers = list(metafunc.definition.iter_markers(MARKER))
    wanted = [name for marker in markers for name in marker.args]
    only = [name for marker in markers for name in _names(marker.kwargs.get("only", ()))]
    for name in (*wanted, *only):
        if name not in ABILITIES:
            raise ConfigError(f"{metafunc.definition.nodeid}: flavors({name!r}); {near_misses(name, ABILITIES)}")
    params = []
    for one in chosen(libos):
        if set(only) <= one.capabilities:
            lacks = [name for name in wanted if name not in one.capabilities]
            marks = [pytest.mark.skip(reason=f"{one.name} has no {', no '.join(lacks)}")] if lacks else []
            params.append(pytest.param(one.name, id=one.name, marks=marks))
    metafunc.parametrize(ARGUMENT, params or [pytest.param(_NONE, id="no flavor")])


def select(items: list[pytest.Item], libos: str) -> list[pytest.Item]:
    """Leave out cases that are not for the flavor that was asked for, and mark those that its table skips.

    Returns:
        The cases that were taken out of ``items``.
    """
    found = None if libos == DEFAULT_LIBOS or is_artifact(libos) else flavor(libos)
    out = [item for item in items if not _is_for(item, found)]
    items[:] = [item for item in items if _is_for(item, found)]
    _oracle_first(items)
    if found is None:
        return out
    if found.foreign is not None:
        needs = kernel_capabilities(found.foreign, CAPABILITIES)
        for item in items:
            if needs:
                item.add_marker(pytest.mark.requires(*needs))
            reason = skip_reason(found.foreign.skip, names_of(item))
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=f"{found.name}: {reason}"))
    return out


def _oracle_first(items: list[pytest.Item]) -> None:
    """Put the oracle's cases of each suite before those of the other LibOSes; all else stays in its order."""
    first: dict[str, int] = {}
    for at, item in enumerate(items):
        first.setdefault(case_id(item.path, item.nodeid).suite, at)
    items.sort(key=lambda item: (first[case_id(item.path, item.nodeid).suite], flavor_of(item) not in (None, ORACLE)))


def skip_reason(skip: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Give the reason of the first pattern of a ``skip`` table that one of a test's names fits."""
    fitting = (why for glob, why in skip.items() if any(fnmatch.fnmatchcase(name, glob) for name in names))
    return next(fitting, None)


def names_of(item: pytest.Item) -> list[str]:
    """Give what a pattern may name of a test: its suite, its module, its function, and its case's name."""
    identity = case_id(item.path, item.nodeid)
    function = item.name.partition("[")[0].removeprefix("test_")
    return [
        identity.suite,
        normal_suite_name(item.path.stem.removeprefix("test_")),
        normal_suite_name(function),
        identity.name,
    ]


def flavor_of(item: pytest.Item) -> str | None:
    """Give the flavor that a case is for; None for one of the Linux suites."""
    call = getattr(item, "callspec", None)
    found = None if call is None else call.params.get(ARGUMENT)
    return found if isinstance(found, str) else None


def ready(item: pytest.Item) -> None:
    """Build the library of a case where it is missing, before a network is brought up for it.

    Raises:
        CapabilityError: This machine cannot build it.
    """
    name = flavor_of(item)
    if name is not None:
        find_library(name)


def _is_for(item: pytest.Item, found: Flavor | None) -> bool:
    """Say whether a case belongs to a run for a flavor; None is all of testbed's own."""
    of = flavor_of(item)
    if of == _NONE:
        return False
    return found is None or _is_kernel(found) or found.is_library == (of is not None)


def _is_kernel(found: Flavor) -> bool:
    return found.foreign is not None and found.foreign.abi == "kernel"


def _names(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, tuple | list) else ()
