"""Metadata: theirs, read with suspicion, and ours (saml-metadata-2.0-os)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from lxml import etree

from saml import xml
from saml.errors import MetadataError, SamlError
from saml.keys import read_certificate
from saml.parties import IdentityProvider, ServiceProvider

__all__ = [
    "IdentityProvider",
    "identity_provider_by_hand",
    "identity_provider_metadata",
    "parse_identity_provider",
    "service_provider_metadata",
]

MAX_ENTITY_ID = 1024  # saml-metadata-2.0-os 2.2.1
MAX_URL = 2048
_BINDINGS = {xml.BINDING_REDIRECT: "HTTP-Redirect", xml.BINDING_POST: "HTTP-POST"}
_WORDS = {
    "size": "The metadata is larger than 256 KiB.",
    "encoding": "The metadata is not UTF-8 text. Save the file as UTF-8 and upload it again.",
}


def parse_identity_provider(document: bytes | str, *, now: datetime | None = None) -> IdentityProvider:
    """The one identity provider that a metadata document describes.

    Takes an EntityDescriptor or an EntitiesDescriptor, with a byte order mark or without. A signature of the
    document is not verified: whoever uploads it vouches for it. `now` decides whether validUntil has passed
    (default: the real time). Raises MetadataError, in words for an administrator.
    """
    root = _read(document)
    entity, role = _identity_provider_role(root)
    _check_expiry(role, now or datetime.now(UTC))
    binding, sso_url = _sso_service(role)
    return IdentityProvider(
        entity_id=_checked_entity_id(entity.get("entityID", "")),
        sso_url=_checked_url(sso_url),
        sso_binding=binding,
        certificates=_certificates(role),
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
            valid_until = xml.read_time(value)
        except SamlError as error:
            raise MetadataError("The validUntil of the metadata is not a time in UTC.") from error
        if valid_until <= now:
            raise MetadataError(
                f"The metadata was valid until {valid_until:%Y-%m-%d %H:%M} UTC. Download it again from the "
                "identity provider."
            )


def _sso_service(role: etree._Element) -> tuple[str, str]:
    """Binding and location: HTTP-Redirect if there is one, else HTTP-POST."""
    services = xml.find(role, "md:SingleSignOnService")
    for uri, binding in _BINDINGS.items():
        for service in services:
            if service.get("Binding") == uri:
                return binding, service.get("Location", "")
    raise MetadataError(
        "The metadata names no single sign-on service (SingleSignOnService) with the binding HTTP-Redirect "
        "or HTTP-POST."
    )


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


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or len(url) > MAX_URL or _is_unsafe(url) or parts.fragment or "@" in parts.netloc:
        raise MetadataError(
            "The single sign-on URL is not a web address: http or https, a host, at most "
            f"{MAX_URL} characters, no blanks, no user name, no fragment."
        )
    return url


def _is_unsafe(value: str) -> bool:
    return any(not character.isprintable() or character.isspace() or character in '<>"\\' for character in value)


def service_provider_metadata(sp: ServiceProvider) -> str:
    """What an identity provider's administrator uploads there.

    Without validUntil and cacheDuration: it describes a configuration, and identity providers that honour an
    end would stop trusting us then.
    """
    entity = _entity(sp.entity_id)
    role = etree.SubElement(
        entity,
        xml.tag("md:SPSSODescriptor"),
        {
            "AuthnRequestsSigned": "true" if sp.private_key else "false",
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": xml.NAMESPACES["samlp"],
        },
    )
    _add_keys(role, [sp.certificate] if sp.certificate else [])
    _add_name_id_formats(role)
    etree.SubElement(
        role,
        xml.tag("md:AssertionConsumerService"),
        {"Binding": xml.BINDING_POST, "Location": sp.acs_url, "index": "1", "isDefault": "true"},
    )
    return _serialized(entity)


def identity_provider_metadata(*, entity_id: str, sso_url: str, certificates: Sequence[str]) -> str:
    """Our own metadata towards the accounts; `certificates` (PEM) are those that may sign."""
    entity = _entity(entity_id)
    role = etree.SubElement(
        entity,
        xml.tag("md:IDPSSODescriptor"),
        {"WantAuthnRequestsSigned": "false", "protocolSupportEnumeration": xml.NAMESPACES["samlp"]},
    )
    _add_keys(role, certificates)
    _add_name_id_formats(role)
    for binding in _BINDINGS:
        etree.SubElement(role, xml.tag("md:SingleSignOnService"), {"Binding": binding, "Location": sso_url})
    return _serialized(entity)


def _entity(entity_id: str) -> etree._Element:
    prefixes = {prefix: xml.NAMESPACES[prefix] for prefix in ("md", "ds")}
    return etree.Element(xml.tag("md:EntityDescriptor"), {"entityID": entity_id}, nsmap=prefixes)


def _add_keys(role: etree._Element, certificates: Sequence[str]) -> None:
    for certificate in certificates:
        key = etree.SubElement(role, xml.tag("md:KeyDescriptor"), {"use": "signing"})
        data = etree.SubElement(etree.SubElement(key, xml.tag("ds:KeyInfo")), xml.tag("ds:X509Data"))
        lines = read_certificate(certificate).pem.strip().splitlines()[1:-1]
        etree.SubElement(data, xml.tag("ds:X509Certificate")).text = "".join(lines)


def _add_name_id_formats(role: etree._Element) -> None:
    for name_format in (xml.NAME_ID_UNSPECIFIED, xml.NAME_ID_EMAIL, xml.NAME_ID_PERSISTENT):
        etree.SubElement(role, xml.tag("md:NameIDFormat")).text = name_format


def _serialized(entity: etree._Element) -> str:
    etree.indent(entity)
    body = etree.tostring(entity, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
