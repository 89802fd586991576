"""Activation of the Identity Center and the SSO switch (IC-1, IC-6)."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.activation import activate_space
from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamRole
from portal.core.errors import Conflict, Invalid, NotFound, Unavailable
from portal.core.federation import saml_keys
from portal.core.federation.identity_provider import TrustedCertificate, TrustedIdentityProvider, set_identity_provider
from portal.core.federation.models import SamlKey
from portal.core.organization.models import Organization
from portal.core.space import queries, spaces
from portal.core.space.models import Space
from saml.keys import read_certificate
from tests.support.make import Make
from tests.support.saml_idp import key_pair


def activate(session: Session, make: Make, organization: Organization, name: str = "acme") -> Space:
    private_key, certificate = key_pair("space")
    return spaces.activate(
        session,
        SYSTEM,
        organization=organization,
        name=name,
        private_key=private_key,
        certificate=certificate,
        secret_key=make.secret_key,
    )


def trusted(name: str) -> TrustedCertificate:
    found = read_certificate(key_pair(name)[1])
    return TrustedCertificate(found.pem, found.fingerprint, found.subject, found.not_before, found.not_after)


def trust(session: Session, space: Space, *certificates: TrustedCertificate) -> None:
    set_identity_provider(
        session,
        SYSTEM,
        space=space,
        idp=TrustedIdentityProvider(
            entity_id="https://idp.example.test",
            sso_url="https://idp.example.test/sso",
            sso_binding="HTTP-Redirect",
            certificates=certificates,
            updated_at=clock.now(),
        ),
    )


def test_ic_1_activation_makes_the_space_its_key_and_the_service_linked_role(session: Session, make: Make) -> None:
    organization = make.organization()
    space = activate_space(session, SYSTEM, organization=organization, name="acme", secret_key=make.secret_key)
    assert queries.find(session, "acme") is space
    private_key, certificate = saml_keys.signing_key(session, space, secret_key=make.secret_key)
    assert private_key.startswith("-----BEGIN PRIVATE KEY-----")
    assert read_certificate(certificate).subject == "CN=Identity Center acme"
    role = session.scalars(select(CamRole).where(CamRole.account_uin == organization.admin_uin)).one()
    assert (role.name, role.type) == ("Orgnization_QCSLinkedRoleInCIC", "service_linked")
    assert "space.activate" in session.scalars(select(AuditEvent.action)).all()


def test_ic_1_an_organization_activates_once(session: Session, make: Make) -> None:
    organization = make.organization()
    activate(session, make, organization)
    with pytest.raises(Conflict, match="activated its Identity Center already"):
        activate(session, make, organization, "another")


def test_ic_1_a_space_name_is_globally_unique(session: Session, make: Make) -> None:
    first, second = make.organization(), make.organization()
    activate(session, make, first)
    with pytest.raises(Conflict, match="acme is taken") as refused:
        activate(session, make, second)
    assert refused.value.field == "name"


@pytest.mark.parametrize("name", ["", "Acme", "a b", "-a", "a-", "a" * 65, "ä", "a/b", "a\n", "a.b"])
def test_ic_1_a_space_name_must_fit_into_a_url(session: Session, make: Make, name: str) -> None:
    with pytest.raises(Invalid, match="lower-case letters") as refused:
        activate(session, make, make.organization(), name)
    assert refused.value.field == "name"


@pytest.mark.parametrize("name", ["acme", "ACME", "", "\x00"])
def test_a_space_that_is_not_there_is_not_found(session: Session, make: Make, name: str) -> None:
    with pytest.raises(NotFound):
        queries.find(session, name)


def test_the_private_key_is_sealed_with_the_secret_key(session: Session, make: Make) -> None:
    space = activate(session, make, make.organization())
    stored = session.scalars(select(SamlKey)).one()
    assert "PRIVATE KEY" not in stored.sealed_private_key
    with pytest.raises(Unavailable, match="PORTAL_SECRET_KEY"):
        saml_keys.signing_key(session, space, secret_key="x" * 40)
