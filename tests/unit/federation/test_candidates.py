"""A test sign-in says of a name what a sign-in would do with it (IC-16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import SYSTEM, Actor
from portal.core.audit import AuditEvent
from portal.core.directory import counts
from portal.core.directory.models import User
from portal.core.federation import candidates, sign_ins
from portal.core.federation.candidates import Candidate
from portal.core.federation.models import NameCase, UnknownUsers
from portal.core.federation.saml_settings import Choices
from portal.core.limits import Limits, allowed, set_limits
from portal.core.space.models import Space
from tests.support.make import Make

CREATE, REFUSE = (Choices(unknown_users=choice) for choice in (UnknownUsers.CREATE, UnknownUsers.REFUSE))
TAKEN = {"mail": ("alice@example.test",)}


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme")


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    before = allowed("users_per_space")
    yield lambda users: set_limits(Limits(users_per_space=users))
    set_limits(Limits(users_per_space=before))


def actor(space: Space) -> Actor:
    return replace(SYSTEM, organization_id=space.organization_id)


def told(
    session: Session, space: Space, choices: Choices, name: str, attributes: dict[str, tuple[str, ...]]
) -> Candidate:
    return candidates.candidate(session, actor(space), space=space, choices=choices, name=name, attributes=attributes)


def happens(session: Session, space: Space, choices: Choices, name: str, attributes: dict[str, tuple[str, ...]]) -> str:
    """The reason of the refusal of a real sign-in, empty for none; undone afterwards."""
    vouched = sign_ins.Vouched(name, "_1", clock.now(), "https://idp.example/", attributes=attributes)
    with session.begin_nested() as tried:
        try:
            sign_ins.finish_sign_in(
                session, actor(space), space=space, vouched=vouched, choices=choices, session_expires=clock.now()
            )
        except sign_ins.SignInRefused as refusal:
            return refusal.reason
        finally:
            tried.rollback()
    return ""


@pytest.mark.parametrize("choices", [CREATE, REFUSE, replace(CREATE, name_case=NameCase.EXACT)])
@pytest.mark.parametrize("obstacle", ["", "scim", "limit"])
def test_a_test_says_what_a_sign_in_does(
    session: Session, make: Make, space: Space, limited: Callable[[int], None], choices: Choices, obstacle: str
) -> None:
    make.user(space, "alice", email="alice@example.test")
    make.user(space, "gone", enabled=False)
    space = session.get_one(Space, space.id)
    space.scim_enabled = obstacle == "scim"
    if obstacle == "limit":
        limited(2)
    reasons = set()
    names = ("alice", "ALICE", "bob", "gone", r"DOM\bob", "b ob", "a" * 200, "b\u00f6b", "\u212aalice")
    for name, attributes in [(name, {}) for name in names] + [("bob", TAKEN)]:
        found = told(session, space, choices, name, attributes)
        assert found.reason == happens(session, space, choices, name, attributes), name
        reasons.add(found.reason)
    assert {"", "disabled-user", "unknown-user"} <= reasons
    assert ("not-created" in reasons) == (choices != REFUSE)


def test_who_was_tried_is_not_there_afterwards(session: Session, space: Space) -> None:
    assert told(session, space, CREATE, "bob", {}).detail == "bob would be created at the first sign-in"
    assert counts.total(session, space.id, User) == session.scalar(select(func.count(User.id))) == 0
    assert session.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.action == "user.create")) == 0


@pytest.mark.parametrize("name", [r"DOM\bob", "b ob", "a" * 200, "b\u00f6b"])
def test_a_space_without_users_takes_only_what_can_be_a_name(session: Session, space: Space, name: str) -> None:
    found = told(session, space, REFUSE, name, {})
    assert found.reason == "unknown-user"
    assert "A username has 1 to 64" in found.detail
    assert told(session, space, REFUSE, "bob", {}).reason == ""
