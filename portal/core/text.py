"""Comparing names without case: SQLite's lower() knows only ASCII, so a folded copy is stored and compared."""

from __future__ import annotations

import unicodedata


def fold(value: str) -> str:
    if value.isascii():
        return value.lower()
    return unicodedata.normalize("NFC", value).casefold()


def contains(value: str) -> str:
    """A LIKE pattern (escape character backslash) that finds `value` anywhere in a folded column."""
    escaped = fold(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def storable(value: str) -> str:
    """Halves of surrogate pairs and NUL characters come in from outside; no database takes them."""
    return value.encode(errors="replace").decode().replace("\x00", "?")
