"""Certificates of the identity provider, one by one, in the console (IC-6)."""

from __future__ import annotations

import base64

import pytest
from sqlalchemy import select

from portal.core.audit import AuditEvent, Result
from portal.core.database import Database
from portal.core.organization.models import Organization
from portal.core.space.models import Space
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import key_pair
from tests.support.statements import statements
from tests.support.trust import certificate, fingerprints, pem, trust

ADD = "/console/sso/certificates/add"
FIRST, SECOND = certificate("first").fingerprint, certificate("second").fingerprint


@pytest.fixture
def space(browser: Browser, make: Make) -> Space:
    space = admin.sign_in(browser, make).space
    trust(make, space, certificate("first"))
    return space


def weak() -> str:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name, now = x509.Name([]), datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=9)).sign(
        key, hashes.SHA256()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("form", ["pem", "base64", "der"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_certificate_is_added_in_any_form(browser: Browser, make: Make, space: Space, form: str) -> None:
    bare = "".join(pem("second").strip().splitlines()[1:-1])
    browser.open(ADD)
    if form == "der":
        browser.submit("Add", certificate_file=("idp.cer", base64.b64decode(bare)))
    else:
        browser.submit("Add", certificate=pem("second") if form == "pem" else bare)
    assert SECOND in browser.text
    assert fingerprints(make, space) == {FIRST, SECOND}


def test_several_are_added_at_once_and_the_old_one_is_removed(browser: Browser, make: Make, space: Space) -> None:
    assert "cannot be removed" in browser.open("/console/sso/certificates").text
    browser.open(ADD).submit("Add", certificate=pem("second") + pem("third"))
    browser.click(f"Remove {FIRST}").click("Remove")
    assert fingerprints(make, space) == {SECOND, certificate("third").fingerprint}
    with make.transaction() as session:
        events = session.scalars(
            select(AuditEvent).where(AuditEvent.action.contains("_certificate")).order_by(AuditEvent.id)
        ).all()
        told = [(event.action, event.details["fingerprint"]) for event in events]
    assert told == [
        ("sso.add_certificate", SECOND),
        ("sso.add_certificate", certificate("third").fingerprint),
        ("sso.remove_certificate", FIRST),
    ]


def test_what_cannot_be_trusted_is_refused_and_audited(browser: Browser, make: Make, space: Space) -> None:
    cases = [
        ("", "Choose a certificate file or paste"),
        ("hello", "cannot be read"),
        (key_pair("second")[0], "private key"),
        (weak(), "1024 bits"),
        (pem("gone", -5), "expired on"),
        (pem("first"), "trusted already"),
        (pem("second") + pem("gone", -5), "expired on"),
        ("".join(pem(f"many {number}") for number in range(5)), "limit of 5"),
    ]
    for given, words in cases:
        browser.open(ADD).submit("Add", certificate=given, status=400)
        assert words in browser.page.find(class_="notice-bad").get_text(), given
    assert fingerprints(make, space) == {FIRST}
    with make.transaction() as session:
        refused = session.scalars(select(AuditEvent.action).where(AuditEvent.result == Result.REFUSED)).all()
    assert set(refused) == {"console.add_sso_certificate"}


def test_the_last_one_stays(browser: Browser, make: Make, space: Space) -> None:
    """Also when two administrators remove the last two at the same time."""
    browser.open(ADD).submit("Add", certificate=pem("second"))
    browser.click(f"Remove {FIRST}")
    first, url = browser.page, browser.url
    browser.open("/console/sso/certificates").click(f"Remove {SECOND}").click("Remove")
    browser.page, browser.url = first, url
    browser.submit("Remove", status=400)
    assert "last certificate" in browser.text
    assert fingerprints(make, space) == {FIRST}


def test_what_runs_out_is_told(browser: Browser, make: Make, space: Space) -> None:
    soon, gone = certificate("soon", 20.5), certificate("gone", -5)
    trust(make, space, soon, gone)
    browser.open("/console/sso/certificates")
    for words in ("Expires in 20 days", "Expired", "The last certificate expires soon"):
        assert words in browser.text, words
    browser.click(f"Remove {soon.fingerprint}")
    assert "the only certificate that is valid now" in browser.text
    trust(make, space, gone)
    assert "Every certificate has expired. What they sign is still accepted" in (
        browser.open("/console/sso/certificates").text
    )
    trust(make, space, certificate("first"))
    assert "xpire" not in browser.open("/console/sso/certificates").text


def test_who_may_look_only_changes_nothing(browser: Browser, make: Make, space: Space) -> None:
    with make.transaction() as session:
        organization = session.get_one(Organization, space.organization_id)
    admin.make_administrator(make, organization, "looking", [admin.READ_ONLY])
    browser.click("Sign out")
    admin.enter(browser, "acme", "looking")
    trust(make, space, certificate("first"), certificate("second"))
    for page in ("/console/sso/certificates", "/console/sso/keys"):
        browser.open(page)
        assert not browser.page.select("main form, main .btn-danger, main .btn-primary"), page
    for page in ("/console/sso/settings", ADD):
        browser.open(page, status=403)


def test_the_list_takes_as_many_statements_for_five_as_for_one(
    browser: Browser, make: Make, database: Database, space: Space
) -> None:
    counts = []
    for many in (1, 5):
        trust(make, space, *(certificate(f"many {number}") for number in range(many)))
        with statements(database) as seen:
            browser.open("/console/sso/certificates")
        counts.append(len(seen))
    assert counts[0] == counts[1] < 12
