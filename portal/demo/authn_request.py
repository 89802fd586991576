"""What the portal asks of the sample IdP: an AuthnRequest by HTTP-Redirect (saml-bindings-2.0-os 3.4)."""

from __future__ import annotations

import base64
import binascii
import re
import zlib

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
    request = xml.parse(_inflated(encoded))
    if xml.short(request.tag) != "samlp:AuthnRequest":
        raise SamlError("shape", "not an AuthnRequest")
    request_id = request.get("ID", "")
    if not _ID.fullmatch(request_id):
        raise SamlError("shape", "the request has no ID")
    issuers = [xml.text(each) for each in xml.find(request, "saml:Issuer")]
    if issuers != [sp.entity_id]:
        raise SamlError("issuer", f"{issuers!r}"[:300])
    if request.get("AssertionConsumerServiceURL", sp.acs_url) != sp.acs_url:
        raise SamlError("recipient", request.get("AssertionConsumerServiceURL", "")[:300])
    if request.get("Destination", sso_url) != sso_url:
        raise SamlError("destination", request.get("Destination", "")[:300])
    return request_id


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
