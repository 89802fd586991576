"""What SCIM reads back of a user, kept in step with the columns when somebody else than SCIM writes them (IC-5).

SCIM keeps e-mails as sent in `User.attributes`, and the names and e-mails once more in `user_values`, the index of its
filters. A push brings all of it along; an edit in the console and an adoption know the columns only.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from portal.core.directory.models import User, UserValue
from portal.core.text import fold

_NAMES = {"name.givenName": "given_name", "name.familyName": "family_name"}


def from_columns(user: User) -> list[UserValue]:
    """For a user made by hand: sets the attributes, gives the rows of the index, which are to be added."""
    rows = [_row(user, name, 0, value) for name, column in _NAMES.items() if (value := getattr(user, column))]
    if user.email:
        user.attributes = user.attributes | {"emails": [{"value": user.email, "type": "work", "primary": True}]}
        rows.append(_row(user, "emails", 0, user.email, type="work", primary=True))
    return rows


def follow_columns(session: Session, user: User, *, email_before: str | None) -> None:
    """After an edit of a pushed user: where the old e-mail stood the new one does; without one, none is left."""
    renamed = [_put(session, user, name, 0, getattr(user, column)) for name, column in _NAMES.items()]
    if any(renamed):
        _forget_formatted(session, user)
    if user.email == email_before:
        return
    entries: list[dict[str, Any]] = [dict(entry) for entry in user.attributes.get("emails", [])]
    if not user.email:
        entries = []
        session.execute(delete(UserValue).where(UserValue.user_number == user.number, UserValue.attribute == "emails"))
    elif places := [place for place, entry in enumerate(entries) if _same(entry.get("value"), email_before)]:
        for place in places:
            entries[place]["value"] = user.email
            _put(session, user, "emails", place, user.email)
    else:
        for place, entry in enumerate(entries):
            if entry.pop("primary", None):
                _put(session, user, "emails", place, entry.get("value"), primary=False)
        _put(session, user, "emails", len(entries), user.email, type="work", primary=True)
        entries.append({"value": user.email, "type": "work", "primary": True})
    rest = {name: value for name, value in user.attributes.items() if name != "emails"}
    user.attributes = rest | ({"emails": entries} if entries else {})


def show_active(user: User) -> None:
    """`active: null` says that the IdP took the attribute away; it is there again once somebody decides about it."""
    if "active" in user.attributes:
        user.attributes = {name: value for name, value in user.attributes.items() if name != "active"}


def _same(value: str | None, other: str | None) -> bool:
    return bool(value and other) and fold(value or "") == fold(other or "")


def _put(session: Session, user: User, attribute: str, position: int, value: str | None, **parts: Any) -> bool:
    """True when the row was not so before."""
    row = session.get(UserValue, (user.number, attribute, position))
    if row is None:
        if value:
            session.add(_row(user, attribute, position, value, **parts))
        return bool(value)
    if not value:
        session.delete(row)
        return True
    changed = row.value != value
    row.value, row.value_key = value, fold(value)
    for name, part in parts.items():
        setattr(row, name, part)
    return changed


def _forget_formatted(session: Session, user: User) -> None:
    """The full name as the IdP put it together fits no longer."""
    _put(session, user, "name.formatted", 0, None)
    name = {part: value for part, value in user.attributes.get("name", {}).items() if part != "formatted"}
    rest = {key: value for key, value in user.attributes.items() if key != "name"}
    user.attributes = rest | ({"name": name} if name else {})


def _row(user: User, attribute: str, position: int, value: str, **parts: Any) -> UserValue:
    return UserValue(
        user_number=user.number,
        attribute=attribute,
        position=position,
        value=value,
        value_key=fold(value),
        **{"type": None, "display": None, "primary": False, **parts},
    )
