"""The service provider's side of web browser SSO: ask, and judge the answer."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from saml import library, rules, shape, signatures, xml
from saml.errors import SamlError
from saml.parties import IdentityProvider, ServiceProvider
from saml.rules import Assertion, Expected

__all__ = [
    "Assertion",
    "AuthnRequest",
    "ServiceProvider",
    "accept_response",
    "authn_request",
    "new_id",
    "response_in_response_to",
]

SKEW = timedelta(seconds=90)
_ID = re.compile(rf"[A-Za-z_][\w.-]{{0,{shape.MAX_ID - 1}}}", re.ASCII)


@dataclass(frozen=True)
class AuthnRequest:
    """Keep `id` until the answer comes; send the browser to `url`.

    An identity provider that takes only HTTP-POST gets `form`, submitted by the browser to its `sso_url`,
    instead; for one that takes HTTP-Redirect the form is empty.
    """

    id: str
    url: str
    form: Mapping[str, str] = field(default_factory=dict)


def new_id() -> str:
    """An xs:ID with 160 random bits (saml-core-2.0-os 1.3.4)."""
    return f"_{secrets.token_hex(20)}"


def authn_request(
    sp: ServiceProvider,
    idp: IdentityProvider,
    *,
    relay_state: str,
    now: datetime,
    force_authn: bool = False,
) -> AuthnRequest:
    """A request to `idp`, signed when `sp` has a key pair.

    `relay_state` comes back with the answer: an opaque token of at most 80 bytes (SAML bindings, 3.4.3).
    """
    request_id = new_id()
    message = _request_element(sp, idp, request_id, now, force_authn)
    query = [("SAMLRequest", base64.b64encode(_deflate(etree.tostring(message))).decode())]
    query.append(("RelayState", relay_state))
    if sp.private_key:
        query.append(("SigAlg", signatures.RSA_SHA256))
        query.append(("Signature", _sign_query(urlencode(query), sp.private_key)))
    url = idp.sso_url + ("&" if "?" in idp.sso_url else "?") + urlencode(query)
    if idp.sso_binding != "HTTP-POST":
        return AuthnRequest(request_id, url)
    if sp.private_key and sp.certificate:
        signatures.sign(message, sp.private_key, sp.certificate)
    encoded = base64.b64encode(etree.tostring(message)).decode()
    return AuthnRequest(request_id, url, {"SAMLRequest": encoded, "RelayState": relay_state})


def _request_element(
    sp: ServiceProvider, idp: IdentityProvider, request_id: str, now: datetime, force_authn: bool
) -> etree._Element:
    attributes = {
        "ID": request_id,
        "Version": "2.0",
        "IssueInstant": xml.write_time(now),
        "Destination": idp.sso_url,
        "ProtocolBinding": xml.BINDING_POST,
        "AssertionConsumerServiceURL": sp.acs_url,
    }
    if force_authn:
        attributes["ForceAuthn"] = "true"
    prefixes = {prefix: xml.NAMESPACES[prefix] for prefix in ("samlp", "saml")}
    message = etree.Element(xml.tag("samlp:AuthnRequest"), attributes, nsmap=prefixes)
    etree.SubElement(message, xml.tag("saml:Issuer")).text = sp.entity_id
    policy = {"Format": xml.NAME_ID_UNSPECIFIED, "AllowCreate": "true"}
    etree.SubElement(message, xml.tag("samlp:NameIDPolicy"), policy)
    return message


def _deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _sign_query(query: str, private_key: str) -> str:
    """The detached signature of the HTTP-Redirect binding (saml-bindings-2.0-os 3.4.4.1)."""
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the service provider's key is not RSA")
    return base64.b64encode(key.sign(query.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def accept_response(
    sp: ServiceProvider,
    idp: IdentityProvider,
    saml_response: str,
    *,
    request_id: str | None,
    now: datetime,
    skew: timedelta = SKEW,
) -> Assertion:
    """What `idp` asserts in `saml_response` (the base64 form field), if it is genuine, for us and for now.

    `request_id`: the id of the request that this must answer; None when `idp` starts the sign-in itself, and
    then an answer to any request is refused. Whether the assertion came before is for the caller to know (see
    Assertion.not_on_or_after). Raises SamlError, and nothing else.
    """
    expected = Expected(sp, idp, request_id, now, skew)
    response = xml.parse(_decode(saml_response))
    assertion = shape.check(response)
    signatures.check(response, assertion)
    accepted = rules.read(response, assertion, expected)
    library.verify(response, expected)
    return accepted


def response_in_response_to(saml_response: str) -> str | None:
    """The request that a Response claims to answer, to look up what was asked. Nothing of it is verified yet.

    Raises SamlError: size, encoding, xml, shape.
    """
    response = xml.parse(_decode(saml_response))
    if xml.short(response.tag) != "samlp:Response":
        raise SamlError("shape", "not a Response")
    request_id = response.get("InResponseTo")
    if request_id is not None and not _ID.fullmatch(request_id):
        raise SamlError("shape", "InResponseTo is not an id")
    return request_id


def _decode(saml_response: str) -> bytes:
    """Strict base64; line breaks are allowed, since some identity providers fold the field."""
    if len(saml_response) > 2 * xml.MAX_DOCUMENT:
        raise SamlError("size", f"{len(saml_response)} characters")
    try:
        return base64.b64decode(re.sub(r"[\r\n]", "", saml_response), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SamlError("encoding", "not base64") from error
