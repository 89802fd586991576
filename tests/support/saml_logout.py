"""Logout messages as an identity provider sends them, honest and not. Written by hand, not with the product's code."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus
from xml.sax.saxutils import escape, quoteattr

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from tests.support.saml_idp import SAML, SAMLP, SUCCESS, UNSPECIFIED, Edit, sign_element

RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"


def request(
    *,
    issuer: str,
    destination: str,
    now: datetime,
    name_id: str = "alice",
    sessions: Sequence[str] = ("_s1",),
    not_on_or_after: datetime | None = None,
    edit: Edit | None = None,
) -> etree._Element:
    end = f' NotOnOrAfter="{_time(not_on_or_after)}"' if not_on_or_after else ""
    indexes = "".join(f"<samlp:SessionIndex>{escape(index)}</samlp:SessionIndex>" for index in sessions)
    name = f'<saml:NameID Format="{UNSPECIFIED}">{escape(name_id)}</saml:NameID>'
    return _message("LogoutRequest", issuer, destination, now, end, name + indexes, edit)


def response(
    *,
    issuer: str,
    destination: str,
    now: datetime,
    in_response_to: str | None,
    status: str = SUCCESS,
    second: str | None = None,
    edit: Edit | None = None,
) -> etree._Element:
    answer = f" InResponseTo={quoteattr(in_response_to)}" if in_response_to is not None else ""
    inner = f'<samlp:StatusCode Value="{second}"/>' if second else ""
    body = f'<samlp:Status><samlp:StatusCode Value="{status}">{inner}</samlp:StatusCode></samlp:Status>'
    return _message("LogoutResponse", issuer, destination, now, answer, body, edit)


def _message(
    kind: str, issuer: str, destination: str, now: datetime, attributes: str, body: str, edit: Edit | None
) -> etree._Element:
    message = etree.fromstring(
        f'<samlp:{kind} xmlns:samlp="{SAMLP[1:-1]}" xmlns:saml="{SAML[1:-1]}" ID="_l{now:%Y%m%d%H%M%S%f}" '
        f'Version="2.0" IssueInstant="{_time(now)}" Destination={quoteattr(destination)}{attributes}>'
        f"<saml:Issuer>{escape(issuer)}</saml:Issuer>{body}</samlp:{kind}>"
    )
    if edit:
        edit(message)
    return message


def posted(message: etree._Element, key: tuple[str, str] | None, *, edit_signed: Edit | None = None) -> str:
    """The form field, signed inside."""
    if key:
        sign_element(message, *key)
    if edit_signed:
        message = etree.fromstring(etree.tostring(message))
        edit_signed(message)
    return base64.b64encode(etree.tostring(message)).decode()


def redirected(
    message: etree._Element | bytes,
    private_key: str,
    *,
    name: str = "SAMLRequest",
    relay_state: str | None = "r",
    algorithm: str = RSA_SHA256,
    lower: bool = False,
    tail: bytes = b"",
) -> str:
    """The query string, signed over its own octets. `lower`: `%2f` instead of `%2F`, as .NET writes it."""
    data = message if isinstance(message, bytes) else etree.tostring(message)
    deflater = zlib.compressobj(wbits=-15)
    encoded = base64.b64encode(deflater.compress(data) + deflater.flush() + tail).decode()
    parts = [(name, encoded), *([("RelayState", relay_state)] if relay_state is not None else [])]
    signed = "&".join(f"{key}={_quoted(value, lower)}" for key, value in [*parts, ("SigAlg", algorithm)])
    return f"{signed}&Signature={_quoted(signature(signed, private_key), lower)}"


def signature(signed: str, private_key: str) -> str:
    key = serialization.load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return base64.b64encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def _quoted(value: str, lower: bool) -> str:
    quoted = quote_plus(value)
    if not lower:
        return quoted
    pieces = quoted.split("%")
    return "%".join([pieces[0], *(piece[:2].lower() + piece[2:] for piece in pieces[1:])])


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


MINUTE = timedelta(minutes=1)
