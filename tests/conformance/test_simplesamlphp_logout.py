"""Single logout with SimpleSAMLphp, both ways: it verifies what we sign, we what it signs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from saml.errors import SamlError
from saml.logout import (
    Name,
    Posted,
    Redirected,
    accept_logout_request,
    accept_logout_response,
    logout_request,
    logout_response,
)
from saml.metadata import parse_identity_provider
from saml.parties import IdentityProvider, KeyPair, ServiceProvider
from saml.service_provider import Assertion, accept_response, authn_request
from tests.support.saml_idp import UNSPECIFIED, key_pair
from tests.support.simplesamlphp import TRANSIENT, SimpleSamlPhp, undemanding
from tests.support.visitor import Page

BASE = "http://localhost:8000/saml/acme"
SP = ServiceProvider(f"{BASE}/metadata", f"{BASE}/acs", (KeyPair(*key_pair("current")),), slo_url=f"{BASE}/slo")
FOREIGN = replace(SP, keys=(KeyPair(*key_pair("foreign")),))
BINDINGS = ["HTTP-Redirect", "HTTP-POST"]


class SignedIn:
    """Alice, with a session there and what we remember of her."""

    def __init__(self, idp: SimpleSamlPhp, binding: str, *, name_id_format: str = UNSPECIFIED) -> None:
        """`binding`: the only one that both sides publish for logout."""
        unwanted = next(other for other in BINDINGS if other != binding)
        bindings = [f"urn:oasis:names:tc:SAML:2.0:bindings:{binding}"]
        idp.choose(SingleLogoutServiceBinding=bindings, NameIDFormat=name_id_format)
        lines = undemanding(SP).splitlines()
        idp.trust("\n".join(line for line in lines if not ("SingleLogout" in line and unwanted in line)))
        self.trusted: IdentityProvider = parse_identity_provider(idp.metadata())
        assert (self.trusted.slo_url, self.trusted.slo_binding) == (idp.slo_url, binding)
        self.idp, self.visitor = idp, idp.visitor()
        request = authn_request(SP, self.trusted, relay_state="", now=datetime.now(UTC))
        page = idp.sign_in(self.visitor, request.url)
        self.assertion: Assertion = accept_response(
            SP, self.trusted, (page.form or {})["SAMLResponse"], request_id=request.id, now=datetime.now(UTC),
            username_attribute="uid",
        )  # fmt: skip

    @property
    def name(self) -> Name:
        found = self.assertion
        return Name(found.name_id, found.name_id_format, found.name_qualifier, found.sp_name_qualifier)

    def lasts(self) -> bool:
        """Whether it lets her in to us without her password."""
        request = authn_request(SP, self.trusted, relay_state="", now=datetime.now(UTC))
        return "SAMLResponse" in (self.visitor.open(request.url).form or {})

    def ask(self, sp: ServiceProvider = SP, **other: Any) -> tuple[str, Page]:
        """Our LogoutRequest, brought there by the browser: its id and where the browser is sent."""
        asked = logout_request(
            sp,
            self.trusted,
            name=other.get("name", self.name),
            session_indexes=(self.assertion.session_index or "",),
            relay_state="state",
            now=datetime.now(UTC),
        )
        return asked.id, self.visitor.open(asked.url, asked.form or None)

    def begins_there(self) -> Page:
        """She presses logout there, and is to come back to where its pages begin."""
        return self.visitor.open(f"{self.idp.slo_url}?ReturnTo={self.idp.base}resources/default.css")


def received(page: Page) -> Redirected | Posted:
    """What the browser brings us."""
    if page.form is None:
        return Redirected(urlsplit(page.url).query)
    return Posted(page.form.get("SAMLResponse") or page.form["SAMLRequest"], page.form.get("RelayState"))


@pytest.mark.parametrize("binding", BINDINGS)
def test_it_ends_its_session_when_we_ask(idp: SimpleSamlPhp, binding: str) -> None:
    alice = SignedIn(idp, binding)
    assert alice.lasts()

    request_id, page = alice.ask()
    assert page.url.partition("?")[0] == SP.slo_url
    told = accept_logout_response(SP, alice.trusted, received(page), request_id=request_id, now=datetime.now(UTC))
    assert (told.success, told.relay_state) == (True, "state")
    assert not alice.lasts()


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_request_that_others_signed_ends_nothing_there(idp: SimpleSamlPhp, binding: str) -> None:
    alice = SignedIn(idp, binding)
    _, page = alice.ask(FOREIGN)

    assert page.url.partition("?")[0] != SP.slo_url
    assert alice.lasts()


@pytest.mark.parametrize(
    ("binding", "name_id_format"), [(BINDINGS[0], UNSPECIFIED), (BINDINGS[1], UNSPECIFIED), (BINDINGS[0], TRANSIENT)]
)
def test_it_asks_us_and_goes_on_when_we_answer(idp: SimpleSamlPhp, binding: str, name_id_format: str) -> None:
    """A transient name means the one session that began with it: enough to end that one."""
    alice = SignedIn(idp, binding, name_id_format=name_id_format)
    assert (alice.name.name_id == "alice") == (name_id_format == UNSPECIFIED)
    page = alice.begins_there()
    asked = accept_logout_request(SP, alice.trusted, received(page), now=datetime.now(UTC))

    assert asked.name == alice.name
    assert asked.session_indexes == (alice.assertion.session_index,)

    told = logout_response(
        SP, alice.trusted, in_response_to=asked.id, relay_state=asked.relay_state, now=datetime.now(UTC)
    )
    back = alice.visitor.open(told.url, told.form or None)
    assert (back.status, back.url) == (200, f"{idp.base}resources/default.css")
    assert not alice.lasts()


def test_what_it_sends_for_another_or_changed_on_the_way_is_refused(idp: SimpleSamlPhp) -> None:
    alice = SignedIn(idp, "HTTP-Redirect")
    honest = received(alice.begins_there())
    assert isinstance(honest, Redirected)
    assert accept_logout_request(SP, alice.trusted, honest, now=datetime.now(UTC)).name == alice.name

    elsewhere = replace(SP, slo_url="http://localhost:8000/saml/other/slo")
    foreign = replace(alice.trusted, certificates=(key_pair("foreign")[1],))
    changed = Redirected(str(honest.query).replace("RelayState=", "RelayState=x"))
    for sp, trusted, message, reason in (
        (elsewhere, alice.trusted, honest, "destination"),
        (SP, foreign, honest, "signature"),
        (SP, alice.trusted, changed, "signature"),
    ):
        with pytest.raises(SamlError) as refused:
            accept_logout_request(sp, trusted, message, now=datetime.now(UTC))
        assert refused.value.reason == reason
