"""Identifiers: prefix + 12 of `[a-z0-9]` as in the real product (62 bits, made from the system's random source)."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable

_ALPHABET = string.ascii_lowercase + string.digits


def new_id(prefix: str) -> str:
    number, letters = secrets.randbelow(len(_ALPHABET) ** 12), ""
    for _ in range(12):
        number, place = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[place]
    return prefix + letters


def ids(prefix: str) -> Callable[[], str]:
    """For a column default: `mapped_column(default=ids("u-"))`."""
    return lambda: new_id(prefix)


def new_uin() -> int:
    """A number for an account or a CAM user: 12 digits, as in the real product."""
    return 100_000_000_000 + secrets.randbelow(900_000_000_000)
