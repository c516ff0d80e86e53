"""Stored. The images that users asked about through Veritrain, kept by the interaction they belong to.

So that an answer somebody was not content with can be looked at, and labelled, later. They lie in the
file store; the interaction's key, which is unique in its test, says where.
"""

from __future__ import annotations

import hashlib

from core.files import content_key
from core.workbench import Workbench


def keep(wb: Workbench, test_id: int, key: str, data: bytes) -> None:
    """Keep the image that the interaction `key` asked about, on disk before this returns."""
    wb.files.write(_place(test_id, key), data)


def image(wb: Workbench, test_id: int, key: str) -> bytes | None:
    """The image of an interaction; None where it had none, as when a program logged a text."""
    try:
        return wb.files.read(_place(test_id, key))
    except FileNotFoundError:
        return None


def has(wb: Workbench, test_id: int, key: str) -> bool:
    return wb.files.exists(_place(test_id, key))


def _place(test_id: int, key: str) -> str:
    return content_key(hashlib.sha256(f"{test_id}\0{key}".encode()).hexdigest(), "queries", "bin")
