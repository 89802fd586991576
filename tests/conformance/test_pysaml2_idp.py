"""Sign-in at an identity provider that is not our code: pysaml2 reads our request, we read its answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from saml.errors import SamlError
from saml.keys import make_key_pair
from saml.metadata import parse_identity_provider, service_provider_metadata
from saml.parties import KeyPair, ServiceProvider
from saml.service_provider import accept_response, authn_request
from tests.support.need import need
from tests.support.saml_idp import PYSAML2_WARNINGS, Pysaml2Idp

pytestmark = PYSAML2_WARNINGS

ACS = "http://localhost:8000/saml/acme/acs"
ENTITY_ID = "http://localhost:8000/saml/acme/metadata"


@pytest.fixture(autouse=True)
def _xmlsec1() -> None:
    need(Pysaml2Idp.program(), "xmlsec1")


def test_ic_16_an_employee_signs_in_with_pysaml2_by_redirect_and_post(tmp_path: Path) -> None:
    sp = ServiceProvider(ENTITY_ID, ACS)
    idp = Pysaml2Idp(tmp_path, service_provider_metadata(sp))
    trusted = parse_identity_provider(idp.metadata())
    now = datetime.now(UTC)

    request = authn_request(sp, trusted, relay_state="opaque & token", now=now)
    response, relay_state, acs_url = idp.answer(
        request.url, "张三", identity={"givenName": ["三"], "mail": ["z@example.test", "s@example.test"]}
    )
    assertion = accept_response(sp, trusted, response, request_id=request.id, now=now)

    assert (relay_state, acs_url) == ("opaque & token", ACS)
    assert assertion.name_id == "张三"
    assert assertion.in_response_to == request.id
    assert assertion.issuer == idp.entity_id
    assert ("z@example.test", "s@example.test") in assertion.attributes.values()


@pytest.mark.parametrize(("assertion", "response"), [(True, False), (False, True), (True, True)])
def test_pysaml2_may_sign_the_assertion_the_response_or_both(tmp_path: Path, assertion: bool, response: bool) -> None:
    sp = ServiceProvider(ENTITY_ID, ACS)
    idp = Pysaml2Idp(tmp_path, service_provider_metadata(sp))
    trusted = parse_identity_provider(idp.metadata())
    now = datetime.now(UTC)
    request = authn_request(sp, trusted, relay_state="x", now=now)

    answer, _, _ = idp.answer(request.url, "alice", sign_assertion=assertion, sign_response=response)

    assert accept_response(sp, trusted, answer, request_id=request.id, now=now).name_id == "alice"


def test_an_unsigned_answer_of_pysaml2_is_refused(tmp_path: Path) -> None:
    sp = ServiceProvider(ENTITY_ID, ACS)
    idp = Pysaml2Idp(tmp_path, service_provider_metadata(sp))
    trusted = parse_identity_provider(idp.metadata())
    now = datetime.now(UTC)
    request = authn_request(sp, trusted, relay_state="x", now=now)

    answer, _, _ = idp.answer(request.url, "alice", sign_assertion=False)

    with pytest.raises(SamlError) as refused:
        accept_response(sp, trusted, answer, request_id=request.id, now=now)
    assert refused.value.reason == "unsigned"


@pytest.mark.parametrize("binding", ["HTTP-Redirect", "HTTP-POST"])
def test_pysaml2_verifies_our_signed_requests(tmp_path: Path, binding: str) -> None:
    now = datetime.now(UTC)
    private_key, certificate = make_key_pair("portal", now=now)
    sp = ServiceProvider(ENTITY_ID, ACS, (KeyPair(private_key, certificate),), sign_requests=True)
    idp = Pysaml2Idp(tmp_path, service_provider_metadata(sp), want_signed_requests=True)
    trusted = parse_identity_provider(idp.metadata().replace("HTTP-Redirect", binding))

    request = authn_request(sp, trusted, relay_state="x", now=now)
    if binding == "HTTP-POST":
        answer, _, _ = idp.answer_form(request.form, "alice")
    else:
        assert not request.form
        answer, _, _ = idp.answer(request.url, "alice")

    assert accept_response(sp, trusted, answer, request_id=request.id, now=now).name_id == "alice"
