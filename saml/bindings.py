"""How messages travel: HTTP-Redirect and HTTP-POST, out and in (saml-bindings-2.0-os 3.4 and 3.5)."""

from __future__ import annotations

import base64
import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus, urlencode

import xmlsec
from lxml import etree

from saml import shape, signatures, xml
from saml.errors import SamlError
from saml.parties import KeyPair

MAX_RELAY_STATE = 2048
"""Characters; the standard says 80 bytes, and identity providers send more."""
_SIGNED = ("RelayState", "SigAlg")
_PARAMETERS = ("SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding")
_DEFLATE = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"
_TRANSFORMS = {
    f"{signatures.MORE}{kind}-sha{size}": getattr(xmlsec.constants, f"Transform{kind.capitalize()}Sha{size}")
    for kind in ("rsa", "ecdsa")
    for size in (256, 384, 512)
}


@dataclass(frozen=True)
class Outgoing:
    """Keep `id` until the answer comes; send the browser to `url`, or, where there is a `form` (HTTP-POST), submit
    that to `url`."""

    id: str
    url: str
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Redirected:
    """What came by HTTP-Redirect: the query string exactly as it was received, since the signature is over that."""

    query: str | bytes


@dataclass(frozen=True)
class Posted:
    """What came by HTTP-POST: the form field SAMLRequest or SAMLResponse, and RelayState if there was one."""

    message: str
    relay_state: str | None = None


@dataclass(frozen=True)
class Incoming:
    """A message whose shape and signature were checked."""

    message: etree._Element
    relay_state: str | None


def new_id() -> str:
    """An xs:ID with 160 random bits (saml-core-2.0-os 1.3.4)."""
    return f"_{secrets.token_hex(20)}"


def send(
    message_id: str,
    name: str,
    message: etree._Element,
    *,
    url: str,
    binding: str | None,
    relay_state: str | None,
    key: KeyPair | None,
) -> Outgoing:
    """`name`: SAMLRequest or SAMLResponse. Signed with `key`: the query, and for HTTP-POST the message itself."""
    relayed = {"RelayState": relay_state} if relay_state is not None else {}
    if binding == "HTTP-POST":
        if key:
            signatures.sign(message, key.private_key, key.certificate)
        return Outgoing(message_id, url, {name: base64.b64encode(etree.tostring(message)).decode(), **relayed})
    query = {name: base64.b64encode(_deflate(etree.tostring(message))).decode(), **relayed}
    if key:
        query["SigAlg"] = signatures.RSA_SHA256
        query["Signature"] = _sign_query(urlencode(query), key)
    return Outgoing(message_id, url + ("&" if "?" in url else "?") + urlencode(query))


def _deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _sign_query(query: str, key: KeyPair) -> str:
    """The detached signature of the HTTP-Redirect binding (saml-bindings-2.0-os 3.4.4.1)."""
    context = xmlsec.SignatureContext()
    context.key = signatures.signing_key(key.private_key, key.certificate)
    return base64.b64encode(context.sign_binary(query.encode(), xmlsec.constants.TransformRsaSha256)).decode()


def receive(received: Redirected | Posted, name: str, element: str, certificates: Iterable[str]) -> Incoming:
    """The message of the parameter `name`, whose root is `element`, signed by one of the certificates.

    Raises SamlError: encoding, size, xml, shape, encrypted, unsigned, algorithm, signature.
    """
    if isinstance(received, Posted):
        message = _parse(xml.unbase64(received.message), element)
        signatures.check_one(message)
        signatures.verify(message, certificates)
        return Incoming(message, _checked_relay_state(received.relay_state))
    raw = _raw_parameters(received.query, name)
    message = _parse(_inflate(xml.unbase64(unquote_plus(raw[name]))), element)
    if xml.find(message, "ds:Signature"):
        raise SamlError("shape", "a message that comes by HTTP-Redirect is signed in the query, not inside")
    _verify_query(raw, name, certificates)
    relay_state = unquote_plus(raw["RelayState"]) if "RelayState" in raw else None
    return Incoming(message, _checked_relay_state(relay_state))


def _parse(document: bytes, element: str) -> etree._Element:
    message = xml.parse(document)
    shape.check_root(message, element)
    shape.check(message)
    return message


def _raw_parameters(query: str | bytes, name: str) -> dict[str, str]:
    """Our parameters, each once, still encoded. Others are nobody's business, however they are written."""
    if len(query) > 2 * xml.MAX_DOCUMENT:
        raise SamlError("size", f"{len(query)} characters")
    try:
        text = query.decode("ascii") if isinstance(query, bytes) else query.encode("ascii").decode()
    except UnicodeError as error:
        raise SamlError("encoding", "the query string is not ASCII") from error
    found: dict[str, str] = {}
    for parameter in text.split("&"):
        key, _, value = parameter.partition("=")
        if (plain := unquote(key)) not in _PARAMETERS:
            continue
        if plain != key or plain in found:
            raise SamlError("encoding", f"{plain} stands twice in the query string, or its name is encoded")
        found[key] = value
    if name not in found or {"SAMLRequest", "SAMLResponse"} <= found.keys():
        raise SamlError("encoding", f"not exactly one message, {name} is expected")
    if unquote_plus(found.get("SAMLEncoding", _DEFLATE)) != _DEFLATE:
        raise SamlError("encoding", "an unknown SAMLEncoding")
    return found


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=-15)
    try:
        document = inflater.decompress(data, xml.MAX_DOCUMENT + 1)
    except zlib.error as error:
        raise SamlError("encoding", "not deflated") from error
    if len(document) > xml.MAX_DOCUMENT:
        raise SamlError("size", f"inflates to more than {xml.MAX_DOCUMENT} bytes")
    if not inflater.eof or inflater.unused_data:
        raise SamlError("encoding", "not deflated, or something follows")
    return document


def _verify_query(raw: Mapping[str, str], name: str, certificates: Iterable[str]) -> None:
    """Over the octets as received: encoding them again would give others (saml-bindings-2.0-os 3.4.4.1)."""
    if not (raw.get("SigAlg") and raw.get("Signature")):
        raise SamlError("unsigned", "no SigAlg and Signature")
    algorithm = unquote_plus(raw["SigAlg"])
    if algorithm not in signatures.SIGNATURE_ALGORITHMS:
        raise SamlError("algorithm", algorithm[:200])
    signed = "&".join(f"{key}={raw[key]}" for key in (name, *_SIGNED) if key in raw)
    value = xml.unbase64(unquote_plus(raw["Signature"]))
    for certificate in certificates:
        context = xmlsec.SignatureContext()
        try:
            context.key = signatures.public_key(certificate)
            context.verify_binary(signed.encode(), _TRANSFORMS[algorithm], value)
        except xmlsec.Error:
            continue
        return
    raise SamlError("signature", "the signature of the query holds with no certificate that is trusted")


def _checked_relay_state(relay_state: str | None) -> str | None:
    if relay_state is not None and len(relay_state) > MAX_RELAY_STATE:
        raise SamlError("size", f"a RelayState of {len(relay_state)} characters")
    return relay_state
