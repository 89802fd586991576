"""A passed test counts as long as what it was passed with stays so (IC-6)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.errors import Conflict, Stale
from portal.core.federation import certificates, offers, refreshes, saml_settings
from portal.core.federation.identity_provider import TrustedIdentityProvider, current
from portal.core.federation.models import NameCase, TrustSource, UnknownUsers
from portal.core.federation.refreshes import Settled
from portal.core.federation.saml_settings import Choices
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.meeting import meet, on_postgresql
from tests.support.trust import certificate, fingerprints, provider, trust, trusted

FIRST, SECOND = certificate("first"), certificate("second")
URL = {"source": TrustSource.URL, "metadata_url": "https://idp.example/m"}
TESTED = {**URL, "tested_at": clock.now()}


@pytest.fixture
def space(make: Make) -> Space:
    """What it trusts is tested."""
    space = make.space("acme")
    trust(make, space, FIRST, SECOND, **TESTED)
    return space


def refresh(make: Make, space: Space, read: TrustedIdentityProvider) -> Settled:
    with make.transaction() as session:
        turn = refreshes.take(session, space.id)
        assert turn is not None
    with make.transaction() as session:
        return refreshes.settle(session, SYSTEM, turn=turn, read=read, again_at=clock.now())


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"username_attribute": "mail"}, False),
        ({"name_case": NameCase.EXACT}, False),
        ({"force_authn": True}, False),
        ({"unknown_users": UnknownUsers.CREATE}, False),
        ({"idp_initiated": True}, True),
        ({}, True),
    ],
)
def test_other_settings_want_another_test(session: Session, space: Space, change: dict[str, Any], counts: bool) -> None:
    offers.offer(session, SYSTEM, space=space, idp=provider(FIRST))
    assert offers.mark_tested(session, space=space, idp=provider(FIRST))
    saml_settings.choose(session, SYSTEM, space=space, choices=Choices(**change))
    session.expire_all()
    idp, offer = current(session, space), offers.waiting(session, space)
    assert idp is not None
    assert offer is not None
    assert (idp.tested_at is not None, offer.tested_at is not None) == (counts, counts)


def test_a_certificate_that_leaves_takes_the_test_along(make: Make, space: Space) -> None:
    with make.transaction() as session:
        certificates.add(session, SYSTEM, space=space, certificates=[certificate("third")])
    assert trusted(make, space).tested_at is not None
    with make.transaction() as session:
        certificates.remove(session, SYSTEM, space=space, certificate=certificates.of_space(session, space)[0])
    assert trusted(make, space).tested_at is None


@pytest.mark.parametrize(
    ("read", "counts"),
    [
        (provider(FIRST, SECOND, certificate("third"), **URL), True),
        (provider(FIRST, SECOND, slo_url="https://idp.example/slo", slo_binding="HTTP-POST", **URL), True),
        (provider(SECOND, **URL), False),
    ],
    ids=["certificate added", "logout address", "certificate removed"],
)
def test_metadata_that_is_taken_over_keeps_the_test_while_every_certificate_stays(
    make: Make, space: Space, read: TrustedIdentityProvider, counts: bool
) -> None:
    assert refresh(make, space, read) is Settled.TRUSTED
    assert fingerprints(make, space) == {one.fingerprint for one in read.certificates}
    assert (trusted(make, space).tested_at is not None) is counts


@pytest.mark.parametrize("door", [{"sso_url": "https://idp.example/new"}, {"sso_binding": "HTTP-POST"}])
def test_another_login_address_waits_to_be_tested(make: Make, space: Space, door: dict[str, str]) -> None:
    before, moved = trusted(make, space), provider(SECOND, **URL, **door)
    assert refresh(make, space, moved) is Settled.WAITS
    assert trusted(make, space) == before
    with make.transaction() as session:
        offer = offers.waiting(session, space)
        assert offer is not None
        assert (offer.offered_by, offer.tested_at) == (SYSTEM.name, None)
        assert offers.mark_tested(session, space=space, idp=moved)

    assert refresh(make, space, moved) is Settled.WAITS
    with make.transaction() as session:
        offer = offers.waiting(session, space)
        assert offer is not None
        assert offer.tested_at is not None, "the same again changes nothing"


def test_what_an_administrator_brought_is_not_replaced_by_what_is_read(make: Make, space: Space) -> None:
    brought = provider(certificate("third"))
    with make.transaction() as session:
        offers.offer(session, SYSTEM, space=space, idp=brought)
    with pytest.raises(Conflict, match="names another login address"):
        refresh(make, space, provider(FIRST, sso_url="https://idp.example/new", **URL))
    with make.transaction() as session:
        assert offers.waits(session, space, brought)


def test_settings_that_changed_since_they_were_seen_are_not_turned_back(session: Session, space: Space) -> None:
    seen = saml_settings.digest(Choices())
    first, second = Choices(force_authn=True), Choices(idp_initiated=True)
    saml_settings.choose(session, SYSTEM, space=space, choices=first, seen=seen)
    with pytest.raises(Stale):
        saml_settings.choose(session, SYSTEM, space=space, choices=second, seen=seen)
    assert saml_settings.of(session, space) == first
    saml_settings.choose(session, SYSTEM, space=space, choices=second, seen=saml_settings.digest(first))
    assert saml_settings.of(session, space) == second


@on_postgresql
def test_of_two_who_choose_the_first_settings_at_once_one_is_told(make: Make, space: Space) -> None:
    def choose(session: Session, choices: Choices) -> None:
        saml_settings.choose(session, SYSTEM, space=space, choices=choices)

    def second() -> None:
        with make.transaction() as session:
            choose(session, Choices(idp_initiated=True))

    told = meet(make.database, lambda session: choose(session, Choices(force_authn=True)), second)
    assert isinstance(told, Stale)
    with make.transaction() as session:
        assert saml_settings.of(session, space) == Choices(force_authn=True)


@on_postgresql
def test_of_two_who_bring_the_first_data_at_once_one_is_told(make: Make, space: Space) -> None:
    def offer(session: Session, idp: TrustedIdentityProvider) -> None:
        offers.offer(session, SYSTEM, space=space, idp=idp)

    def second() -> None:
        with make.transaction() as session:
            offer(session, provider(SECOND))

    told = meet(make.database, lambda session: offer(session, provider(FIRST)), second)
    assert isinstance(told, Stale)
    with make.transaction() as session:
        assert offers.waits(session, space, provider(FIRST))
