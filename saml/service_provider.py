"""The service provider's side of web browser SSO: ask, and judge the answer."""

from __future__ import annotations

import re
from datetime import datetime

from lxml import etree

from saml import bindings, shape, xml
from saml.bindings import Outgoing, new_id
from saml.errors import SamlError
from saml.judging import SKEW, accept_response
from saml.parties import IdentityProvider, ServiceProvider
from saml.rules import Assertion

__all__ = [
    "SKEW",
    "Assertion",
    "AuthnRequest",
    "ServiceProvider",
    "accept_response",
    "authn_request",
    "new_id",
    "response_in_response_to",
]

AuthnRequest = Outgoing

_ID = re.compile(rf"[A-Za-z_][\w.-]{{0,{shape.MAX_ID - 1}}}", re.ASCII)


def authn_request(
    sp: ServiceProvider,
    idp: IdentityProvider,
    *,
    relay_state: str,
    now: datetime,
    force_authn: bool = False,
) -> AuthnRequest:
    """A request to `idp`, signed when `sp` signs its requests.

    `relay_state` comes back with the answer: an opaque token of at most 80 bytes (SAML bindings, 3.4.3).
    """
    request_id = new_id()
    message = _request_element(sp, idp, request_id, now, force_authn)
    key = sp.keys[0] if sp.sign_requests else None
    return bindings.send(
        request_id, "SAMLRequest", message, url=idp.sso_url, binding=idp.sso_binding, relay_state=relay_state, key=key
    )


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


def response_in_response_to(saml_response: str) -> str | None:
    """The request that a Response claims to answer, to look up what was asked. Nothing of it is verified yet.

    Raises SamlError: size, encoding, xml, shape.
    """
    response = xml.parse(xml.unbase64(saml_response))
    shape.check_root(response, "samlp:Response")
    request_id = response.get("InResponseTo")
    if request_id is not None and not _ID.fullmatch(request_id):
        raise SamlError("shape", "InResponseTo is not an id")
    return request_id
