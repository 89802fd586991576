"""Identity provider data waits beside what is in force until somebody trusts exactly what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.errors import Conflict, Invalid, LimitReached, NotFound, Stale
from portal.core.federation import attempts, identity_provider, offers
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import SignInAttempt, SignInPurpose, TrustSource
from portal.core.space.models import Space
from portal.trust import as_offered, from_metadata
from tests.support.make import Make
from tests.support.saml_idp import TestIdp, key_pair

IDP = from_metadata(TestIdp().metadata())
OTHER = from_metadata(TestIdp(entity_id="https://other.example.test/").metadata())


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme")


def offer(session: Session, space: Space, idp: TrustedIdentityProvider = IDP) -> TrustedIdentityProvider:
    return as_offered(offers.offer(session, SYSTEM, space=space, idp=idp))


def accept(session: Session, space: Space, idp: TrustedIdentityProvider, **choices: Any) -> None:
    offers.accept(session, SYSTEM, space=space, idp=idp, seen=choices.pop("seen", offers.digest(idp)), **choices)


def test_what_waits_is_what_was_offered_and_nothing_else_changes(session: Session, space: Space) -> None:
    found = offer(session, space, replace(IDP, source=TrustSource.URL, metadata_url="https://idp.example.test/m"))
    assert (found.entity_id, found.certificates, found.source) == (IDP.entity_id, IDP.certificates, TrustSource.URL)
    assert offers.digest(found) != offers.digest(IDP), "where it came from counts"
    assert identity_provider.current(session, space) is None


def test_trusted_with_its_test_and_gone_from_the_waiting_ones(session: Session, space: Space) -> None:
    found = offer(session, space)
    assert offers.mark_tested(session, space=space, idp=found)
    accept(session, space, found)
    trusted = identity_provider.current(session, space)
    assert trusted is not None
    assert trusted.tested_at is not None
    assert trusted.certificates == IDP.certificates
    assert offers.waiting(session, space) is None
    with pytest.raises(NotFound):
        accept(session, space, found)
    of_sso = select(AuditEvent.action).where(AuditEvent.action.like("sso.%")).order_by(AuditEvent.id)
    actions = session.scalars(of_sso).all()
    assert actions == ["sso.offer_identity_provider", "sso.accept_identity_provider", "sso.set_identity_provider"]


def test_untested_data_needs_a_yes(session: Session, space: Space) -> None:
    found = offer(session, space)
    with pytest.raises(Conflict) as refused:
        accept(session, space, found)
    assert refused.value.field == "untested"
    accept(session, space, found, untested=True)


def test_data_that_came_in_between_is_neither_tested_nor_trusted(session: Session, space: Space) -> None:
    first = offer(session, space)
    second = offer(session, space, OTHER)
    assert not offers.mark_tested(session, space=space, idp=first)
    for seen in (first, second):
        with pytest.raises(Stale):
            accept(session, space, first, seen=offers.digest(seen), untested=True)
    with pytest.raises(Stale):
        accept(session, space, second, seen=offers.digest(first), untested=True)
    accept(session, space, second, untested=True)


@pytest.mark.parametrize(
    "change",
    [
        {"entity_id": "https://x.example/"},
        {"sso_url": "https://x.example/sso"},
        {"sso_binding": "HTTP-POST"},
        {"slo_url": "https://x.example/slo"},
        {"certificates": OTHER.certificates},
        {"certificates": IDP.certificates + OTHER.certificates},
        {"metadata_url": "https://x.example/m"},
    ],
    ids=["entity_id", "sso_url", "sso_binding", "slo_url", "certificates", "one certificate more", "metadata_url"],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_any_change_takes_the_test_away(session: Session, space: Space, change: dict[str, Any]) -> None:
    offers.mark_tested(session, space=space, idp=offer(session, space))
    assert offer(session, space).tested_at is not None, "the same again keeps it"
    assert offer(session, space, replace(IDP, **change)).tested_at is None


def test_discarded(session: Session, space: Space) -> None:
    offer(session, space)
    offers.withdraw(session, SYSTEM, space=space)
    assert offers.waiting(session, space) is None
    with pytest.raises(NotFound):
        offers.withdraw(session, SYSTEM, space=space)


def test_without_a_certificate_or_with_too_many_nothing_waits(session: Session, space: Space) -> None:
    with pytest.raises(Invalid):
        offer(session, space, replace(IDP, certificates=()))
    many = tuple(
        replace(IDP.certificates[0], fingerprint=str(number), pem=key_pair(f"key{number}")[1]) for number in range(6)
    )
    with pytest.raises(LimitReached):
        offer(session, space, replace(IDP, certificates=many))
    assert offers.waiting(session, space) is None


def test_the_last_test_is_found_among_sign_ins(session: Session, space: Space) -> None:
    since = clock.now() - timedelta(minutes=1)
    assert attempts.last_test(session, space, since=since) is None
    attempts.record(session, space=space, accepted=False, purpose=SignInPurpose.TEST)
    last = attempts.record(session, space=space, accepted=True, purpose=SignInPurpose.TEST)
    for _each in range(510):
        session.add(SignInAttempt(space_id=space.id, accepted=False))
    found = attempts.last_test(session, space, since=since)
    assert found is not None
    assert found.id == last.id
    assert attempts.last_test(session, space, since=clock.now() + timedelta(minutes=1)) is None
