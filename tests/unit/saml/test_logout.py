"""Single logout, both ways and by both bindings."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from saml.bindings import Outgoing
from saml.logout import (
    Name,
    Posted,
    Redirected,
    accept_logout_request,
    accept_logout_response,
    logout_request,
    logout_response,
)
from saml.parties import IdentityProvider, KeyPair, ServiceProvider
from saml.xml import NAME_ID_PERSISTENT
from tests.support import saml_logout
from tests.support.saml_attack import IDP, NOW, SP, TRUSTED
from tests.support.saml_idp import key_pair

KEY = (IDP.private_key, IDP.certificate)
SLO = "https://portal.example.test/saml/acme/slo"
OURS = replace(SP, keys=(KeyPair(*key_pair("current")),), slo_url=SLO)
THEIRS = replace(TRUSTED, slo_url="https://idp.example.test/slo?a=1", slo_binding="HTTP-Redirect")
PARTIAL = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout"
RESPONDER = "urn:oasis:names:tc:SAML:2.0:status:Responder"


def request(**changes: object) -> etree._Element:
    values = {"issuer": IDP.entity_id, "destination": SLO, "now": NOW, **changes}
    return saml_logout.request(**values)  # type: ignore[arg-type]


def response(**changes: object) -> etree._Element:
    values = {"issuer": IDP.entity_id, "destination": SLO, "now": NOW, "in_response_to": "_q", **changes}
    return saml_logout.response(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("lower", [False, True])
def test_a_request_by_redirect_is_read_over_the_octets_that_were_sent(lower: bool) -> None:
    """.NET writes %2f where Python writes %2F: whoever encodes anew gets another signature."""
    message = request(sessions=("_s1", "a b"), not_on_or_after=NOW + timedelta(minutes=5))
    query = saml_logout.redirected(message, IDP.private_key, relay_state="x y/ü", lower=lower)

    for received in (query, query.encode()):
        found = accept_logout_request(OURS, THEIRS, Redirected(received), now=NOW)
        assert found.name == Name("alice")
        assert found.session_indexes == ("_s1", "a b")
        assert found.id == message.get("ID")
        assert found.relay_state == "x y/ü"
        assert found.not_on_or_after == NOW + timedelta(minutes=5, seconds=90)


def test_a_request_by_post_is_read() -> None:
    received = Posted(saml_logout.posted(request(sessions=()), KEY), "state")

    found = accept_logout_request(OURS, THEIRS, received, now=NOW)
    assert (found.name.name_id, found.session_indexes, found.relay_state) == ("alice", (), "state")


def test_parameters_of_others_do_not_disturb_and_the_relay_state_may_be_left_out() -> None:
    query = saml_logout.redirected(request(), IDP.private_key, relay_state=None)

    found = accept_logout_request(OURS, THEIRS, Redirected(f"client-request-id=1&{query}&sso_reload=true"), now=NOW)
    assert found.relay_state is None


def test_a_roll_over_of_the_identity_provider_loses_no_logout() -> None:
    both = replace(THEIRS, certificates=(key_pair("next")[1], IDP.certificate))
    query = saml_logout.redirected(request(), IDP.private_key)

    assert accept_logout_request(OURS, both, Redirected(query), now=NOW).name.name_id == "alice"
    posted = saml_logout.posted(request(), KEY)
    assert accept_logout_request(OURS, both, Posted(posted), now=NOW).name.name_id == "alice"


@pytest.mark.parametrize(
    ("status", "second", "success", "partial"),
    [
        (saml_logout.SUCCESS, None, True, False),
        (saml_logout.SUCCESS, PARTIAL, False, True),
        (RESPONDER, PARTIAL, False, True),
        (RESPONDER, None, False, False),
    ],
)
def test_an_answer_says_how_far_the_logout_went(status: str, second: str | None, success: bool, partial: bool) -> None:
    message = response(status=status, second=second)
    query = saml_logout.redirected(message, IDP.private_key, name="SAMLResponse")
    posted = saml_logout.posted(message, KEY)

    for received in (Redirected(query), Posted(posted)):
        found = accept_logout_response(OURS, THEIRS, received, request_id="_q", now=NOW)
        assert (found.success, found.partial, found.in_response_to) == (success, partial, "_q")
        assert status in found.status


def mirrored(binding: str) -> tuple[ServiceProvider, IdentityProvider, IdentityProvider]:
    """We in both roles: what one side sends is what the other side takes."""
    assert THEIRS.slo_url
    other = ServiceProvider(IDP.entity_id, "https://x.test/acs", slo_url=THEIRS.slo_url)
    we = IdentityProvider(OURS.entity_id, "https://x.test", "HTTP-POST", (OURS.keys[0].certificate,))
    return other, we, replace(THEIRS, slo_binding=binding)


def received(sent: Outgoing, name: str) -> Redirected | Posted:
    if sent.form:
        assert sent.url == THEIRS.slo_url
        return Posted(sent.form[name], sent.form.get("RelayState"))
    assert sent.url.startswith(f"{THEIRS.slo_url}&{name}=")
    return Redirected(urlsplit(sent.url).query)


@pytest.mark.parametrize("binding", ["HTTP-Redirect", "HTTP-POST"])
def test_what_we_send_is_signed_and_says_who_is_meant(binding: str) -> None:
    other, we, theirs = mirrored(binding)
    name = Name("张三 <&>", NAME_ID_PERSISTENT, "https://idp", None)
    asked = logout_request(OURS, theirs, name=name, session_indexes=("_1", "<2>"), relay_state="s", now=NOW)

    found = accept_logout_request(other, we, received(asked, "SAMLRequest"), now=NOW)
    assert (found.id, found.name, found.session_indexes) == (asked.id, name, ("_1", "<2>"))
    assert found.relay_state == "s"

    told = logout_response(OURS, theirs, in_response_to="_q", relay_state=None, now=NOW, success=False)
    answer = accept_logout_response(other, we, received(told, "SAMLResponse"), request_id="_q", now=NOW)
    assert (answer.id, answer.success, answer.relay_state) == (told.id, False, None)


def test_answers_go_where_the_metadata_says() -> None:
    elsewhere = replace(THEIRS, slo_response_url="https://idp.example.test/slo/answer")
    told = logout_response(OURS, elsewhere, in_response_to="_q", relay_state="x", now=NOW)

    assert told.url.startswith("https://idp.example.test/slo/answer?SAMLResponse=")
    query = parse_qs(urlsplit(told.url).query)
    message = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLResponse"][0]), -15))
    assert message.get("Destination") == "https://idp.example.test/slo/answer"


def test_what_cannot_be_sent_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="no single logout"):
        logout_request(OURS, TRUSTED, name=Name("a"), relay_state=None, now=NOW)
    with pytest.raises(ValueError, match="no single logout"):
        logout_response(OURS, TRUSTED, in_response_to="_q", relay_state=None, now=NOW)
    for send in (
        lambda: logout_request(replace(OURS, keys=()), THEIRS, name=Name("a"), relay_state=None, now=NOW),
        lambda: logout_response(replace(OURS, keys=()), THEIRS, in_response_to="_q", relay_state=None, now=NOW),
    ):
        with pytest.raises(ValueError, match="key pair"):
            send()
