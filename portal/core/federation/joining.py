"""Users who are made when they sign in for the first time, where a space has chosen that (IC-16)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.directory import users
from portal.core.directory.models import User
from portal.core.errors import Conflict, Invalid, LimitReached
from portal.core.space.models import Space

_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_NAMES = {
    "email": ("mail", "email", "emailaddress", "urn:oid:0.9.2342.19200300.100.1.3", f"{_CLAIMS}emailaddress"),
    "given_name": ("givenname", "firstname", "given_name", "first_name", "urn:oid:2.5.4.42", f"{_CLAIMS}givenname"),
    "family_name": (
        "sn", "surname", "lastname", "familyname", "family_name", "last_name", "urn:oid:2.5.4.4", f"{_CLAIMS}surname",
    ),
    "display_name": (
        "displayname", "display_name", "urn:oid:2.16.840.1.113730.3.1.241",
        "http://schemas.microsoft.com/identity/claims/displayname",
    ),
}  # fmt: skip
"""How identity providers call them: LDAP, OpenID Connect, SAML by OID, Microsoft. Compared without case."""
_LONGEST = {"email": 128, "given_name": 64, "family_name": 64, "display_name": 256}


class NotCreated(Exception):
    """In words, for the administrator."""


def create(
    session: Session, actor: Actor, *, space: Space, user_name: str, attributes: Mapping[str, tuple[str, ...]]
) -> User:
    """An enabled Manual user. Raises NotCreated: SCIM makes the users of this space, the name breaks a rule, name or
    e-mail belong to somebody, a limit is reached."""
    if space.scim_enabled:
        raise NotCreated("no such user, and while SCIM is on only the identity provider's push makes users")
    ourselves = replace(actor, kind="system", id="sign-in", name="First sign-in")
    try:
        with session.begin_nested():  # who is refused is not there for whoever looks again
            return users.create_user(session, ourselves, space=space, user_name=user_name, **known(attributes))
    except (Invalid, Conflict, LimitReached) as error:
        raise NotCreated(error.message) from error


def known(attributes: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """What of the attributes a user has a place for. A value that does not fit is left out: people sign in all the
    same, and an administrator can complete them."""
    sent = {name.lower(): [value.strip() for value in values] for name, values in attributes.items()}
    found: dict[str, Any] = {}
    for field, names in _NAMES.items():
        values = [value for name in names for value in sent.get(name, []) if _fits(field, value)]
        if values:
            found[field] = values[0]
    return found


def _fits(field: str, value: str) -> bool:
    if not value or len(value) > _LONGEST[field] or not value.isprintable():
        return False
    local, _, domain = value.rpartition("@")
    return field != "email" or bool(local and domain and " " not in value)
