"""SSO settings in the console."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.core import clock
from portal.core.audit import AuditEvent, Result
from portal.core.federation.identity_provider import current
from saml.keys import make_key_pair, read_certificate
from saml.metadata import identity_provider_metadata
from tests.support import admin
from tests.support.saml_idp import key_pair

ENTITY_ID = "https://idp.example/metadata"
SSO_URL = "https://idp.example/sso?tenant=1&app=2"


def metadata(*names: str, entity_id: str = ENTITY_ID) -> bytes:
    certificates = [key_pair(name)[1] for name in names or ("first",)]
    return identity_provider_metadata(entity_id=entity_id, sso_url=SSO_URL, certificates=certificates).encode()


def fingerprint(name: str) -> str:
    return read_certificate(key_pair(name)[1]).fingerprint


def trusted(make, space):
    with make.transaction() as session:
        return current(session, space)


def upload(browser, document: bytes, *, status: int = 200) -> None:
    browser.open("/console/sso/identity-provider")
    browser.submit("Preview", metadata=("idp.xml", document), status=status)


def set_up(browser, document: bytes | None = None) -> None:
    upload(browser, document or metadata())
    trust_untested(browser)


def trust_untested(browser) -> None:
    """From the preview."""
    browser.click("Keep and test")
    browser.submit("Trust it now", untested=True)


def switch_on_untested(browser) -> None:
    browser.click("Switch on").submit("Switch on", untested=True)
    assert "SSO is on." in browser.text


def test_ic_6_the_page_shows_what_the_identity_provider_needs(browser, make):
    admin.sign_in(browser, make)
    browser.click("SSO")
    for text in ("http://localhost/saml/acme/metadata", "http://localhost/saml/acme/acs"):
        assert browser.page.find("button", attrs={"data-copy": text}) is not None
    link = browser.page.find("a", download=True)
    assert (link.get_text(), link["href"]) == ("Download SP metadata", "http://localhost/saml/acme/metadata")
    browser.open("/saml/acme/metadata")
    assert "AssertionConsumerService" in browser.response.get_data(as_text=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_ic_6_metadata_is_previewed_then_trusted(browser, make, encoding):
    space = admin.sign_in(browser, make).space
    document = metadata("first", "second").decode()
    if encoding == "utf-16":
        document = document.replace('encoding="UTF-8"', 'encoding="UTF-16"')
    upload(browser, document.encode(encoding))
    assert browser.title.startswith("Check the identity provider")
    for text in (ENTITY_ID, SSO_URL, fingerprint("first"), fingerprint("second"), "none was configured before"):
        assert text in browser.text
    browser.click("Keep and test")
    assert trusted(make, space) is None
    browser.submit("Trust it now", untested=True)
    assert browser.url == "/console/sso"
    idp = trusted(make, space)
    assert (idp.entity_id, idp.sso_url, len(idp.certificates)) == (ENTITY_ID, SSO_URL, 2)
    assert fingerprint("first") in browser.text


def test_ic_6_the_identity_provider_is_typed_by_hand(browser, make):
    space = admin.sign_in(browser, make).space
    browser.open("/console/sso/identity-provider").click("Configure manually")
    browser.submit("Preview", entity_id=ENTITY_ID, sso_url=SSO_URL, certificate=key_pair("first")[1])
    assert fingerprint("first") in browser.text
    trust_untested(browser)
    idp = trusted(make, space)
    assert (idp.entity_id, idp.sso_url, idp.sso_binding) == (ENTITY_ID, SSO_URL, "HTTP-Redirect")
    assert [one.fingerprint for one in idp.certificates] == [fingerprint("first")]


def test_ic_6_the_certificate_comes_as_a_file_too_pem_or_der(browser, make):
    import base64

    admin.sign_in(browser, make)
    pem = key_pair("first")[1]
    der = base64.b64decode("".join(pem.strip().splitlines()[1:-1]))
    for content in (pem.encode(), der):
        browser.open("/console/sso/identity-provider?method=manual")
        browser.submit("Preview", entity_id=ENTITY_ID, sso_url=SSO_URL, certificate_file=("idp.cer", content))
        assert fingerprint("first") in browser.text


def test_ic_6_an_update_says_what_changes_and_warns_when_sso_is_on(browser, make):
    space = admin.sign_in(browser, make).space
    set_up(browser, metadata("first", "second"))
    switch_on_untested(browser)
    upload(browser, metadata("second", "third", entity_id="https://other.example/"))
    changes = " ".join(browser.page.find("h2", string="What changes").parent.get_text(" ").split())
    assert f"Entity ID {ENTITY_ID} → https://other.example/" in changes
    assert f"{fingerprint('third')} Added" in changes
    assert f"{fingerprint('first')} No longer trusted" in changes
    assert f"{fingerprint('second')} Stays" in changes
    assert "SSO is on" in browser.text
    browser.click("Keep and test")
    assert f"{fingerprint('first')} No longer trusted" in browser.text
    assert trusted(make, space).entity_id == ENTITY_ID
    browser.submit("Trust it now", untested=True)
    assert trusted(make, space).entity_id == "https://other.example/"
    upload(browser, metadata("second", "third", entity_id="https://other.example/"))
    assert "this is what is configured already" in browser.text


BAD = {
    "nothing": (b"", "is empty"),
    "no-xml": (b"<html><p>no", "not well-formed"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\xff", "not"),
    "dtd": (b'<!DOCTYPE x [<!ENTITY e "v">]>' + metadata().split(b"?>", 1)[1], "document type"),
    "no-idp": (
        b'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="x"/>',
        "no SAML 2.0 identity provider",
    ),
    "no-certificate": (metadata().replace(b"KeyDescriptor", b"Extensions"), "no certificate"),
    "another-root": (b"<note>hello</note>", "not SAML 2.0 metadata"),
}


@pytest.mark.parametrize(("document", "words"), BAD.values(), ids=BAD)
def test_ic_6_bad_metadata_is_refused_in_words_and_changes_nothing(browser, make, document, words):
    space = admin.sign_in(browser, make).space
    set_up(browser)
    before = trusted(make, space)
    upload(browser, document, status=400)
    assert words in browser.page.find("p", class_="error").get_text()
    assert trusted(make, space) == before
    with make.transaction() as session:
        refusals = session.scalars(select(AuditEvent.action).where(AuditEvent.result == Result.REFUSED)).all()
        assert refusals == ["console.configure_identity_provider"]


def test_ic_6_no_file_at_all_is_refused(browser, make):
    admin.sign_in(browser, make)
    browser.open("/console/sso/identity-provider").submit("Preview", status=400)
    assert "Choose the metadata file" in browser.text


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("entity_id", "", "required"),
        ("entity_id", "two words", "Copy it exactly"),
        ("sso_url", "javascript:alert(1)", "not a web address"),
        ("certificate", "", "Choose a certificate file or paste"),
        ("certificate", "hello", "cannot be read"),
        ("certificate", key_pair("first")[0], "private key"),
    ],
)
def test_ic_6_values_typed_by_hand_are_checked_one_by_one(browser, make, field, value, words):
    space = admin.sign_in(browser, make).space
    browser.open("/console/sso/identity-provider?method=manual")
    values = {"entity_id": ENTITY_ID, "sso_url": SSO_URL, "certificate": key_pair("first")[1]} | {field: value}
    browser.submit("Preview", status=400, **values)
    assert words in browser.page.find(id=f"{field}-error").get_text()
    assert trusted(make, space) is None


def test_ic_6_expired_certificates_are_told_and_only_expired_ones_are_refused(browser, make):
    admin.sign_in(browser, make)
    expired = make_key_pair("old", years=1, now=clock.now() - timedelta(days=400))[1]
    only = identity_provider_metadata(entity_id=ENTITY_ID, sso_url=SSO_URL, certificates=[expired])
    upload(browser, only.encode(), status=400)
    refused = browser.page.find("p", class_="error").get_text()
    assert "expired on" in refused
    assert "Nothing new is trusted with expired certificates only" in refused
    both = identity_provider_metadata(
        entity_id=ENTITY_ID, sso_url=SSO_URL, certificates=[expired, key_pair("first")[1]]
    )
    upload(browser, both.encode())
    assert "One of the certificates has expired" in browser.text


def test_ic_6_what_is_confirmed_is_read_again(browser, make):
    space = admin.sign_in(browser, make).space
    upload(browser, metadata())
    browser.submit("Keep and test", metadata="<forged/>", status=400)
    assert "not SAML 2.0 metadata" in browser.text
    assert trusted(make, space) is None


def test_ic_6_more_certificates_than_the_limit_are_refused(browser, make):
    space = admin.sign_in(browser, make).space
    upload(browser, metadata(*(f"key{number}" for number in range(6))))
    browser.submit("Keep and test", status=400)
    assert "idp_certificates_per_space" in browser.text
    assert trusted(make, space) is None


def test_ic_6_sso_is_switched_on_and_off_after_a_word_of_what_happens(browser, make):
    admin.sign_in(browser, make)
    set_up(browser)
    browser.click("Switch on")
    assert "Employees can sign in through the identity provider" in browser.text
    browser.submit("Switch on", status=400)
    assert "No test sign-in has passed" in browser.page.find(id="untested-error").get_text()
    browser.submit("Switch on", untested=True)
    assert "SSO is on." in browser.text
    browser.click("Switch off")
    assert "No employee can sign in" in browser.text
    assert "Administrators sign in here by password" in browser.text
    browser.click("Switch off")
    assert "SSO is off." in browser.text


def test_ic_6_sso_is_not_switched_on_without_an_identity_provider(browser, make):
    admin.sign_in(browser, make)
    browser.open("/console/sso").click("Switch on")
    assert "nobody could sign in" in browser.text
    assert browser.page.find("button", string="Switch on") is None


def test_ic_6_a_certificate_that_runs_out_is_announced_30_days_before(browser, make):
    space = admin.sign_in(browser, make).space
    set_up(browser)
    left = trusted(make, space).certificates[0].not_after - clock.now()
    with clock.shifted(left - timedelta(days=31)):
        admin.enter(browser, "acme", "admin")
        browser.open("/console/sso")
        assert "expires soon" not in browser.text
    with clock.shifted(left - timedelta(days=29)):
        admin.enter(browser, "acme", "admin")
        browser.open("/console/sso")
        assert "The last certificate expires soon" in browser.text
    with clock.shifted(left + timedelta(days=1)):
        admin.enter(browser, "acme", "admin")
        browser.open("/console/sso")
        assert "Every certificate has expired. What they sign is still accepted" in browser.text
        assert "Sign-ins are still accepted; the identity provider may refuse" in browser.open("/console").text


def test_a_read_only_administrator_sees_the_settings_and_changes_nothing(browser, make):
    admin.sign_in(browser, make, policies=[admin.READ_ONLY])
    browser.open("/console/sso")
    assert "ACS URL" in browser.text
    assert "Switch on" not in browser.text
    assert "Configure identity provider" not in browser.text
    for path in ("/console/sso/switch", "/console/sso/identity-provider"):
        browser.open(path, status=403)
