"""Paging by cursor (RFC 9865): a place in the order of creation, so page 1000 costs what page 1 costs.

The creation number never changes and no page is counted off, so what comes or goes during a walk neither hides nor
doubles anything else. A cursor is sealed (Fernet): it tells nothing, cannot be made by hand, and holds the question it
belongs to. Nothing is kept on the server, so it does not run out.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import ColumnElement, Select

from portal.core.secrets import derive
from scim import resources
from scim.errors import ScimError, invalid_value
from scim.projection import Projection
from scim.resources import Door, Resources, Row

_LONGEST = 1024


@dataclass(frozen=True)
class Place:
    """The rows after `number` in the order of creation, or those before it."""

    number: int
    backwards: bool = False


@dataclass(frozen=True)
class CursorPage:
    total: int
    rows: Sequence[Row]
    links: Mapping[str, str]
    """`nextCursor` and `previousCursor`, as far as there are any."""


def page(
    door: Door,
    found: Resources,
    *,
    asked: Mapping[str, str],
    projection: Projection,
    condition: ColumnElement[bool] | None,
    count: int,
    secret_key: str,
) -> CursorPage:
    """The page that `asked["cursor"]` names, the first when it is empty; `condition` is the filter of `asked`.

    Raises ScimError 400 invalidCursor (made up, changed, of another list or filter), 400 invalidValue for `sortBy`.
    """
    if asked.get("sortBy"):
        raise invalid_value("sortBy does not go with cursor: pages by cursor come in the order of creation.")
    seal = _Seal(secret_key, door.space.id, found.type.name, asked.get("filter", ""))
    place = seal.open(asked["cursor"]) if asked["cursor"] else Place(0)
    total = resources.total(door, found, condition)
    if count == 0:
        return CursorPage(total, (), {})
    statement = resources.matching(door, found, condition, projection)
    rows, more = _rows(door, statement, found.model.__table__.c.number, place, count)
    first = rows[0].number if rows else place.number + (not place.backwards)
    last = rows[-1].number if rows else place.number - place.backwards
    links = {}
    if more or place.backwards:
        links["nextCursor"] = seal.close(Place(last))
    if asked["cursor"] and (more or not place.backwards):
        links["previousCursor"] = seal.close(Place(first, backwards=True))
    return CursorPage(total, rows, links)


def _rows(
    door: Door, statement: Select[Any], number: ColumnElement[int], place: Place, count: int
) -> tuple[Sequence[Row], bool]:
    """At most `count` rows, oldest first, and whether there are more in the direction of the walk."""
    statement = statement.limit(count + 1)
    if place.backwards:
        statement = statement.where(number < place.number).order_by(number.desc())
    else:
        statement = statement.where(number > place.number).order_by(number)
    rows: Sequence[Any] = door.session.connection().execute(statement).all()
    kept = rows[:count]
    return kept[::-1] if place.backwards else kept, len(rows) > count


class _Seal:
    def __init__(self, secret_key: str, *question: str) -> None:
        self.fernet = Fernet(base64.urlsafe_b64encode(derive(secret_key, "scim cursors")))
        self.question = hashlib.sha256(json.dumps(question).encode()).hexdigest()

    def close(self, place: Place) -> str:
        content = json.dumps([self.question, place.number, place.backwards])
        return self.fernet.encrypt(content.encode()).decode().rstrip("=")

    def open(self, cursor: str) -> Place:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            if len(padded) > _LONGEST or base64.urlsafe_b64encode(base64.urlsafe_b64decode(padded)).decode() != padded:
                raise InvalidToken  # a decoder passes over what an encoder would not write
            question, number, backwards = json.loads(self.fernet.decrypt(padded))
        except (InvalidToken, ValueError):
            raise _invalid("The cursor is none that this service gave out.") from None
        if question != self.question:
            raise _invalid("The cursor belongs to another list or another filter.")
        return Place(number, backwards)


def _invalid(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidCursor")
