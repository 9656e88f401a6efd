# SPDX-License-Identifier: MIT
"""The beginning and the end of a file, as text that loses no byte."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from pathlib import Path


class Excerpt(TypedDict):
    """Parts of a file: ``bytes`` is its length, ``left_out`` how many are missing between ``head`` and ``tail``."""

    head: str
    tail: str
    bytes: int
    left_out: int


def text_of(data: bytes) -> str:
    """Decode UTF-8; a byte that is none becomes a lone surrogate, which the page shows as that byte."""
    return data.decode("utf-8", "surrogateescape")


def excerpt(path: Path, first_bytes: int, last_bytes: int) -> Excerpt | None:
    """Read the beginning and the end of a file; None where there is no file."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= first_bytes + last_bytes:
                return {"head": text_of(stream.read()), "tail": "", "bytes": size, "left_out": 0}
            head = stream.read(first_bytes)
            stream.seek(size - last_bytes)
            tail = stream.read(last_bytes)
    except FileNotFoundError:
        return None
    return {"head": text_of(head), "tail": text_of(tail), "bytes": size, "left_out": size - len(head) - len(tail)}
