"""Sign-in by an identity provider that is not our code: SimpleSAMLphp as Debian ships it, in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from saml.errors import SamlError
from saml.judging import judge_response
from saml.metadata import parse_identity_provider, service_provider_metadata
from saml.parties import KeyPair, ServiceProvider
from saml.service_provider import Assertion, accept_response, authn_request
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import UNSPECIFIED, TestIdp, key_pair
from tests.support.simplesamlphp import PASSWORD, TRANSIENT, SimpleSamlPhp, undemanding
from tests.support.sso import Sso
from tests.support.visitor import Page, Visitor

BASE = "http://localhost:8000/saml/acme"
SP = ServiceProvider(f"{BASE}/metadata", f"{BASE}/acs", (KeyPair(*key_pair("current")),), slo_url=f"{BASE}/slo")
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"


def asked(
    idp: SimpleSamlPhp, sp: ServiceProvider = SP, visitor: Visitor | None = None, user: str = "alice"
) -> tuple[str, Page]:
    """The id of our request, and what its page lets the browser post to us."""
    request = authn_request(sp, trusted(idp), relay_state="state", now=datetime.now(UTC))
    page = idp.sign_in(visitor or idp.visitor(), request.url, request.form or None, user)
    return request.id, page


def trusted(idp: SimpleSamlPhp) -> Any:
    return parse_identity_provider(idp.metadata())


def sign_in(idp: SimpleSamlPhp, sp: ServiceProvider = SP, *, as_sp: ServiceProvider = SP, **choices: Any) -> Assertion:
    """All of it: asked by `as_sp`, of which it has the metadata, and taken by `sp`."""
    idp.trust(undemanding(as_sp))
    request_id, page = asked(idp, as_sp)
    assert (page.url, page.form and page.form["RelayState"]) == (SP.acs_url, "state"), page.text
    response = page.form["SAMLResponse"] if page.form else ""
    return accept_response(sp, trusted(idp), response, request_id=request_id, now=datetime.now(UTC), **choices)


def refusal(idp: SimpleSamlPhp, **how: Any) -> str:
    with pytest.raises(SamlError) as refused:
        sign_in(idp, **how)
    return refused.value.reason


def test_ic_16_an_employee_signs_in_to_the_portal(browser: Browser, make: Make, idp: SimpleSamlPhp) -> None:
    sso = Sso(make)
    make.user(sso.space, "alice")
    idp.trust(browser.client.get("/saml/acme/metadata").get_data(as_text=True))
    read = trusted(idp)
    known = TestIdp(read.entity_id, read.sso_url)
    known.certificate = read.certificates[0]
    sso.trust(known)

    page = idp.sign_in(idp.visitor(), sso.begin(browser))
    assert page.url == sso.acs_url
    response = sso.post(browser, page.form or {})
    assert (response.status_code, response.location) == (303, "/home")
    assert "alice" in browser.open("/home").text
    assert sso.post(browser, page.form or {}).status_code == 403  # the same answer once more

    started = idp.sign_in(idp.visitor(), f"{read.sso_url}?spentityid={sso.audience}")
    assert started.url == sso.acs_url
    assert sso.post(browser, started.form or {}).status_code == 403


def test_its_metadata_is_read(idp: SimpleSamlPhp) -> None:
    read = trusted(idp)

    assert read.entity_id == idp.entity_id
    assert (read.sso_url, read.sso_binding) == (f"{idp.base}saml2/idp/SSOService.php", "HTTP-Redirect")
    assert (read.slo_url, read.slo_binding) == (idp.slo_url, "HTTP-Redirect")
    assert read.certificates == (key_pair("simplesamlphp")[1],)


def test_it_does_what_our_metadata_asks_for(idp: SimpleSamlPhp) -> None:
    """Its own settings say otherwise."""
    idp.choose(saml20_sign_response=False, saml20_sign_assertion=False, NameIDFormat=TRANSIENT)
    idp.trust(service_provider_metadata(SP))
    request_id, page = asked(idp, user="张三")
    response = (page.form or {})["SAMLResponse"]

    found = accept_response(SP, trusted(idp), response, request_id=request_id, now=datetime.now(UTC))
    assert (found.name_id, found.name_id_format) == ("张三", UNSPECIFIED)


@pytest.mark.parametrize("parts", [(True, True), (True, False), (False, True)])
def test_a_signed_response_a_signed_assertion_or_both(idp: SimpleSamlPhp, parts: tuple[bool, bool]) -> None:
    response, assertion = parts
    idp.choose(saml20_sign_response=response, saml20_sign_assertion=assertion)
    found = sign_in(idp)

    assert found.username == found.name_id == "alice"
    assert found.attributes["groups"] == ("staff", "admins")
    assert found.session_index
    assert found.session_not_on_or_after


def test_a_request_by_http_post(idp: SimpleSamlPhp) -> None:
    idp.choose(SingleSignOnServiceBinding=[POST])

    assert trusted(idp).sso_binding == "HTTP-POST"
    assert sign_in(idp).name_id == "alice"


@pytest.mark.parametrize("binding", ["HTTP-Redirect", "HTTP-POST"])
def test_it_verifies_our_signed_requests_by_our_metadata(idp: SimpleSamlPhp, binding: str) -> None:
    if binding == "HTTP-POST":
        idp.choose(SingleSignOnServiceBinding=[POST])
    signing = replace(SP, sign_requests=True)
    assert sign_in(idp, as_sp=signing).name_id == "alice"

    for forged in (SP, replace(signing, keys=(KeyPair(*key_pair("foreign")),))):
        _, page = asked(idp, forged)
        assert page.url != SP.acs_url
        assert "SAMLResponse" not in (page.form or {})


def test_what_it_encrypts_is_opened_under_its_signed_response(idp: SimpleSamlPhp) -> None:
    """AES-128-CBC with RSA-OAEP, which it does not let one choose."""
    idp.choose(assertion_encryption=True)
    found = sign_in(idp, encrypted_only=True)
    assert (found.name_id, found.attributes["mail"]) == ("alice", ("alice@example.test",))
    assert refusal(idp, sp=replace(SP, keys=(KeyPair(*key_pair("foreign")),))) == "decryption"

    idp.choose(assertion_encryption=True, saml20_sign_response=False)
    assert refusal(idp) == "encrypted"


def test_our_key_rolls_over_while_it_has_our_old_metadata(idp: SimpleSamlPhp) -> None:
    idp.choose(assertion_encryption=True)
    old, new = SP.keys[0], KeyPair(*key_pair("next"))
    both = replace(SP, keys=(new, old), sign_requests=True)

    assert sign_in(idp, both).name_id == "alice"
    assert sign_in(idp, both, as_sp=both).name_id == "alice"


@pytest.mark.parametrize(
    ("choices", "how", "reason"),
    [
        ({"saml20_sign_response": False, "saml20_sign_assertion": False}, {}, "unsigned"),
        ({"signature_algorithm": SHA1}, {}, "algorithm"),
        ({"nameid_encryption": True}, {}, "encrypted"),
        ({"NameIDFormat": TRANSIENT}, {}, "name-id"),
        ({}, {"username_attribute": "groups"}, "username"),
        ({}, {"username_attribute": "unheard of"}, "username"),
        ({}, {"encrypted_only": True}, "not-encrypted"),
        ({}, {"as_sp": replace(SP, entity_id="https://other.example.test/metadata")}, "audience"),
    ],
)
def test_what_does_not_fit_is_refused(
    idp: SimpleSamlPhp, choices: dict[str, Any], how: dict[str, Any], reason: str
) -> None:
    idp.choose(**choices)

    assert refusal(idp, **how) == reason


def test_its_usual_transient_name_is_enough_beside_an_attribute(idp: SimpleSamlPhp) -> None:
    idp.choose(NameIDFormat=TRANSIENT)
    first, second = (sign_in(idp, username_attribute="mail") for _ in range(2))

    assert first.username == second.username == "alice@example.test"
    assert first.name_id != second.name_id


def test_asked_to_authenticate_anew_it_asks_for_the_password_again(idp: SimpleSamlPhp) -> None:
    """Its AuthnInstant tells when the password was typed, so a sign-in of before is noticed."""
    idp.trust(service_provider_metadata(SP))
    visitor, start = idp.visitor(), datetime.now(UTC)
    asked(idp, visitor=visitor)

    request = authn_request(SP, trusted(idp), relay_state="", now=datetime.now(UTC), force_authn=True)
    page = visitor.open(request.url)
    assert page.form is not None
    assert "password" in page.form
    page = visitor.submit(page, username="alice", password=PASSWORD)

    def verdict(authenticated_after: datetime) -> str:
        judgement = judge_response(
            SP, trusted(idp), (page.form or {})["SAMLResponse"], request_id=request.id, now=datetime.now(UTC),
            authenticated_after=authenticated_after,
        )  # fmt: skip
        return {check.code: check.verdict for check in judgement.checks}["authentication"]

    assert verdict(start) == "passed"
    assert verdict(start + timedelta(minutes=10)) == "failed"


def test_a_wrong_password_is_not_told_to_us(idp: SimpleSamlPhp) -> None:
    idp.trust(service_provider_metadata(SP))
    visitor = idp.visitor()
    request = authn_request(SP, trusted(idp), relay_state="", now=datetime.now(UTC))
    page = visitor.submit(visitor.open(request.url), username="alice", password="wrong")

    assert "SAMLResponse" not in (page.form or {})
