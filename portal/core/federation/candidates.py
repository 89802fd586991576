"""Whom an assertion would let in (IC-16): the user whose name it bears, and what keeps that user out."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.directory import counts
from portal.core.directory.models import User
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


def candidate(session: Session, space: Space, choices: Choices, name: str) -> Candidate:
    """A space without users takes any name: identity providers are set up before they push."""
    user = user_named(session, space, name)
    if user is not None and choices.name_case == NameCase.EXACT and user.user_name != name:
        return Candidate(name, "unknown-user", f"no user {name}; the name is {user.user_name}, and case counts")
    if user is None and choices.unknown_users == UnknownUsers.CREATE:
        return Candidate(name, "", f"{name} would be created at the first sign-in")
    if user is None and not counts.total(session, space.id, User):
        return Candidate(name, "", f"there are no users yet; {name} can sign in once a user of that name is there")
    if user is None:
        return Candidate(name, "unknown-user", f"no user {name}")
    if not user.enabled:
        return Candidate(user.user_name, "disabled-user", f"the login of {user.user_name} is disabled")
    return Candidate(user.user_name, "", f"{user.user_name} would be signed in")


def user_named(session: Session, space: Space, name: str) -> User | None:
    """Without case. User names are ASCII: folding others would let a look-alike through."""
    if not name.isascii():
        return None
    return session.scalar(select(User).where(User.space_id == space.id, User.user_name_key == fold(name)))
