"""The elements of the messages we take: their attributes, and their children in order.

Schemas: saml-core-2.0-os, xmldsig-core1, xmlenc-core1. What is left out is left out on purpose: extensions, advice,
other confirmations, transforms with parameters, manifests, objects, cipher references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Element:
    required: frozenset[str]
    allowed: frozenset[str]
    children: re.Pattern[str]
    text: bool
    foreign: bool


def _element(attributes: str = "", children: str = "", *, text: bool = False, foreign: bool = False) -> Element:
    """`attributes`: names, `!` marks required ones. `children`: a pattern over prefixed names, in order.

    `text`: may hold text. `foreign`: attributes of namespaces we do not know are let through and never read.
    """
    names = attributes.split()
    return Element(
        required=frozenset(name.rstrip("!") for name in names if name.endswith("!")),
        allowed=frozenset(name.rstrip("!") for name in names),
        children=re.compile(re.sub(r"\w+:\w+", r"(?:\g<0>;)", children).replace(" ", "")),
        text=text,
        foreign=foreign,
    )


def _text(attributes: str = "") -> Element:
    return _element(attributes, text=True)


_NAME = "Format NameQualifier SPNameQualifier SPProvidedID"

ELEMENTS = {
    "samlp:Response": _element(
        "ID! Version! IssueInstant! Destination InResponseTo Consent",
        "saml:Issuer ds:Signature? samlp:Status (saml:Assertion|saml:EncryptedAssertion)",
    ),
    "samlp:Status": _element("", "samlp:StatusCode samlp:StatusMessage?"),
    "samlp:StatusCode": _element("Value!", "samlp:StatusCode?"),
    "samlp:StatusMessage": _text(),
    "samlp:LogoutRequest": _element(
        "ID! Version! IssueInstant! Destination Consent NotOnOrAfter Reason",
        "saml:Issuer ds:Signature? saml:NameID samlp:SessionIndex*",
    ),
    "samlp:SessionIndex": _text(),
    "samlp:LogoutResponse": _element(
        "ID! Version! IssueInstant! Destination Consent InResponseTo", "saml:Issuer ds:Signature? samlp:Status"
    ),
    "saml:Assertion": _element(
        "ID! Version! IssueInstant!",
        "saml:Issuer ds:Signature? saml:Subject saml:Conditions"
        " saml:AttributeStatement* saml:AuthnStatement saml:AttributeStatement*",
    ),
    "saml:Issuer": _text(_NAME),
    "saml:Subject": _element("", "saml:NameID? saml:SubjectConfirmation"),
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
    "saml:EncryptedAssertion": _element("", "xenc:EncryptedData xenc:EncryptedKey?"),
    "xenc:EncryptedData": _element("Id Type MimeType Encoding", "xenc:EncryptionMethod ds:KeyInfo? xenc:CipherData"),
    "xenc:EncryptedData/ds:KeyInfo": _element("Id", "xenc:EncryptedKey|ds:RetrievalMethod"),
    "ds:RetrievalMethod": _element("URI! Type"),
    "xenc:EncryptedKey": _element(
        "Id Recipient Type MimeType Encoding",
        "xenc:EncryptionMethod ds:KeyInfo? xenc:CipherData xenc:ReferenceList? xenc:CarriedKeyName?",
    ),
    "xenc:EncryptionMethod": _element("Algorithm!", "(ds:DigestMethod xenc11:MGF?|xenc11:MGF ds:DigestMethod?)?"),
    "xenc11:MGF": _element("Algorithm!"),
    "xenc:CipherData": _element("", "xenc:CipherValue"),
    "xenc:CipherValue": _text(),
    "xenc:ReferenceList": _element("", "xenc:DataReference"),
    "xenc:DataReference": _element("URI!"),
    "xenc:CarriedKeyName": _text(),
}
"""By prefixed name; `parent/name` where an element is another one inside that parent."""
