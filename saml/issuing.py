"""The identity provider's side: signed answers for the accounts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lxml import etree

from saml import signatures, xml
from saml.service_provider import new_id

MAX_RESPONSE = 100_000
"""Characters of base64 that the clouds take at most (AssumeRoleWithSAML)."""

_PREFIXES = {prefix: xml.NAMESPACES[prefix] for prefix in ("samlp", "saml")}
_EARLIER = timedelta(minutes=1)
_CLASS = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
_NAME_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"


def issue_response(
    *,
    issuer: str,
    recipient: str,
    audience: str,
    name_id: str,
    name_id_format: str = xml.NAME_ID_UNSPECIFIED,
    attributes: Mapping[str, Sequence[str]],
    in_response_to: str | None,
    private_key: str,
    certificate: str,
    now: datetime,
    lifetime: timedelta = timedelta(minutes=5),
    session_not_on_or_after: datetime | None = None,
) -> str:
    """A Response for the form field SAMLResponse (base64), to be posted to `recipient`.

    Assertion and Response are both signed with RSA-SHA256; one bearer confirmation, one audience; valid from
    a minute back until `lifetime` from now. Leave `in_response_to` None when nobody asked (IdP-initiated).
    `session_not_on_or_after` ends the session at the other side. Raises ValueError for characters that XML
    cannot carry (control characters, lone surrogates) in any value, and for values too long for MAX_RESPONSE.
    """
    issued = xml.write_time(now)
    until = xml.write_time(now + lifetime)
    answer = {"InResponseTo": in_response_to} if in_response_to else {}
    identity = {"Version": "2.0", "IssueInstant": issued}

    response = etree.Element(
        xml.tag("samlp:Response"),
        {"ID": new_id(), **identity, "Destination": recipient, **answer},
        nsmap=_PREFIXES,
    )
    _add(response, "saml:Issuer", text=issuer)
    _add(_add(response, "samlp:Status"), "samlp:StatusCode", Value=xml.STATUS_SUCCESS)
    assertion = _add(response, "saml:Assertion", ID=new_id(), **identity)
    _add(assertion, "saml:Issuer", text=issuer)

    subject = _add(assertion, "saml:Subject")
    _add(subject, "saml:NameID", text=name_id, Format=name_id_format)
    confirmation = _add(subject, "saml:SubjectConfirmation", Method=xml.METHOD_BEARER)
    _add(confirmation, "saml:SubjectConfirmationData", NotOnOrAfter=until, Recipient=recipient, **answer)

    conditions = _add(assertion, "saml:Conditions", NotBefore=xml.write_time(now - _EARLIER), NotOnOrAfter=until)
    _add(_add(conditions, "saml:AudienceRestriction"), "saml:Audience", text=audience)

    session = {"SessionIndex": new_id()}
    if session_not_on_or_after:
        session["SessionNotOnOrAfter"] = xml.write_time(session_not_on_or_after)
    statement = _add(assertion, "saml:AuthnStatement", AuthnInstant=issued, **session)
    _add(_add(statement, "saml:AuthnContext"), "saml:AuthnContextClassRef", text=_CLASS)

    if attributes:
        _add_attributes(assertion, attributes)
    signatures.sign(assertion, private_key, certificate)
    signatures.sign(response, private_key, certificate)
    encoded = base64.b64encode(etree.tostring(response, encoding="utf-8")).decode()
    if len(encoded) > MAX_RESPONSE:
        raise ValueError(f"the response has {len(encoded)} characters, at most {MAX_RESPONSE} are taken")
    return encoded


def _add(parent: etree._Element, name: str, *, text: str | None = None, **attributes: str) -> etree._Element:
    child = etree.SubElement(parent, xml.tag(name), attributes)
    child.text = text
    return child


def _add_attributes(assertion: etree._Element, attributes: Mapping[str, Sequence[str]]) -> None:
    statement = _add(assertion, "saml:AttributeStatement")
    for name, values in attributes.items():
        attribute = _add(statement, "saml:Attribute", Name=name, NameFormat=_NAME_FORMAT)
        for value in values:
            _add(attribute, "saml:AttributeValue", text=value)
