"""Whom an assertion would let in (IC-16): the user whose name it bears, and what keeps that user out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.database import undone
from portal.core.directory import counts, users
from portal.core.directory.models import User
from portal.core.errors import Invalid
from portal.core.federation import joining
from portal.core.federation.models import NameCase, UnknownUsers
from portal.core.federation.saml_settings import Choices
from portal.core.space.models import Space
from portal.core.text import fold


@dataclass(frozen=True)
class Candidate:
    """`reason`: why nobody would be signed in, empty when `name` would; `detail`: what was found, in words."""

    name: str
    reason: str
    detail: str


def candidate(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    choices: Choices,
    name: str,
    attributes: Mapping[str, tuple[str, ...]],
) -> Candidate:
    """A space without users takes any name that a user can have: identity providers are set up before they push."""
    user = user_named(session, space, name)
    other_case = user is not None and choices.name_case == NameCase.EXACT and user.user_name != name
    if choices.unknown_users == UnknownUsers.CREATE and name.isascii() and (user is None or other_case):
        return _tried(session, actor, space, name, attributes)
    if user is not None and other_case:
        return Candidate(name, "unknown-user", f"no user {name}; the name is {user.user_name}, and case counts")
    if user is None:
        return _nobody(session, space, name)
    if not user.enabled:
        return Candidate(user.user_name, "disabled-user", f"the login of {user.user_name} is disabled")
    return Candidate(user.user_name, "", f"{user.user_name} would be signed in")


def _tried(
    session: Session, actor: Actor, space: Space, name: str, attributes: Mapping[str, tuple[str, ...]]
) -> Candidate:
    """Created as at a sign-in, and taken back: nothing else knows every rule and limit."""
    try:
        with undone(session):
            joining.create(session, actor, space=space, user_name=name, attributes=attributes)
    except joining.NotCreated as error:
        return Candidate(name, "not-created", f"{name}: {error}")
    return Candidate(name, "", f"{name} would be created at the first sign-in")


def _nobody(session: Session, space: Space, name: str) -> Candidate:
    try:
        users.check_user_name(name)
    except Invalid as error:
        return Candidate(name, "unknown-user", f"{name} cannot be the name of a user: {error.message}")
    if counts.total(session, space.id, User):
        return Candidate(name, "unknown-user", f"no user {name}")
    return Candidate(name, "", f"there are no users yet; {name} can sign in once a user of that name is there")


def user_named(session: Session, space: Space, name: str) -> User | None:
    """Without case. User names are ASCII: folding others would let a look-alike through."""
    if not name.isascii():
        return None
    return session.scalar(select(User).where(User.space_id == space.id, User.user_name_key == fold(name)))
