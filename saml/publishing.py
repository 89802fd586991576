"""Our own metadata (saml-metadata-2.0-os): towards identity providers, and towards accounts."""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from saml import xml
from saml.encryption import RSA_OAEP_MGF1P
from saml.keys import read_certificate
from saml.parties import ServiceProvider

_ENCRYPTION = (*(f"{xml.NAMESPACES['xenc11']}aes{bits}-gcm" for bits in (256, 128)), RSA_OAEP_MGF1P)


def service_provider_metadata(sp: ServiceProvider) -> str:
    """What an identity provider's administrator uploads there.

    Every certificate of `sp` is in it, the current one first, for signatures and for encryption, with the ways to
    encrypt that we like best (see saml/encryption.py). Without validUntil and cacheDuration: it describes a
    configuration, and identity providers that honour an end would stop trusting us then.
    """
    entity = _entity(sp.entity_id)
    role = etree.SubElement(
        entity,
        xml.tag("md:SPSSODescriptor"),
        {
            "AuthnRequestsSigned": "true" if sp.sign_requests else "false",
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": xml.NAMESPACES["samlp"],
        },
    )
    certificates = [pair.certificate for pair in sp.keys]
    _add_keys(role, certificates)
    _add_keys(role, certificates, use="encryption")
    if sp.slo_url:
        for binding in xml.BINDINGS:
            etree.SubElement(role, xml.tag("md:SingleLogoutService"), {"Binding": binding, "Location": sp.slo_url})
    _add_name_id_formats(role)
    etree.SubElement(
        role,
        xml.tag("md:AssertionConsumerService"),
        {"Binding": xml.BINDING_POST, "Location": sp.acs_url, "index": "1", "isDefault": "true"},
    )
    return _serialized(entity)


def identity_provider_metadata(
    *, entity_id: str, sso_url: str, certificates: Sequence[str], slo_url: str | None = None
) -> str:
    """Our own metadata towards the accounts; `certificates` (PEM) are those that may sign."""
    entity = _entity(entity_id)
    role = etree.SubElement(
        entity,
        xml.tag("md:IDPSSODescriptor"),
        {"WantAuthnRequestsSigned": "false", "protocolSupportEnumeration": xml.NAMESPACES["samlp"]},
    )
    _add_keys(role, certificates)
    if slo_url:
        redirect = {"Binding": xml.BINDING_REDIRECT, "Location": slo_url}
        etree.SubElement(role, xml.tag("md:SingleLogoutService"), redirect)
    _add_name_id_formats(role)
    for binding in xml.BINDINGS:
        etree.SubElement(role, xml.tag("md:SingleSignOnService"), {"Binding": binding, "Location": sso_url})
    return _serialized(entity)


def _entity(entity_id: str) -> etree._Element:
    prefixes = {prefix: xml.NAMESPACES[prefix] for prefix in ("md", "ds")}
    return etree.Element(xml.tag("md:EntityDescriptor"), {"entityID": entity_id}, nsmap=prefixes)


def _add_keys(role: etree._Element, certificates: Sequence[str], *, use: str = "signing") -> None:
    for certificate in certificates:
        key = etree.SubElement(role, xml.tag("md:KeyDescriptor"), {"use": use})
        data = etree.SubElement(etree.SubElement(key, xml.tag("ds:KeyInfo")), xml.tag("ds:X509Data"))
        lines = read_certificate(certificate).pem.strip().splitlines()[1:-1]
        etree.SubElement(data, xml.tag("ds:X509Certificate")).text = "".join(lines)
        for algorithm in _ENCRYPTION if use == "encryption" else ():
            etree.SubElement(key, xml.tag("md:EncryptionMethod"), {"Algorithm": algorithm})


def _add_name_id_formats(role: etree._Element) -> None:
    for name_format in (xml.NAME_ID_UNSPECIFIED, xml.NAME_ID_EMAIL, xml.NAME_ID_PERSISTENT):
        etree.SubElement(role, xml.tag("md:NameIDFormat")).text = name_format


def _serialized(entity: etree._Element) -> str:
    etree.indent(entity)
    body = etree.tostring(entity, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
