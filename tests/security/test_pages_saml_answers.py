"""Forged answers at the ACS of the running portal: each refused by one neutral page, its reason where it belongs."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest
import xmlsec
from lxml import etree

from tests.support.saml_attack import adding, removing, setting, the, writing
from tests.support.saml_doors import Attack, Doors
from tests.support.saml_idp import key_pair
from tests.support.saml_wrapping import WRAPPINGS
from tests.support.sign_ins import is_signed_in

FOREIGN = key_pair("https://somebody-else.example.test")
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
HOUR = timedelta(hours=1)
OTHER = "https://other.example.test/"
XSLT = (
    '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
    "<xsl:copy-of select=\"document('file:///etc/passwd')\"/></xsl:template></xsl:stylesheet>"
)


def renamed(response: etree._Element) -> None:
    the(response, "NameID").text = "root"


def signature_of_another(response: etree._Element) -> None:
    """Swapped: the signature stands where it should, over what somebody else was told."""
    other = deepcopy(response)
    renamed(response)
    assertion, signature = the(response, "Assertion"), the(other, "Signature")
    assertion.replace(the(response, "Signature"), signature)


def second_assertion(response: etree._Element) -> None:
    copy = deepcopy(the(response, "Assertion"))
    renamed(copy)
    response.append(copy)


def same_ids(response: etree._Element) -> None:
    response.set("ID", the(response, "Assertion").get("ID", ""))


def hmac_with_the_public_key(response: etree._Element) -> None:
    """The verifier is to take the certificate, which everybody has, for the secret of an HMAC."""
    renamed(response)
    setting("SignatureMethod", "Algorithm", f"{MORE}hmac-sha256")(response)


def xslt(response: etree._Element) -> None:
    setting("Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")(response)
    adding("Transform", XSLT)(response)


def without_times(response: etree._Element) -> None:
    del the(response, "SubjectConfirmationData").attrib["NotOnOrAfter"]


SHA1 = (xmlsec.constants.TransformRsaSha1, xmlsec.constants.TransformSha1)
ATTACKS = {
    "unsigned": Attack("unsigned", sign=()),
    "signature stripped": Attack("unsigned", tree=removing("Signature")),
    "signature stripped from the response": Attack("unsigned", tree=removing("Signature"), sign=("response",)),
    "signature swapped": Attack("signature", tree=signature_of_another),
    "name changed": Attack("signature", tree=renamed),
    "self-signed, its certificate inside": Attack("signature", {"key": FOREIGN}),
    "self-signed response": Attack("signature", {"key": FOREIGN}, sign=("response",)),
    "HMAC confusion": Attack("algorithm", tree=hmac_with_the_public_key),
    "SHA-1": Attack("algorithm", {"algorithms": SHA1}),
    "MD5": Attack("algorithm", tree=setting("SignatureMethod", "Algorithm", f"{MORE}rsa-md5")),
    "XSLT": Attack("shape", tree=xslt),
    "XPath": Attack(
        "algorithm", tree=setting("Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")
    ),
    "second reference to a file": Attack("shape", tree=adding("SignedInfo", '<ds:Reference URI="file:///dev/zero"/>')),
    "remote reference": Attack("shape", tree=setting("Reference", "URI", f"{OTHER}document")),
    "remote key": Attack("shape", tree=adding("KeyInfo", f'<ds:RetrievalMethod URI="{OTHER}key"/>')),
    "two assertions": Attack("assertions", tree=second_assertion),
    "ids that are equal": Attack("shape", tree=same_ids),
    "foreign issuer": Attack("issuer", {"issuer": OTHER}),
    "wrong audience": Attack("audience", {"audience": OTHER}),
    "wrong recipient": Attack("recipient", {"recipient": "http://localhost/saml/acme/acs.evil.test"}),
    "wrong destination": Attack("destination", {"destination": "https://evil.test/?http://localhost/saml/acme/acs"}),
    "expired": Attack("expired", {"now": datetime.now(UTC) - HOUR}),
    "not yet valid": Attack("not-yet-valid", {"now": datetime.now(UTC) + HOUR}),
    "at the end of all times": Attack("time", tree=setting("Response", "IssueInstant", "9999-12-31T23:59:59Z")),
    "before all times": Attack("time", {"edit": setting("Assertion", "IssueInstant", "0001-01-01T00:00:00Z")}),
    "no end": Attack("shape", {"edit": without_times}),
    "no conditions": Attack("shape", {"edit": removing("Conditions")}),
    "no audience": Attack("shape", {"edit": removing("AudienceRestriction")}),
    "no confirmation": Attack("shape", {"edit": removing("SubjectConfirmation")}),
    "invisible name": Attack("name-id", {"edit": writing("NameID", "ali\u200bce")}),
    "look-alike": Attack("unknown-user", {"edit": writing("NameID", "\uff52oot")}),
    "failure of the IdP": Attack("status", {"status": "urn:oasis:names:tc:SAML:2.0:status:Responder"}),
    "the IdP's words as markup": Attack("status", {"status": "<script>alert(1)</script>"}),
} | {wrap.__name__: Attack("assertions", tree=wrap, sign=(signed,)) for wrap, signed in WRAPPINGS}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forged_answer_to_a_request_is_refused_and_told(doors: Doors, name: str) -> None:
    attack, browser, began = ATTACKS[name], doors.browser(), time.monotonic()
    form = doors.form(doors.acme, browser, attack)
    response = doors.acme.post(browser, form)
    attempt = doors.is_told(response, attack.reason)
    assert "<script>alert" not in response.get_data(as_text=True)
    assert attempt.user_name in ("", "\uff52oot")
    assert '"failed"' in attempt.checks or attack.reason == "unknown-user"
    assert not is_signed_in(browser)
    assert time.monotonic() - began < 5
    if attack.sign:
        doors.honest(attack)


def _inserted(text: bytes) -> Callable[[bytes], bytes]:
    return lambda document: document.replace(b">alice<", b">alice" + text + b"<")


LAUGHS = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9)).encode()
GARBAGE = {
    "comment in the name": ("xml", _inserted(b"<!-- -->.evil")),
    "CDATA in the name": ("xml", _inserted(b"<![CDATA[.evil]]>")),
    "processing instruction in the name": ("xml", _inserted(b"<?x y?>.evil")),
    "entity bomb": ("xml", lambda document: b'<!DOCTYPE a [<!ENTITY e0 "e">' + LAUGHS + b"]>" + document),
    "external entity": ("xml", lambda document: b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + document),
    "external DTD": ("xml", lambda document: b'<!DOCTYPE a SYSTEM "https://evil.test/dtd">' + document),
    "UTF-16": ("encoding", lambda document: document.decode().encode("utf-16")),
    "too deep": ("xml", lambda _document: b"<a>" * 5_000 + b"</a>" * 5_000),
    "too large": ("size", lambda document: document + b" " * 300_000),
    "deflated bomb": ("encoding", lambda _document: b"\xec\xc1\x01\x01\x00\x00\x00\x80\x90" * 50),
    "nothing": ("xml", lambda _document: b""),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_cannot_be_read_is_refused_and_fills_nothing(doors: Doors, name: str) -> None:
    (reason, raw), browser = GARBAGE[name], doors.browser()
    honest = doors.form(doors.acme, browser, Attack(""))
    document = raw(base64.b64decode(honest["SAMLResponse"]))
    doors.is_untold(browser, honest | {"SAMLResponse": base64.b64encode(document).decode()}, reason)
    assert not is_signed_in(browser)
    assert doors.acme.post(browser, honest).status_code == 303


def test_an_oversized_body_is_not_read(doors: Doors) -> None:
    assert doors.acme.post(doors.browser(), {"SAMLResponse": "A" * 1_100_000}).status_code == 413
