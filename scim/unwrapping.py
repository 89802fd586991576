"""Values of a PATCH that came wrapped, as they were meant.

SCIM-SDK, on which the SCIM clients for Keycloak are built, sends what has parts as a text of JSON, and a JSON node as a
list of one: `"value": "[{\\"value\\": \\"u-1\\"}]"`, `"value": [false]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scim.attributes import Attribute
from scim.errors import invalid_value


def objects(value: Any) -> list[Mapping[str, Any]]:
    """What an operation without a path is about: an object of attributes. Raises ScimError 400 invalidValue."""
    decoded = _from_text(value)
    values = [_from_text(item) for item in decoded] if isinstance(decoded, list) else [decoded]
    if not values or not all(isinstance(each, Mapping) for each in values):
        raise invalid_value("Without a path the value is an object of attributes.")
    return values


def unwrapped(attribute: Attribute, value: Any) -> Any:
    """A value as it was meant: a list of one for a single value is that value, JSON as text is JSON."""
    if not attribute.multi and isinstance(value, list) and len(value) == 1:
        value = value[0]
    if attribute.type != "complex":
        return value
    decoded = _from_text(value)
    return [_from_text(item) for item in decoded] if isinstance(decoded, list) else decoded


def _from_text(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return value
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)
