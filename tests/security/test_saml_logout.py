"""Nobody but the identity provider ends sessions, and nobody makes us work for it."""

from __future__ import annotations

import base64
import os
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import pytest
import xmlsec
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from saml.errors import SamlError
from saml.logout import LogoutRequest, Posted, Redirected, accept_logout_request, accept_logout_response
from tests.security.test_saml_mutations import mutated
from tests.security.test_saml_signatures import MALICIOUS, WEAK
from tests.support import saml_logout
from tests.support.saml_attack import IDP, NOW, SP, TRUSTED, adding, removing, setting, the, writing
from tests.support.saml_encryption import encrypted
from tests.support.saml_idp import DS, SAML, key_pair, sign_element

KEY = (IDP.private_key, IDP.certificate)
SLO = "https://portal.example.test/saml/acme/slo"
OURS = replace(SP, slo_url=SLO)


def request(**changes: Any) -> etree._Element:
    return saml_logout.request(**{"issuer": IDP.entity_id, "destination": SLO, "now": NOW, **changes})


def response(**changes: Any) -> etree._Element:
    values = {"issuer": IDP.entity_id, "destination": SLO, "now": NOW, "in_response_to": "_q", **changes}
    return saml_logout.response(**values)


def query(message: etree._Element | bytes | None = None, key: str = IDP.private_key, **choices: Any) -> str:
    return saml_logout.redirected(request() if message is None else message, key, **choices)


def form(message: etree._Element | None = None, key: tuple[str, str] | None = KEY, **choices: Any) -> str:
    return saml_logout.posted(request() if message is None else message, key, **choices)


def accept(received: str | Posted, **arguments: Any) -> LogoutRequest:
    taken = Redirected(received) if isinstance(received, str) else received
    return accept_logout_request(arguments.pop("sp", OURS), TRUSTED, taken, now=arguments.pop("now", NOW))


def refusal(received: str | Posted, **arguments: Any) -> str:
    with pytest.raises(SamlError) as refused:
        accept(received, **arguments)
    return refused.value.reason


def test_the_honest_requests_are_accepted() -> None:
    assert accept(query()).name.name_id == "alice"
    assert accept(Posted(form())).name.name_id == "alice"


def test_an_unsigned_request_ends_no_session() -> None:
    assert refusal(query().partition("&SigAlg")[0]) == "unsigned"
    assert refusal(query().partition("&Signature")[0]) == "unsigned"
    assert refusal(query().replace("&SigAlg=", "&SigAlg=&x=")) == "unsigned"
    assert refusal(Posted(form(key=None))) == "unsigned"
    assert refusal(Posted(form(edit_signed=removing("Signature")))) == "unsigned"


def test_a_foreign_or_broken_signature_is_refused() -> None:
    assert refusal(query(key=key_pair("foreign")[0])) == "signature"
    assert refusal(Posted(form(key=key_pair("foreign")))) == "signature"
    assert refusal(query()[:-12] + "AAAAAAAAAAA%3D") in ("signature", "encoding")
    nobody = replace(TRUSTED, certificates=())
    for received in (Redirected(query()), Posted(form())):
        with pytest.raises(SamlError, match="signature"):
            accept_logout_request(OURS, nobody, received, now=NOW)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda honest: honest.replace("RelayState=r", "RelayState=s"),
        lambda honest: honest.replace("&RelayState=r", ""),
        lambda honest: honest.replace("&RelayState=r", "") + "&RelayState=r2",
        lambda honest: honest.replace("RelayState=r", "RelayState=%72"),
        lambda honest: honest.replace("rsa-sha256", "rsa-sha512"),
        lambda honest: honest.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3A", "%3a"),
        lambda honest: query(request(name_id="root")).partition("&")[0] + "&" + honest.partition("&")[2],
    ],
)
def test_what_is_signed_is_what_was_sent(tamper: Callable[[str], str]) -> None:
    """Nothing is encoded anew: `%72` is not `r`, `%2f` is not `%2F`."""
    assert refusal(tamper(query())) == "signature"


OTHER = "nZFBa4MwGIb"


@pytest.mark.parametrize(
    "tamper",
    [
        lambda honest: f"{honest}&SAMLRequest={OTHER}",
        lambda honest: f"SAMLRequest={OTHER}&{honest}",
        lambda honest: f"%53AMLRequest={OTHER}&{honest}",
        lambda honest: f"{honest}&SAMLRequest",
        lambda honest: f"{honest}&RelayState=x",
        lambda honest: f"{honest}&%52elayState=x",
        lambda honest: f"{honest}&SigAlg=x",
        lambda honest: f"{honest}&Signature=x",
        lambda honest: f"{honest}&SAMLResponse={OTHER}",
        lambda honest: honest.replace("SAMLRequest", "SAMLResponse"),
        lambda honest: honest.replace("SAMLRequest", "samlrequest"),
        lambda honest: f"{honest}&SAMLEncoding=urn%3Ax",
        lambda honest: honest + "é",
        lambda honest: "",
    ],
)
def test_a_query_that_two_readers_could_read_differently_is_refused(tamper: Callable[[str], str]) -> None:
    assert refusal(tamper(query())) == "encoding"


@pytest.mark.parametrize(
    "algorithm",
    [
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2000/09/xmldsig#dsa-sha1",
        "none",
    ],
)
def test_weak_algorithms_of_the_query_are_refused(algorithm: str) -> None:
    assert refusal(query(algorithm=algorithm)) == "algorithm"


def test_the_public_key_is_no_shared_secret() -> None:
    """An elliptic-curve algorithm over an RSA key, and an HMAC over the certificate's text, do not hold."""
    assert refusal(query(algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256")) == "signature"


def deflated(data: bytes) -> str:
    deflater = zlib.compressobj(9, wbits=-15)
    return quote_plus(base64.b64encode(deflater.compress(data) + deflater.flush()).decode())


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (f"SAMLRequest={deflated(b' ' * 50_000_000)}&SigAlg=x&Signature=x", "size"),
        (f"SAMLRequest={deflated(b'<a/>')[:-4]}&SigAlg=x&Signature=x", "encoding"),
        ("SAMLRequest=AAAA&SigAlg=x&Signature=x", "encoding"),
        ("SAMLRequest=!&SigAlg=x&Signature=x", "encoding"),
        (f"SAMLRequest={'A' * 1_000_000}&SigAlg=x&Signature=x", "size"),
        (f"SAMLRequest={deflated(b'<!DOCTYPE a SYSTEM' + b' ' * 9 + b'><a/>')}&SigAlg=x&Signature=x", "xml"),
        (f"SAMLRequest={deflated(b'<a>' * 5_000)}&SigAlg=x&Signature=x", "xml"),
        (f"SAMLRequest={deflated(b'<a/>')}&SigAlg=x&Signature=x", "shape"),
    ],
)
def test_bombs_and_rubbish_are_refused_before_any_key_is_asked(received: str, reason: str) -> None:
    assert refusal(received) == reason


def test_a_bomb_is_never_unpacked() -> None:
    bomb = f"SAMLRequest={deflated(b' ' * 50_000_000)}&SigAlg=x&Signature=x"
    tracemalloc.start()
    try:
        assert refusal(bomb) == "size"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_what_follows_the_deflated_message_is_refused() -> None:
    assert refusal(query(tail=b"x")) == "encoding"
    assert refusal(query(relay_state="x" * 2049)) == "size"
    assert refusal(Posted(form(), "x" * 2049)) == "size"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issuer": "https://evil.example.test"}, "issuer"),
        ({"destination": SLO + "/"}, "destination"),
        ({"destination": "https://evil.example.test/?" + SLO}, "destination"),
        ({"edit": setting("LogoutRequest", "Destination", None)}, "destination"),
        ({"edit": setting("LogoutRequest", "Version", "1.1")}, "shape"),
        ({"edit": setting("LogoutRequest", "ID", None)}, "shape"),
        ({"edit": setting("LogoutRequest", "IssueInstant", "soon")}, "time"),
        ({"edit": setting("LogoutRequest", "NotOnOrAfter", "")}, "time"),
        ({"now": NOW - timedelta(minutes=12)}, "expired"),
        ({"now": NOW + timedelta(minutes=2)}, "not-yet-valid"),
        ({"not_on_or_after": NOW - timedelta(minutes=2)}, "expired"),
        ({"now": datetime.max.replace(tzinfo=UTC)}, "time"),
        ({"now": datetime(1969, 12, 31, tzinfo=UTC)}, "time"),
        ({"name_id": ""}, "name-id"),
        ({"name_id": "ali\u200bce"}, "name-id"),
        ({"name_id": "x" * 257}, "name-id"),
        ({"edit": removing("NameID")}, "shape"),
        ({"edit": removing("Issuer")}, "shape"),
        ({"edit": adding("LogoutRequest", "<samlp:Extensions/>")}, "shape"),
        ({"edit": adding("LogoutRequest", "<saml:NameID>root</saml:NameID>")}, "shape"),
        ({"edit": adding("NameID", "<b/>")}, "shape"),
        ({"sessions": ("",)}, "shape"),
        ({"sessions": ("x" * 1025,)}, "shape"),
        ({"sessions": ("x",) * 101}, "shape"),
    ],
)
def test_a_signed_request_for_another_from_another_or_out_of_time_is_refused(
    changes: dict[str, Any], reason: str
) -> None:
    message = request(**changes)
    assert refusal(query(message)) == reason
    if message.get("ID") and message[0].tag == f"{SAML}Issuer":
        assert refusal(Posted(form(message))) == reason


def test_where_no_logout_is_offered_none_is_taken() -> None:
    assert refusal(query(), sp=SP) == "destination"


def test_an_encrypted_name_is_refused_by_name() -> None:
    def encrypt(message: etree._Element) -> None:
        found = the(message, "NameID")
        sealed = encrypted(etree.tostring(found), key_pair("current")[1])
        sealed.tag = f"{SAML}EncryptedID"
        message.replace(found, sealed)

    assert refusal(query(request(edit=encrypt))) == "encrypted"


@pytest.mark.parametrize(("name", "algorithm"), WEAK)
def test_weak_algorithms_inside_a_posted_request_are_refused(name: str, algorithm: str) -> None:
    assert refusal(Posted(form(edit_signed=setting(name, "Algorithm", algorithm)))) == "algorithm"


def test_sha_1_inside_a_posted_request_is_refused() -> None:
    message = request()
    sign_element(message, *KEY, xmlsec.constants.TransformRsaSha1)
    assert refusal(Posted(base64.b64encode(etree.tostring(message)).decode())) == "algorithm"


@pytest.mark.parametrize("edit", MALICIOUS)
def test_malicious_signatures_inside_a_posted_request_are_refused(edit: Callable[[etree._Element], None]) -> None:
    def fitted(message: etree._Element) -> None:
        edit(message)
        for signature in message.iter(f"{DS}Signature"):
            if signature.get("Id"):
                signature.set("Id", message.get("ID", ""))

    assert refusal(Posted(form(edit_signed=fitted))) == "shape"


@pytest.mark.parametrize("tamper", [writing("NameID", "root"), writing("SessionIndex", "_other")])
def test_a_tampered_posted_request_is_refused(tamper: Callable[[etree._Element], None]) -> None:
    assert refusal(Posted(form(edit_signed=tamper))) == "signature"


def test_a_signature_inside_stands_for_nothing_by_redirect() -> None:
    message = request()
    sign_element(message, *KEY)

    assert refusal(query(message)) == "shape"
    assert refusal(query(message).partition("&SigAlg")[0]) == "shape"


def test_what_is_signed_for_another_purpose_is_no_logout_request() -> None:
    answer = base64.b64decode(IDP.respond("_q", SP.acs_url, SP.entity_id, "alice", now=NOW, sign=["response"]))

    assert refusal(query(answer)) == "shape"
    assert refusal(Posted(base64.b64encode(answer).decode())) == "shape"
    assert refusal(query(response())) == "shape"


def accept_response(received: Redirected | Posted, request_id: str = "_q") -> bool:
    return accept_logout_response(OURS, TRUSTED, received, request_id=request_id, now=NOW).success


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"in_response_to": "_other"}, "in-response-to"),
        ({"in_response_to": None}, "in-response-to"),
        ({"in_response_to": ""}, "in-response-to"),
        ({"issuer": "https://evil.example.test"}, "issuer"),
        ({"destination": SLO + "?"}, "destination"),
        ({"now": NOW - timedelta(minutes=12)}, "expired"),
        ({"edit": removing("Status")}, "shape"),
        ({"edit": removing("StatusCode")}, "shape"),
        ({"edit": setting("StatusCode", "Value", None)}, "shape"),
    ],
)
def test_an_answer_to_something_else_is_refused(changes: dict[str, Any], reason: str) -> None:
    honest = query(response(), name="SAMLResponse")
    assert accept_response(Redirected(honest))
    assert accept_response(Posted(form(response())))

    message = response(**changes)
    for received in (Redirected(query(message, name="SAMLResponse")), Posted(form(message))):
        with pytest.raises(SamlError) as refused:
            accept_response(received)
        assert refused.value.reason == reason


def test_an_unsigned_answer_is_refused() -> None:
    for received in (
        Redirected(query(response(), name="SAMLResponse").partition("&SigAlg")[0]),
        Posted(form(response(), key=None)),
    ):
        with pytest.raises(SamlError) as refused:
            accept_response(received)
        assert refused.value.reason == "unsigned"


HONEST = query()


@settings(max_examples=300, deadline=None)
@given(mutated(HONEST.encode()))
def test_a_mutated_query_is_refused_or_says_what_was_signed(document: bytes) -> None:
    try:
        found = accept_logout_request(OURS, TRUSTED, Redirected(document), now=NOW)
    except SamlError:
        return
    assert (found.name.name_id, found.session_indexes, found.relay_state) == ("alice", ("_s1",), "r")


@settings(max_examples=200, deadline=None)
@given(mutated(base64.b64decode(form())))
def test_a_mutated_form_is_refused_or_says_what_was_signed(document: bytes) -> None:
    try:
        found = accept_logout_request(OURS, TRUSTED, Posted(base64.b64encode(document).decode()), now=NOW)
    except SamlError:
        return
    assert (found.name.name_id, found.session_indexes) == ("alice", ("_s1",))


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=80), st.binary(max_size=80)))
def test_any_query_is_refused(received: str | bytes) -> None:
    with pytest.raises(SamlError):
        accept_logout_request(OURS, TRUSTED, Redirected(received), now=NOW)


def test_random_signatures_do_not_hold() -> None:
    head = HONEST.partition("&Signature=")[0]
    for size in (0, 1, 255, 256, 384, 385, 4000):
        value = quote_plus(base64.b64encode(os.urandom(size)).decode())
        assert refusal(f"{head}&Signature={value}") in ("signature", "unsigned")
    assert accept(f"{head}&Signature={quote_plus(unquote_plus(HONEST.partition('&Signature=')[2]))}").id
