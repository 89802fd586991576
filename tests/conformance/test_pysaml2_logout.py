"""Single logout with an identity provider that is not our code: pysaml2 verifies what we sign, we what it signs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from saml.logout import (
    Name,
    Posted,
    Redirected,
    accept_logout_request,
    accept_logout_response,
    logout_request,
    logout_response,
)
from saml.metadata import parse_identity_provider, service_provider_metadata
from saml.parties import IdentityProvider, KeyPair, ServiceProvider
from tests.support.need import need
from tests.support.saml_idp import PYSAML2_WARNINGS, Pysaml2Idp, key_pair

pytestmark = PYSAML2_WARNINGS

BASE = "http://localhost:8000/saml/acme"
SP = ServiceProvider(f"{BASE}/metadata", f"{BASE}/acs", (KeyPair(*key_pair("current")),), slo_url=f"{BASE}/slo")
BINDINGS = ["HTTP-Redirect", "HTTP-POST"]


def uri(binding: str) -> str:
    return f"urn:oasis:names:tc:SAML:2.0:bindings:{binding}"


@pytest.fixture
def idp(tmp_path: Path) -> Pysaml2Idp:
    need(Pysaml2Idp.program(), "xmlsec1")
    return Pysaml2Idp(tmp_path, service_provider_metadata(SP))


def trusted(idp: Pysaml2Idp, binding: str) -> IdentityProvider:
    document = idp.metadata()
    found = parse_identity_provider(document.replace("HTTP-Redirect", "SOAP") if binding == "HTTP-POST" else document)
    assert (found.slo_url, found.slo_binding) == ("https://pysaml2.example.test/slo", binding)
    return found


def received(idp: Pysaml2Idp, message: Any, binding: str, *, response: bool) -> Redirected | Posted:
    """What the browser brings us: pysaml2 signs the query, or the message."""
    from saml2.xmldsig import SIG_RSA_SHA256

    redirect = binding == "HTTP-Redirect"
    sent = idp.server.apply_binding(
        uri(binding), str(message), SP.slo_url, "state", response=response, sign=redirect, sigalg=SIG_RSA_SHA256
    )
    if redirect:
        return Redirected(urlsplit(dict(sent["headers"])["Location"]).query)
    field = sent["data"].partition('name="SAMLResponse"' if response else 'name="SAMLRequest"')[2]
    return Posted(field.partition('value="')[2].partition('"')[0], "state")


@pytest.mark.parametrize("binding", BINDINGS)
def test_pysaml2_ends_its_session_when_we_ask(idp: Pysaml2Idp, binding: str) -> None:
    from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

    now, theirs = datetime.now(UTC), trusted(idp, binding)
    asked = logout_request(SP, theirs, name=Name("张三"), session_indexes=("_1",), relay_state="state", now=now)
    query = asked.form or {name: values[0] for name, values in parse_qs(urlsplit(asked.url).query).items()}

    request = idp.server.parse_logout_request(
        query["SAMLRequest"],
        uri(binding),
        relay_state=query["RelayState"],
        sigalg=query.get("SigAlg"),
        signature=query.get("Signature"),
    )
    assert request.message.name_id.text == "张三"
    assert [index.text for index in request.message.session_index] == ["_1"]

    signs = {"sign": True, "sign_alg": SIG_RSA_SHA256, "digest_alg": DIGEST_SHA256} if asked.form else {"sign": False}
    answer = idp.server.create_logout_response(request.message, [uri(binding)], **signs)
    told = accept_logout_response(
        SP, theirs, received(idp, answer, binding, response=True), request_id=asked.id, now=datetime.now(UTC)
    )
    assert (told.success, told.relay_state) == (True, "state")


@pytest.mark.parametrize("binding", BINDINGS)
def test_pysaml2_asks_us(idp: Pysaml2Idp, binding: str) -> None:
    from saml2 import saml
    from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

    theirs = trusted(idp, binding)
    post = binding == "HTTP-POST"
    _, message = idp.server.create_logout_request(
        SP.slo_url,
        SP.entity_id,
        name_id=saml.NameID(format=saml.NAMEID_FORMAT_UNSPECIFIED, text="alice"),
        session_indexes=["_1", "_2"],
        sign=post,
        sign_alg=SIG_RSA_SHA256,
        digest_alg=DIGEST_SHA256,
    )
    asked = accept_logout_request(SP, theirs, received(idp, message, binding, response=False), now=datetime.now(UTC))
    assert (asked.name.name_id, asked.session_indexes, asked.relay_state) == ("alice", ("_1", "_2"), "state")

    told = logout_response(SP, theirs, in_response_to=asked.id, relay_state=asked.relay_state, now=datetime.now(UTC))
    fields = told.form or {name: values[0] for name, values in parse_qs(urlsplit(told.url).query).items()}
    answer = idp.server.parse_logout_request_response(fields["SAMLResponse"], uri(binding))
    assert answer.response.in_response_to == asked.id
    assert answer.status_ok()
