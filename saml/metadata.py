"""Metadata: theirs, read with suspicion (saml-metadata-2.0-os); ours is written in saml/publishing.py."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from lxml import etree

from saml import shape, signatures, xml
from saml.errors import MetadataError, SamlError
from saml.keys import read_certificate
from saml.parties import IdentityProvider, ServiceProvider
from saml.publishing import identity_provider_metadata, service_provider_metadata

__all__ = [
    "IdentityProvider",
    "ServiceProvider",
    "identity_provider_by_hand",
    "identity_provider_metadata",
    "parse_identity_provider",
    "service_provider_metadata",
]

MAX_ENTITY_ID = 1024  # saml-metadata-2.0-os 2.2.1
MAX_URL = 2048
_WORDS = {
    "size": "The metadata is larger than 256 KiB.",
    "encoding": "The metadata is not UTF-8 text. Save the file as UTF-8 and upload it again.",
}


def parse_identity_provider(
    document: bytes | str, *, now: datetime | None = None, signed_by: Sequence[str] = ()
) -> IdentityProvider:
    """The one identity provider that a metadata document describes.

    Takes an EntityDescriptor or an EntitiesDescriptor, with a byte order mark or without. With certificates (PEM) in
    `signed_by` the document must be signed by one of them as a whole; without, a signature is not looked at: whoever
    uploads it vouches for it. `now` decides whether validUntil has passed (default: the real time). Raises
    MetadataError, in words for an administrator.
    """
    root = _read(document)
    if signed_by:
        _verify(root, signed_by)
    entity, role = _identity_provider_role(root)
    _check_expiry(role, now or datetime.now(UTC))
    sso = _service(role, "SingleSignOnService")
    if sso is None:
        raise MetadataError(
            "The metadata names no single sign-on service (SingleSignOnService) with the binding HTTP-Redirect "
            "or HTTP-POST."
        )
    slo = _service(role, "SingleLogoutService")
    return IdentityProvider(
        entity_id=_checked_entity_id(entity.get("entityID", "")),
        sso_url=_checked_url(sso[1].get("Location", ""), "single sign-on"),
        sso_binding=sso[0],
        certificates=_certificates(role),
        slo_url=_checked_url(slo[1].get("Location", ""), "single logout") if slo else None,
        slo_binding=slo[0] if slo else None,
        slo_response_url=_checked_url(slo[1].get("ResponseLocation", ""), "single logout response")
        if slo and slo[1].get("ResponseLocation")
        else None,
    )


def identity_provider_by_hand(*, entity_id: str, sso_url: str, certificate: str) -> IdentityProvider:
    """The same from a form; takes requests by HTTP-Redirect. Raises MetadataError with `field` set."""
    checked: dict[str, str] = {}
    for name, check, value in (
        ("entity_id", _checked_entity_id, entity_id),
        ("sso_url", _checked_url, sso_url),
        ("certificate", lambda text: read_certificate(text).pem, certificate),
    ):
        try:
            checked[name] = check(value.strip())
        except MetadataError as error:
            raise MetadataError(error.message, field=name) from error
    return IdentityProvider(
        entity_id=checked["entity_id"],
        sso_url=checked["sso_url"],
        sso_binding="HTTP-Redirect",
        certificates=(checked["certificate"],),
    )


def _read(document: bytes | str) -> etree._Element:
    data = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and len(data) <= 2 * xml.MAX_DOCUMENT:
        data = data.decode("utf-16", "replace").encode()
    if not data.strip():
        raise MetadataError("The metadata is empty.")
    try:
        root = xml.parse(data, comments=True)
    except SamlError as error:
        if error.reason == "xml" and "is not allowed" in error.detail:
            raise MetadataError(
                "The metadata has a document type, an entity or a processing instruction. SAML metadata "
                "needs none; download it again from the identity provider."
            ) from error
        words = "The metadata is not well-formed XML. Upload the file as the identity provider gave it."
        raise MetadataError(_WORDS.get(error.reason, words)) from error
    if xml.short(root.tag) not in ("md:EntityDescriptor", "md:EntitiesDescriptor"):
        raise MetadataError(
            "This is XML, but not SAML 2.0 metadata: its root is neither EntityDescriptor nor EntitiesDescriptor."
        )
    return root


def _identity_provider_role(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    protocol = xml.NAMESPACES["samlp"]
    found = [
        (entity, role)
        for entity in root.iter(xml.tag("md:EntityDescriptor"))
        for role in xml.find(entity, "md:IDPSSODescriptor")
        if protocol in role.get("protocolSupportEnumeration", "").split()
    ]
    if len(found) > 1:
        names = ", ".join(entity.get("entityID", "")[:100] for entity, _ in found[:3])
        raise MetadataError(
            f"The metadata describes {len(found)} identity providers ({names}). Upload the metadata of one."
        )
    if not found:
        service_provider = next(root.iter(xml.tag("md:SPSSODescriptor")), None) is not None
        raise MetadataError(
            "The metadata describes a service provider, not an identity provider (no IDPSSODescriptor)."
            if service_provider
            else "The metadata describes no SAML 2.0 identity provider (no IDPSSODescriptor)."
        )
    return found[0]


def _check_expiry(role: etree._Element, now: datetime) -> None:
    for element in (role, *role.iterancestors()):
        value = element.get("validUntil")
        if value is None:
            continue
        try:
            valid_until = xml.read_time(value, any_year=True)
        except SamlError as error:
            raise MetadataError("The validUntil of the metadata is not a time in UTC.") from error
        if valid_until <= now:
            raise MetadataError(
                f"The metadata was valid until {valid_until:%Y-%m-%d %H:%M} UTC. Download it again from the "
                "identity provider."
            )


def _service(role: etree._Element, name: str) -> tuple[str, etree._Element] | None:
    """Binding and element: HTTP-Redirect if there is one, else HTTP-POST."""
    services = xml.find(role, f"md:{name}")
    for uri, binding in xml.BINDINGS.items():
        for service in services:
            if service.get("Binding") == uri:
                return binding, service
    return None


def _verify(root: etree._Element, certificates: Sequence[str]) -> None:
    """The root is signed, hence all of the document, in one of the ways that a Response may be signed.

    Comments are gone from the tree; the canonical form that is signed has none.
    """
    if not xml.find(root, "ds:Signature"):
        raise MetadataError("The metadata is not signed. It must be, since a certificate for its signature is set.")
    try:
        for signature in xml.find(root, "ds:Signature"):
            shape.check_part(signature)
        _check_only_id(root)
        signatures.check_one(root)
        signatures.verify(root, certificates)
    except SamlError as error:
        raise MetadataError(
            "The signature of the metadata is not one that is accepted: RSA or ECDSA with SHA-256 or better, over the "
            f"whole document ({error.detail})."
            if error.reason != "signature"
            else "The signature of the metadata does not hold with the certificate that is set for it. If the identity "
            "provider has a new signing certificate for its metadata, compare its fingerprint and set that."
        ) from error


def _check_only_id(root: etree._Element) -> None:
    """What the signature refers to is the root and cannot be anything else, however ids are spelled."""
    name = root.get("ID")
    ids = [value for element in root.iter() for key, value in element.attrib.items() if _is_id(str(key))]
    if not name or ids.count(name) != 1:
        raise SamlError("shape", "the root has no ID, or shares it")


def _is_id(attribute: str) -> bool:
    return etree.QName(attribute).localname.lower() == "id"


def _certificates(role: etree._Element) -> tuple[str, ...]:
    """The first certificate of each key for signing: what follows in the same X509Data is its chain."""
    found = {
        read_certificate(xml.text(data[0])).pem: None
        for key in xml.find(role, "md:KeyDescriptor")
        if key.get("use", "signing") == "signing"
        for data in _x509_data(key)
    }
    if not found:
        raise MetadataError("The metadata has no certificate for signing (KeyDescriptor).")
    return tuple(found)


def _x509_data(key: etree._Element) -> Iterator[list[etree._Element]]:
    for data in xml.find(key, "ds:KeyInfo/ds:X509Data"):
        if certificates := xml.find(data, "ds:X509Certificate"):
            yield certificates


def _checked_entity_id(entity_id: str) -> str:
    if not entity_id:
        raise MetadataError("The entity id (entityID) is empty.")
    if len(entity_id) > MAX_ENTITY_ID:
        raise MetadataError(f"The entity id is longer than {MAX_ENTITY_ID} characters.")
    if _is_unsafe(entity_id):
        raise MetadataError("The entity id has blanks, control characters, quotes or angle brackets. Copy it exactly.")
    return entity_id


def _checked_url(url: str, what: str = "single sign-on") -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or len(url) > MAX_URL or _is_unsafe(url) or parts.fragment or "@" in parts.netloc:
        raise MetadataError(
            f"The {what} URL is not a web address: http or https, a host, at most "
            f"{MAX_URL} characters, no blanks, no user name, no fragment."
        )
    return url


def _is_unsafe(value: str) -> bool:
    return any(not character.isprintable() or character.isspace() or character in '<>"\\' for character in value)
