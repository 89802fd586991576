"""What the portal asks of the sample IdP, by HTTP-Redirect (saml-bindings-2.0-os 3.4): to sign somebody in, or out.

Requests may be signed; the sample IdP has no key of the portal and does not look. It answers to one address only.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import Any

from saml import xml
from saml.errors import SamlError
from saml.parties import ServiceProvider

MAX_REQUEST = 16 * 1024
_ID = re.compile(r"[A-Za-z_][\w.-]{0,255}", re.ASCII)


def read_request(encoded: str, sp: ServiceProvider, *, sso_url: str) -> str:
    """The id of the request that `encoded` (the query field SAMLRequest) holds.

    Only the one service provider that this IdP knows may ask, and the answer goes to its registered address
    whatever the request names. Raises SamlError.
    """
    request, request_id = _read(encoded, "samlp:AuthnRequest", sp)
    if request.get("AssertionConsumerServiceURL", sp.acs_url) != sp.acs_url:
        raise SamlError("recipient", request.get("AssertionConsumerServiceURL", "")[:300])
    _check_destination(request, sso_url)
    return request_id


def read_logout(encoded: str, sp: ServiceProvider, *, slo_url: str) -> str:
    """The id of the LogoutRequest. Raises SamlError."""
    request, request_id = _read(encoded, "samlp:LogoutRequest", sp)
    _check_destination(request, slo_url)
    return request_id


def _read(encoded: str, name: str, sp: ServiceProvider) -> tuple[Any, str]:
    request = xml.parse(_inflated(encoded))
    if xml.short(request.tag) != name:
        raise SamlError("shape", f"not an {name}")
    request_id = request.get("ID", "")
    if not _ID.fullmatch(request_id):
        raise SamlError("shape", "the request has no ID")
    issuers = [xml.text(each) for each in xml.find(request, "saml:Issuer")]
    if issuers != [sp.entity_id]:
        raise SamlError("issuer", f"{issuers!r}"[:300])
    return request, request_id


def _check_destination(request: Any, url: str) -> None:
    if request.get("Destination", url) != url:
        raise SamlError("destination", request.get("Destination", "")[:300])


def _inflated(encoded: str) -> bytes:
    """Base64 of a raw DEFLATE stream; stops inflating at the limit, so that a small field cannot become a large one."""
    if len(encoded) > MAX_REQUEST:
        raise SamlError("size", f"{len(encoded)} characters")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflate.decompress(base64.b64decode(encoded, validate=True), MAX_REQUEST)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise SamlError("encoding", "not a deflated message in base64") from error
    if not inflate.eof:
        raise SamlError("size", "too large, or cut off")
    return data
