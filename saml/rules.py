"""What an assertion must say to count for us, now. Pure comparisons on a tree that passed shape.check.

Sources: saml-profiles-2.0-os 4.1.4.2 and 4.1.4.3 (web browser SSO), saml-core-2.0-os 2.4 and 2.5.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from lxml import etree

from saml import xml
from saml.errors import SamlError
from saml.parties import IdentityProvider, ServiceProvider

MAX_AGE = timedelta(minutes=10)
"""How long after its IssueInstant an assertion may arrive."""
MAX_NAME_ID = 256
MAX_SESSION_INDEX = 1024
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True)
class Assertion:
    """What a verified assertion says. Times are UTC and time zone aware."""

    id: str
    response_id: str
    issuer: str
    name_id: str
    name_id_format: str
    attributes: Mapping[str, tuple[str, ...]]
    """By attribute name, in document order; values of a repeated name are joined."""
    in_response_to: str | None
    not_on_or_after: datetime
    """Remember `id` (per issuer) until then, skew included: before, the same assertion is taken again."""
    session_not_on_or_after: datetime | None
    session_index: str | None


@dataclass(frozen=True)
class Expected:
    """What the caller knows and the message must agree with."""

    sp: ServiceProvider
    idp: IdentityProvider
    request_id: str | None
    now: datetime
    skew: timedelta


def read(response: etree._Element, assertion: etree._Element, expected: Expected) -> Assertion:
    """Check every rule and give back what the assertion says. Raises SamlError, its reason is the rule."""
    confirmation = xml.find(assertion, "saml:Subject/saml:SubjectConfirmation")[0]
    data = xml.find(confirmation, "saml:SubjectConfirmationData")[0]
    statement = _authentication(assertion)
    _check_versions(response, assertion)
    _check_addressing(response, assertion, data, expected)
    if confirmation.get("Method") != xml.METHOD_BEARER:
        raise SamlError("shape", "the subject confirmation is not of the bearer kind")
    ends = _check_times(response, assertion, data, expected)
    session_end = _optional_time(statement, "SessionNotOnOrAfter")
    if session_end and session_end <= expected.now - expected.skew:
        raise SamlError("expired", "SessionNotOnOrAfter")
    session_index = statement.get("SessionIndex")
    if len(session_index or "") > MAX_SESSION_INDEX:
        raise SamlError("shape", "SessionIndex is too long")
    name = xml.find(assertion, "saml:Subject/saml:NameID")[0]
    return Assertion(
        id=assertion.get("ID", ""),
        response_id=response.get("ID", ""),
        issuer=expected.idp.entity_id,
        name_id=_name_id(name, expected.sp),
        name_id_format=name.get("Format", xml.NAME_ID_UNSPECIFIED),
        attributes=MappingProxyType(_attributes(assertion)),
        in_response_to=response.get("InResponseTo"),
        not_on_or_after=ends,
        session_not_on_or_after=session_end,
        session_index=session_index,
    )


def _authentication(assertion: etree._Element) -> etree._Element:
    statements = xml.find(assertion, "saml:AuthnStatement")
    if len(statements) != 1:
        raise SamlError("shape", "not exactly one AuthnStatement")
    return statements[0]


def _check_versions(*elements: etree._Element) -> None:
    if any(element.get("Version") != "2.0" for element in elements):
        raise SamlError("shape", "not SAML 2.0")


def _check_addressing(
    response: etree._Element, assertion: etree._Element, data: etree._Element, expected: Expected
) -> None:
    """From whom, to whom, in answer to what: exact comparisons, in both the outer and the inner place."""
    for owner in (response, assertion):
        issuer = xml.text(xml.find(owner, "saml:Issuer")[0])
        if issuer != expected.idp.entity_id:
            raise SamlError("issuer", f"{issuer[:300]!r} instead of {expected.idp.entity_id!r}")
    for reason, value in (("destination", response.get("Destination")), ("recipient", data.get("Recipient"))):
        if value != expected.sp.acs_url:
            raise SamlError(reason, f"{(value or '')[:300]!r} instead of {expected.sp.acs_url!r}")
    for value in (response.get("InResponseTo"), data.get("InResponseTo")):
        if value != expected.request_id:
            raise SamlError("in-response-to", f"{(value or '')[:300]!r} instead of {expected.request_id!r}")
    for restriction in xml.find(assertion, "saml:Conditions/saml:AudienceRestriction"):
        audiences = [xml.text(audience) for audience in xml.find(restriction, "saml:Audience")]
        if expected.sp.entity_id not in audiences:
            raise SamlError("audience", f"{audiences} instead of {expected.sp.entity_id!r}"[:500])


def _check_times(
    response: etree._Element, assertion: etree._Element, data: etree._Element, expected: Expected
) -> datetime:
    """Until when, skew included, this same assertion would be accepted."""
    conditions = xml.find(assertion, "saml:Conditions")[0]
    latest, earliest = expected.now + expected.skew, expected.now - expected.skew
    starts = [_time(response, "IssueInstant"), _time(assertion, "IssueInstant")]
    ends = [_time(data, "NotOnOrAfter"), *(start + MAX_AGE for start in starts)]
    if not_before := _optional_time(conditions, "NotBefore"):
        starts.append(not_before)
    if not_on_or_after := _optional_time(conditions, "NotOnOrAfter"):
        ends.append(not_on_or_after)
    if max(starts) > latest:
        raise SamlError("not-yet-valid", f"starts {max(starts)}, it is {expected.now}")
    if min(ends) <= earliest:
        raise SamlError("expired", f"ended {min(ends)}, it is {expected.now}")
    return min(ends) + expected.skew


def _time(element: etree._Element, attribute: str) -> datetime:
    return xml.read_time(element.get(attribute))


def _optional_time(element: etree._Element, attribute: str) -> datetime | None:
    return _time(element, attribute) if element.get(attribute) is not None else None


def _name_id(element: etree._Element, sp: ServiceProvider) -> str:
    """A name that may be compared with user names: nothing invisible or that turns the reading order."""
    name = xml.text(element)
    if element.get("Format") == xml.NAME_ID_TRANSIENT:
        raise SamlError("name-id", "a transient name differs at every sign-in")
    if element.get("SPNameQualifier", sp.entity_id) != sp.entity_id:
        raise SamlError("name-id", "the name is meant for another service provider")
    if not name or len(name) > MAX_NAME_ID:
        raise SamlError("name-id", f"{len(name)} characters, 1 to {MAX_NAME_ID} are allowed")
    if name != name.strip() or any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        raise SamlError("name-id", f"{name!a} has blanks at its ends or characters that cannot be seen")
    return name


def _attributes(assertion: etree._Element) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for attribute in xml.find(assertion, "saml:AttributeStatement/saml:Attribute"):
        found = tuple(_value(element) for element in xml.find(attribute, "saml:AttributeValue"))
        name = attribute.get("Name", "")
        values[name] = values.get(name, ()) + found
    return values


def _value(element: etree._Element) -> str:
    """The text; of a value that is itself a NameID (eduPersonTargetedID) the text of that."""
    nested = xml.find(element, "saml:NameID")
    return xml.text(nested[0] if nested else element)
