"""What the SCIM log keeps of a body: the JSON written anew without its secrets (IC-7).

A secret is whatever a name calls one, wherever it stands: a key, the attribute that the `path` of a PATCH operation
names, a filter. Too much is rather removed than too little. What is not JSON is told by its length only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

REMOVED = "(removed)"
_SECRET = re.compile(r"passw|secret|token|authorization|credential|key|x509certificates", re.IGNORECASE)
_SECRET_WORD = re.compile(rf"(?:{_SECRET.pattern})\w*", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_COMPARED = re.compile(r"\s*(?:\[|\b(?:eq|ne|co|sw|ew|gt|ge|lt|le)\b)", re.IGNORECASE)
_ASSIGNED = re.compile(r"\s*[=:]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BEARER = re.compile(r"\bbearer\s+\S+", re.IGNORECASE)
_NAMING = ("path", "name", "attribute", "type")
"""Keys whose value may name the attribute that stands beside it as `value`."""
_MAX_DEPTH = 60


def redacted(body: bytes, media_type: str) -> str:
    """The body for a person to read, indented. Empty when there is none."""
    if not body:
        return ""
    try:
        return json.dumps(_clean(json.loads(body)), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return described(len(body), media_type)


def described(length: int, media_type: str) -> str:
    return f"({length} bytes of {media_type or 'no content type'}, not kept: not JSON)"


def without_secrets(text: str) -> str:
    """A path, filter or query: cut off behind the name of a secret, for there the secret may follow."""
    names = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)
    found = _SECRET_WORD.search(names)
    if found is None:
        return text
    return text[: found.end()] + (f" {REMOVED}" if text[found.end() :].strip() else "")


def plain(detail: str) -> str:
    """An error's text, which may quote such a path."""
    return _cut(detail, _COMPARED)


def _cut(text: str, follows: re.Pattern[str]) -> str:
    """Ends behind the first name of a secret that something `follows`. Each word is looked at once, whatever it is."""
    for word in _WORD.finditer(text):
        if _SECRET.search(word[0]) and follows.match(text, word.end()):
            text = f"{text[: word.end()]} {REMOVED}"
            break
    return _BEARER.sub(REMOVED, text)


def _clean(value: Any, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        return f"{REMOVED[:-1]}: too deep)"
    if isinstance(value, dict):
        return _clean_object(value, depth)
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    return _clean_text(value, depth) if isinstance(value, str) else value


def _clean_object(value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    named = any(
        key.lower() in _NAMING and isinstance(inner, str) and _SECRET.search(inner) for key, inner in value.items()
    )
    cleaned: dict[str, Any] = {}
    for key, inner in value.items():
        if inner is not None and (_calls_a_secret(key) or (named and key.lower() == "value")):
            cleaned[without_secrets(key)] = REMOVED
        elif key.lower() in ("path", "filter") and isinstance(inner, str):
            cleaned[key] = without_secrets(inner)
        else:
            cleaned[key] = _clean(inner, depth + 1)
    return cleaned


def _calls_a_secret(key: str) -> bool:
    """In `urn:...:User:password` the attribute counts: the URN of an extension may be called what it likes."""
    return _SECRET.search(key if "[" in key or " " in key else key.rsplit(":", 1)[-1]) is not None


def _clean_text(text: str, depth: int) -> str:
    """Some clients send JSON within JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return _cut(text, _ASSIGNED)
    try:
        return json.dumps(_clean(json.loads(text), depth + 1), ensure_ascii=False)
    except (ValueError, RecursionError):
        return REMOVED if _SECRET.search(text) else _BEARER.sub(REMOVED, text)
