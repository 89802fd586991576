"""SCIM credentials of a space (IC-7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.errors import Forbidden, Invalid, LimitReached, NotFound
from portal.core.push.credentials import (
    Opened,
    create_credential,
    credentials_of_space,
    delete_credential,
    get_credential,
    note_use,
    set_credential_enabled,
    set_credential_strict,
    set_scim_enabled,
    space_of_secret,
    use_is_due,
)
from portal.core.push.models import CredentialType, ScimCredential
from portal.core.space.models import Space, SpaceKey
from tests.support.make import Make


@pytest.fixture
def space(make: Make, session: Session) -> Space:
    return session.get_one(Space, make.space("acme", scim_enabled=True).id)


def opened(session: Session, secret: str) -> Opened:
    session.flush()
    return space_of_secret(session.connection(), secret)


def test_ic_7_the_secret_opens_the_space_and_is_not_stored(session: Session, space: Space) -> None:
    credential, secret = create_credential(session, SYSTEM, space=space)
    assert credential.id.startswith("scimcred-")
    door = opened(session, secret)
    assert (door.credential_id, door.space) == (credential.id, SpaceKey(space.id, space.organization_id))
    stored = [str(value) for value in vars(session.scalars(select(ScimCredential)).one()).values()]
    assert not any(secret in value for value in stored)
    assert len(secret) >= 43


def test_a_credential_lives_a_year_unless_said_otherwise(session: Session, space: Space) -> None:
    credential, _ = create_credential(session, SYSTEM, space=space)
    assert credential.expires_at - credential.created_at == timedelta(days=365)


@pytest.mark.parametrize("lifetime", [timedelta(hours=1), timedelta(days=99 * 365)])
def test_lifetimes_from_an_hour_to_99_years(session: Session, space: Space, lifetime: timedelta) -> None:
    credential, _ = create_credential(session, SYSTEM, space=space, lifetime=lifetime)
    assert credential.expires_at - credential.created_at == lifetime


@pytest.mark.parametrize(
    "lifetime", [timedelta(0), timedelta(minutes=59), timedelta(days=100 * 366), timedelta(days=-1)]
)
def test_other_lifetimes_are_refused(session: Session, space: Space, lifetime: timedelta) -> None:
    with pytest.raises(Invalid) as refused:
        create_credential(session, SYSTEM, space=space, lifetime=lifetime)
    assert refused.value.field == "lifetime"


def test_a_third_credential_is_refused(session: Session, space: Space) -> None:
    first, _ = create_credential(session, SYSTEM, space=space)
    create_credential(session, SYSTEM, space=space)
    with pytest.raises(LimitReached, match="2 SCIM credentials"):
        create_credential(session, SYSTEM, space=space)
    delete_credential(session, SYSTEM, credential=first)
    create_credential(session, SYSTEM, space=space)
    assert len(credentials_of_space(session, space)) == 2


def test_refused_when_unknown_disabled_expired_or_switched_off(session: Session, space: Space) -> None:
    credential, secret = create_credential(session, SYSTEM, space=space)
    with pytest.raises(Forbidden, match="not known"):
        opened(session, secret + "x")
    set_credential_enabled(session, SYSTEM, credential=credential, enabled=False)
    with pytest.raises(Forbidden, match="disabled"):
        opened(session, secret)
    set_credential_enabled(session, SYSTEM, credential=credential, enabled=True)
    set_scim_enabled(session, SYSTEM, space=space, enabled=False)
    with pytest.raises(Forbidden, match="switched off"):
        opened(session, secret)
    set_scim_enabled(session, SYSTEM, space=space, enabled=True)
    with clock.shifted(timedelta(days=365, seconds=1)), pytest.raises(Forbidden, match="expired"):
        opened(session, secret)


def test_a_credential_of_another_space_is_not_there(session: Session, space: Space, make: Make) -> None:
    credential, _ = create_credential(session, SYSTEM, space=space)
    session.commit()
    with pytest.raises(NotFound):
        get_credential(session, make.space(), credential.id)


@pytest.mark.parametrize("minutes", [0, 59, 361])
def test_access_tokens_live_one_to_six_hours(session: Session, space: Space, minutes: int) -> None:
    with pytest.raises(Invalid) as refused:
        create_credential(session, SYSTEM, space=space, token_minutes=minutes)
    assert refused.value.field == "token_minutes"


def test_both_types_count_in_the_limit(session: Session, space: Space) -> None:
    create_credential(session, SYSTEM, space=space, type=CredentialType.CLIENT_CREDENTIALS)
    create_credential(session, SYSTEM, space=space)
    with pytest.raises(LimitReached):
        create_credential(session, SYSTEM, space=space, type=CredentialType.CLIENT_CREDENTIALS)


def test_strict_is_switched_and_recorded_once(session: Session, space: Space) -> None:
    credential, _ = create_credential(session, SYSTEM, space=space)
    for _ in range(2):
        set_credential_strict(session, SYSTEM, credential=credential, strict=True)
    assert credential.strict
    session.flush()
    (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "scim_credential.update"))
    assert event.details == {"strict": True}


def test_use_is_noted_to_the_minute(session: Session, space: Space) -> None:
    credential, _ = create_credential(session, SYSTEM, space=space)
    assert use_is_due(credential.last_used_at)
    note_use(session, credential.id)
    session.refresh(credential)
    assert not use_is_due(credential.last_used_at)
    with clock.shifted(timedelta(seconds=61)):
        assert use_is_due(credential.last_used_at)


def test_aud_1_every_change_is_recorded_without_the_secret(session: Session, space: Space) -> None:
    credential, secret = create_credential(session, SYSTEM, space=space)
    set_credential_enabled(session, SYSTEM, credential=credential, enabled=False)
    set_credential_enabled(session, SYSTEM, credential=credential, enabled=False)
    delete_credential(session, SYSTEM, credential=credential)
    set_scim_enabled(session, SYSTEM, space=space, enabled=False)
    session.flush()
    found = session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()
    actions = [event.action for event in found if "scim" in event.action]
    assert actions == ["scim_credential.create", "scim_credential.disable", "scim_credential.delete", "scim.disable"]
    assert not any(secret in str(vars(event)) for event in found)
