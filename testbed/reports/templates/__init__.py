# SPDX-License-Identifier: MIT
"""The templates of the reports (Jinja), and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def template(name: str, *, autoescape: bool = True, **filters: Any) -> Template:
    """Give a template of this folder.

    Args:
        name: Its file name.
        autoescape: Whether values are escaped for HTML and XML; where not, each goes through a filter.
        filters: More filters, by name.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (80 ms; not every command needs it)

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader,
        autoescape=autoescape,  # noqa: S701 (Markdown has no escaping of Jinja's; its filters are ours, and tested)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
