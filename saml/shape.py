"""The shape of a Response: what may be where. Everything else is refused before a signature is looked at.

Wrapping attacks move signed parts to places where one reader looks and another does not; expensive transforms
and references to files run before any key is asked. Both need elements that an honest answer does not have.
So this is an allow-list over the whole tree (schemas: saml-core-2.0-os, xmldsig-core1), and all later code
may rely on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from saml import xml
from saml.errors import SamlError

MAX_ID = 256


@dataclass(frozen=True)
class _Element:
    required: frozenset[str]
    allowed: frozenset[str]
    children: re.Pattern[str]
    text: bool
    foreign: bool


def _element(attributes: str = "", children: str = "", *, text: bool = False, foreign: bool = False) -> _Element:
    """`attributes`: names, `!` marks required ones. `children`: a pattern over prefixed names, in order.

    `text`: may hold text. `foreign`: attributes of namespaces we do not know are let through and never read.
    """
    names = attributes.split()
    return _Element(
        required=frozenset(name.rstrip("!") for name in names if name.endswith("!")),
        allowed=frozenset(name.rstrip("!") for name in names),
        children=re.compile(re.sub(r"\w+:\w+", r"(?:\g<0>;)", children).replace(" ", "")),
        text=text,
        foreign=foreign,
    )


def _text(attributes: str = "") -> _Element:
    return _element(attributes, text=True)


_NAME = "Format NameQualifier SPNameQualifier SPProvidedID"

_SHAPES = {
    "samlp:Response": _element(
        "ID! Version! IssueInstant! Destination InResponseTo Consent",
        "saml:Issuer ds:Signature? samlp:Status saml:Assertion",
    ),
    "samlp:Status": _element("", "samlp:StatusCode samlp:StatusMessage?"),
    "samlp:StatusCode": _element("Value!"),
    "samlp:StatusMessage": _text(),
    "saml:Assertion": _element(
        "ID! Version! IssueInstant!",
        "saml:Issuer ds:Signature? saml:Subject saml:Conditions (saml:AuthnStatement|saml:AttributeStatement)+",
    ),
    "saml:Issuer": _text(_NAME),
    "saml:Subject": _element("", "saml:NameID saml:SubjectConfirmation"),
    "saml:NameID": _text(_NAME),
    "saml:SubjectConfirmation": _element("Method!", "saml:SubjectConfirmationData"),
    "saml:SubjectConfirmationData": _element("NotOnOrAfter! Recipient! InResponseTo Address"),
    "saml:Conditions": _element(
        "NotBefore NotOnOrAfter", "saml:AudienceRestriction+ saml:OneTimeUse? saml:ProxyRestriction?"
    ),
    "saml:AudienceRestriction": _element("", "saml:Audience+"),
    "saml:Audience": _text(),
    "saml:OneTimeUse": _element(),
    "saml:ProxyRestriction": _element("Count", "saml:Audience*"),
    "saml:AuthnStatement": _element(
        "AuthnInstant! SessionIndex SessionNotOnOrAfter", "saml:SubjectLocality? saml:AuthnContext"
    ),
    "saml:SubjectLocality": _element("Address DNSName"),
    "saml:AuthnContext": _element(
        "", "saml:AuthnContextClassRef? saml:AuthnContextDeclRef? saml:AuthenticatingAuthority*"
    ),
    "saml:AuthnContextClassRef": _text(),
    "saml:AuthnContextDeclRef": _text(),
    "saml:AuthenticatingAuthority": _text(),
    "saml:AttributeStatement": _element("", "saml:Attribute+"),
    "saml:Attribute": _element("Name! NameFormat FriendlyName", "saml:AttributeValue*", foreign=True),
    "saml:AttributeValue": _element("xsi:type xsi:nil xml:lang", "saml:NameID?", text=True),
    "ds:Signature": _element("Id", "ds:SignedInfo ds:SignatureValue ds:KeyInfo?"),
    "ds:SignedInfo": _element("", "ds:CanonicalizationMethod ds:SignatureMethod ds:Reference"),
    "ds:CanonicalizationMethod": _element("Algorithm!"),
    "ds:SignatureMethod": _element("Algorithm!"),
    "ds:Reference": _element("URI!", "ds:Transforms ds:DigestMethod ds:DigestValue"),
    "ds:Transforms": _element("", "ds:Transform ds:Transform"),
    "ds:Transform": _element("Algorithm!", "ec:InclusiveNamespaces?"),
    "ec:InclusiveNamespaces": _element("PrefixList!"),
    "ds:DigestMethod": _element("Algorithm!"),
    "ds:DigestValue": _text(),
    "ds:SignatureValue": _text("Id"),
    "ds:KeyInfo": _element("Id", "(ds:KeyName|ds:KeyValue|ds:X509Data)+"),
    "ds:KeyName": _text(),
    "ds:KeyValue": _element("", "ds:RSAKeyValue"),
    "ds:RSAKeyValue": _element("", "ds:Modulus ds:Exponent"),
    "ds:Modulus": _text(),
    "ds:Exponent": _text(),
    "ds:X509Data": _element("", "(ds:X509Certificate|ds:X509SubjectName|ds:X509IssuerSerial|ds:X509SKI|ds:X509CRL)+"),
    "ds:X509Certificate": _text(),
    "ds:X509SubjectName": _text(),
    "ds:X509IssuerSerial": _element("", "ds:X509IssuerName ds:X509SerialNumber"),
    "ds:X509IssuerName": _text(),
    "ds:X509SerialNumber": _text(),
    "ds:X509SKI": _text(),
    "ds:X509CRL": _text(),
}


_ENCRYPTED = [xml.tag("saml:EncryptedAssertion"), xml.tag("saml:EncryptedID"), xml.tag("xenc:EncryptedData")]


def check(response: etree._Element) -> etree._Element:
    """The one assertion of a well-shaped, successful Response.

    Raises SamlError: shape, status, encrypted, assertions.
    """
    if xml.short(response.tag) != "samlp:Response":
        raise SamlError("shape", f"{xml.short(response.tag)[:100]} is not a Response")
    _check_status(response)
    if next(response.iter(*_ENCRYPTED), None) is not None:
        raise SamlError("encrypted", "encrypted assertions, names and attributes are not supported")
    assertions = list(response.iter(xml.tag("saml:Assertion")))
    if len(assertions) != 1:
        raise SamlError("assertions", f"{len(assertions)} assertions, exactly one is allowed")
    _check_element(response)
    _check_ids(response)
    return assertions[0]


def _check_ids(response: etree._Element) -> None:
    """No two elements answer to one id, however it is spelled."""
    ids = [value for element in response.iter() for name in ("ID", "Id") if (value := element.get(name)) is not None]
    if len(set(ids)) < len(ids) or not all(0 < len(value) <= MAX_ID for value in ids):
        raise SamlError("shape", "ids that are equal, empty or too long")


def _check_status(response: etree._Element) -> None:
    codes = xml.find(response, "samlp:Status/samlp:StatusCode")
    if len(codes) != 1:
        raise SamlError("shape", "no Status")
    if codes[0].get("Value") != xml.STATUS_SUCCESS:
        second = [code.get("Value", "") for code in xml.find(codes[0], "samlp:StatusCode")]
        message = [xml.text(element) for element in xml.find(response, "samlp:Status/samlp:StatusMessage")]
        raise SamlError("status", " ".join([codes[0].get("Value", ""), *second, *message])[:500])


def _check_element(element: etree._Element) -> None:
    name = xml.short(element.tag)
    shape = _SHAPES.get(name)
    if shape is None:
        raise SamlError("shape", f"{name[:100]} has no place in a Response")
    _check_attributes(element, name, shape)
    texts = [element.text, *(child.tail for child in element)]
    if not shape.text and any(part and not part.isspace() for part in texts):
        raise SamlError("shape", f"text between the elements of {name}")
    if not shape.children.fullmatch("".join(f"{xml.short(child.tag)};" for child in element)):
        raise SamlError("shape", f"{name} has other children than expected")
    for child in element:
        _check_element(child)


def _check_attributes(element: etree._Element, name: str, shape: _Element) -> None:
    present = {xml.short(str(key)) for key in element.attrib}
    missing = shape.required - present
    if missing:
        raise SamlError("shape", f"{name} lacks {', '.join(sorted(missing))}")
    for extra in present - shape.allowed:
        if not (shape.foreign and extra.startswith("{")):
            raise SamlError("shape", f"{name} has the attribute {extra[:100]}")
