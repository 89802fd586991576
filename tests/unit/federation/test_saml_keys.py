"""A roll-over: a new pair is published, then used, then the old one leaves."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.errors import Conflict, Stale, Unavailable
from portal.core.federation import saml_keys, sp_keys
from portal.core.federation.models import KeyStage, KeyUse
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.meeting import meet, on_postgresql
from tests.support.saml_idp import key_pair

USE = KeyUse.SERVICE_PROVIDER
OLD, NEW = key_pair("old"), key_pair("new")


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme")


def introduce(session: Session, make: Make, space: Space, pair: tuple[str, str]) -> None:
    private_key, certificate = pair
    saml_keys.introduce(
        session,
        SYSTEM,
        space=space,
        use=USE,
        private_key=private_key,
        certificate=certificate,
        secret_key=make.secret_key,
    )


def published(session: Session, space: Space) -> list[str]:
    return saml_keys.certificates(session, space, USE)


def test_a_roll_over_from_the_first_key_to_the_last(session: Session, make: Make, space: Space) -> None:
    introduce(session, make, space, OLD)
    assert published(session, space) == [OLD[1]]
    with pytest.raises(Unavailable):
        saml_keys.signing_key(session, space, secret_key=make.secret_key, use=USE)

    saml_keys.switch(session, SYSTEM, space=space, use=USE)
    assert not saml_keys.under_way(session, space, USE)
    introduce(session, make, space, NEW)
    assert published(session, space) == [OLD[1], NEW[1]]
    assert saml_keys.signing_key(session, space, secret_key=make.secret_key, use=USE) == OLD

    saml_keys.switch(session, SYSTEM, space=space, use=USE)
    assert published(session, space) == [NEW[1], OLD[1]]
    assert saml_keys.signing_key(session, space, secret_key=make.secret_key, use=USE) == NEW
    opened = saml_keys.open_keys(session, space, secret_key=make.secret_key, use=USE)
    assert [(key.private_key, key.certificate) for key in opened] == [NEW, OLD]

    saml_keys.retire(session, SYSTEM, space=space, use=USE)
    assert published(session, space) == [NEW[1]]
    actions = list(session.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("saml_key."))))
    assert sorted(actions) == sorted(
        ["saml_key.introduce", "saml_key.switch", "saml_key.introduce", "saml_key.switch", "saml_key.retire"]
    )


def test_a_new_key_that_was_never_used_can_be_taken_back(session: Session, make: Make, space: Space) -> None:
    introduce(session, make, space, OLD)
    saml_keys.switch(session, SYSTEM, space=space, use=USE)
    introduce(session, make, space, NEW)

    saml_keys.retire(session, SYSTEM, space=space, use=USE)

    assert saml_keys.by_stage(session, space, USE).keys() == {KeyStage.CURRENT}
    assert published(session, space) == [OLD[1]]


def test_steps_out_of_order_are_refused(session: Session, make: Make, space: Space) -> None:
    for step in (saml_keys.switch, saml_keys.retire):
        with pytest.raises(Conflict):
            step(session, SYSTEM, space=space, use=USE)
    introduce(session, make, space, OLD)
    with pytest.raises(Conflict, match="under way"):
        introduce(session, make, space, NEW)
    assert published(session, space) == [OLD[1]]


@on_postgresql
def test_a_step_that_waited_for_another_one_is_not_taken(make: Make, space: Space) -> None:
    """Meant is the new key that was never used; by then it is in use, and the old one would go."""
    with make.transaction() as session:
        introduce(session, make, space, OLD)
        saml_keys.switch(session, SYSTEM, space=space, use=USE)
        introduce(session, make, space, NEW)
        seen = sp_keys.standing(session, space)

    def retire() -> None:
        with make.transaction() as session:
            saml_keys.by_stage(session, space, USE)
            sp_keys.retire(session, SYSTEM, space=space, seen=seen)

    told = meet(make.database, lambda session: sp_keys.switch(session, SYSTEM, space=space, seen=seen), retire)
    assert isinstance(told, Stale)
    with make.transaction() as session:
        assert published(session, space) == [NEW[1], OLD[1]]


def test_the_keys_of_a_use_are_its_own(session: Session, make: Make, space: Space) -> None:
    issuing = saml_keys.certificates(session, space)
    introduce(session, make, space, OLD)
    saml_keys.switch(session, SYSTEM, space=space, use=USE)

    assert saml_keys.certificates(session, space) == issuing
