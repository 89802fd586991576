"""The rules for names of organizations, departments and member accounts."""

from __future__ import annotations

import re
import unicodedata

from portal.core.errors import Invalid

DEPARTMENT_NAME_LENGTH = 40
MEMBER_NAME_LENGTH = 25
ORGANIZATION_NAME_LENGTH = 64
DESCRIPTION_LENGTH = 256

_DEPARTMENT_SYMBOLS = "+@&._[]-"
_MEMBER_SYMBOLS = "@&_[]-~:;.,"


def organization_name(name: str) -> str:
    name = _clean(name)
    if not 1 <= len(name) <= ORGANIZATION_NAME_LENGTH or not name.isprintable():
        raise Invalid(f"The name of an organization has 1-{ORGANIZATION_NAME_LENGTH} characters.", field="name")
    return name


def department_name(name: str) -> str:
    """DEP-1: at most 40 letters, digits (of any script) and `+@&._[]-`."""
    return _checked(name, "department", DEPARTMENT_NAME_LENGTH, _DEPARTMENT_SYMBOLS)


def member_name(name: str) -> str:
    """MEM-4: 1-25 letters, digits (of any script) and the symbols that the guide's dialogs list."""
    return _checked(name, "member", MEMBER_NAME_LENGTH, _MEMBER_SYMBOLS)


def as_member_name(name: str, ending: str) -> str:
    """A valid member name made of another name: what is not allowed becomes a hyphen."""
    allowed = "".join(character if _is_allowed(character, _MEMBER_SYMBOLS) else "-" for character in _clean(name))
    return allowed[: MEMBER_NAME_LENGTH - len(ending)].strip("-") + ending


def as_space_name(name: str) -> str:
    """A proposal for the name of an organization's space: lower-case ASCII words joined by hyphens, or nothing."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", ascii_only))[:64].strip("-")


def description(text: str) -> str:
    text = text.strip()
    if len(text) > DESCRIPTION_LENGTH:
        raise Invalid(f"The description has at most {DESCRIPTION_LENGTH} characters.", field="description")
    return text


def _checked(name: str, what: str, length: int, symbols: str) -> str:
    name = _clean(name)
    if not 1 <= len(name) <= length or not all(_is_allowed(character, symbols) for character in name):
        allowed = f"letters, digits, Chinese characters or symbols ({' '.join(symbols)})"
        raise Invalid(f"The name of a {what} has 1-{length} {allowed}.", field="name")
    return name


def _is_allowed(character: str, symbols: str) -> bool:
    return character.isalpha() or character.isdecimal() or character in symbols


def _clean(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
