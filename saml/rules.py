"""What an assertion must say to count for us, now. Pure comparisons on a tree that passed shape.check_response.

Each rule is a function of its own, so that all can be told apart and none hides another; it gives back, in words, what
it found. Sources: saml-profiles-2.0-os 4.1.4.2 and 4.1.4.3 (web browser SSO), saml-core-2.0-os 2.4 and 2.5.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
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
_NAME_ID = "saml:Subject/saml:NameID"
_NO_NAME = etree.Element(xml.tag("saml:NameID"))
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True)
class Assertion:
    """What a verified assertion says. Times are UTC and time zone aware."""

    id: str
    response_id: str
    issuer: str
    name_id: str
    """Empty where the assertion has none, which only a username attribute allows: then there is no single logout."""
    name_id_format: str
    attributes: Mapping[str, tuple[str, ...]]
    """By attribute name, in document order; values of a repeated name are joined."""
    in_response_to: str | None
    not_on_or_after: datetime
    """Remember `id` (per issuer) until then, skew included: before, the same assertion is taken again."""
    session_not_on_or_after: datetime | None
    session_index: str | None
    name_qualifier: str | None = None
    sp_name_qualifier: str | None = None
    """With the name and its format they say who is meant in a LogoutRequest."""
    username: str = ""
    """Who signs in: the NameID, or the value of the attribute that was named for it."""


@dataclass(frozen=True)
class Expected:
    """What the caller knows and the message must agree with."""

    sp: ServiceProvider
    idp: IdentityProvider
    request_id: str | None
    now: datetime
    skew: timedelta
    username_attribute: str = ""
    """The attribute (by its Name) that tells who signs in; empty: the NameID does."""
    authenticated_after: datetime | None = None
    """When the request was made that asked to authenticate anew (ForceAuthn); None: an earlier sign-in will do."""
    encrypted_only: bool = False
    """Refuse an assertion in clear."""


@dataclass(frozen=True)
class Judged:
    """The two messages that are judged, and what they are judged by."""

    response: etree._Element
    assertion: etree._Element
    expected: Expected

    def the(self, path: str) -> etree._Element:
        """The one element at a path below the assertion."""
        return xml.find(self.assertion, path)[0]

    @property
    def confirmation_data(self) -> etree._Element:
        return self.the("saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData")


def _check_version(judged: Judged) -> str:
    if any(element.get("Version") != "2.0" for element in (judged.response, judged.assertion)):
        raise SamlError("shape", "not SAML 2.0")
    return "SAML 2.0"


def _check_issuer(judged: Judged) -> str:
    for owner in (judged.response, judged.assertion):
        check_issuer(owner, judged.expected.idp)
    return judged.expected.idp.entity_id


def check_issuer(message: etree._Element, idp: IdentityProvider) -> None:
    check_equal("issuer", xml.text(xml.find(message, "saml:Issuer")[0]), idp.entity_id)


def _check_destination(judged: Judged) -> str:
    return check_equal("destination", judged.response.get("Destination"), judged.expected.sp.acs_url)


def _check_recipient(judged: Judged) -> str:
    return check_equal("recipient", judged.confirmation_data.get("Recipient"), judged.expected.sp.acs_url)


def _check_in_response_to(judged: Judged) -> str:
    """In both places: python3-saml takes an answer whose outer, unsigned InResponseTo was taken away."""
    expected = judged.expected.request_id
    for element in (judged.response, judged.confirmation_data):
        check_equal("in-response-to", element.get("InResponseTo"), expected)
    return expected or "started by the identity provider"


def check_equal(reason: str, value: str | None, expected: str | None) -> str:
    if value != expected:
        raise SamlError(reason, f"{(value or '')[:300]!r} instead of {expected!r}")
    return value or ""


def _check_audience(judged: Judged) -> str:
    for restriction in xml.find(judged.assertion, "saml:Conditions/saml:AudienceRestriction"):
        audiences = [xml.text(audience) for audience in xml.find(restriction, "saml:Audience")]
        if judged.expected.sp.entity_id not in audiences:
            raise SamlError("audience", f"{audiences} instead of {judged.expected.sp.entity_id!r}"[:500])
    return judged.expected.sp.entity_id


def _check_confirmation(judged: Judged) -> str:
    if judged.the("saml:Subject/saml:SubjectConfirmation").get("Method") != xml.METHOD_BEARER:
        raise SamlError("shape", "the subject confirmation is not of the bearer kind")
    return "bearer"


def _check_start(judged: Judged) -> str:
    starts = [_time(judged.response, "IssueInstant"), _time(judged.assertion, "IssueInstant")]
    if not_before := _optional_time(judged.the("saml:Conditions"), "NotBefore"):
        starts.append(not_before)
    if max(starts) > judged.expected.now + judged.expected.skew:
        raise SamlError("not-yet-valid", f"starts {max(starts)}, it is {judged.expected.now}")
    return f"since {max(starts)}"


def _check_end(judged: Judged) -> str:
    end = _end(judged)
    if end <= judged.expected.now - judged.expected.skew:
        raise SamlError("expired", f"ended {end}, it is {judged.expected.now}")
    return f"until {end}"


def _end(judged: Judged) -> datetime:
    issued = [_time(judged.response, "IssueInstant"), _time(judged.assertion, "IssueInstant")]
    ends = [_time(judged.confirmation_data, "NotOnOrAfter"), *(start + MAX_AGE for start in issued)]
    if not_on_or_after := _optional_time(judged.the("saml:Conditions"), "NotOnOrAfter"):
        ends.append(not_on_or_after)
    return min(ends)


def _check_session(judged: Judged) -> str:
    statement = judged.the("saml:AuthnStatement")
    end = _session_end(statement)
    if end and end <= judged.expected.now:  # no skew: ours would be over as soon as it began, and be asked for again
        raise SamlError("session-over", f"the session ended {end}, it is {judged.expected.now}")
    if len(statement.get("SessionIndex", "")) > MAX_SESSION_INDEX:
        raise SamlError("shape", "SessionIndex is too long")
    return f"until {end}" if end else "no end is set"


def _check_authentication(judged: Judged) -> str:
    """saml-core-2.0-os 3.4.1: ForceAuthn asks, and only AuthnInstant tells whether it was done."""
    expected = judged.expected
    if expected.authenticated_after is None:
        return "may be earlier than the request"
    instant = _time(judged.the("saml:AuthnStatement"), "AuthnInstant")
    if instant < expected.authenticated_after - expected.skew:
        raise SamlError("authentication", f"was at {instant}, asked for anew at {expected.authenticated_after}")
    if instant > expected.now + expected.skew:
        raise SamlError("authentication", f"is to be at {instant}, it is {expected.now}")
    return f"at {instant}"


def _check_name_id(judged: Judged) -> str:
    """A name that does not last, or none, is enough where an attribute tells who it is."""
    by_attribute, names = judged.expected.username_attribute, xml.find(judged.assertion, _NAME_ID)
    if not names:
        if not by_attribute:
            raise SamlError("name-id", "there is none, and no attribute is chosen as the username")
        return "there is none"
    if names[0].get("Format") == xml.NAME_ID_TRANSIENT and not by_attribute:
        raise SamlError("name-id", "a transient name differs at every sign-in")
    return read_name_id(names[0], judged.expected.sp)


def _check_username(judged: Judged) -> str:
    if not judged.expected.username_attribute:
        return "the NameID"
    return _username(judged.expected.username_attribute, _attributes(judged.assertion))


def _username(attribute: str, attributes: Mapping[str, tuple[str, ...]]) -> str:
    if attribute not in attributes:
        raise SamlError("username", f"no attribute {attribute!r}, only {', '.join(attributes) or 'none'}"[:500])
    values = attributes[attribute]
    if len(values) != 1:
        raise SamlError("username", f"the attribute {attribute!r} has {len(values)} values instead of one"[:500])
    check_readable("username", values[0])
    return values[0]


Rule = Callable[[Judged], str]
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "version": _check_version,
        "issuer": _check_issuer,
        "destination": _check_destination,
        "recipient": _check_recipient,
        "in-response-to": _check_in_response_to,
        "audience": _check_audience,
        "confirmation": _check_confirmation,
        "not-before": _check_start,
        "not-on-or-after": _check_end,
        "session": _check_session,
        "authentication": _check_authentication,
        "name-id": _check_name_id,
        "username": _check_username,
    }
)


def read(judged: Judged) -> Assertion:
    """What the assertion says, once every rule holds."""
    statement = judged.the("saml:AuthnStatement")
    name = next(iter(xml.find(judged.assertion, _NAME_ID)), _NO_NAME)
    attributes, by_attribute = _attributes(judged.assertion), judged.expected.username_attribute
    return Assertion(
        id=judged.assertion.get("ID", ""),
        response_id=judged.response.get("ID", ""),
        issuer=judged.expected.idp.entity_id,
        name_id=xml.text(name),
        name_id_format=name.get("Format", xml.NAME_ID_UNSPECIFIED),
        attributes=MappingProxyType(attributes),
        in_response_to=judged.response.get("InResponseTo"),
        not_on_or_after=_end(judged) + judged.expected.skew,
        session_not_on_or_after=_session_end(statement),
        session_index=statement.get("SessionIndex"),
        name_qualifier=name.get("NameQualifier"),
        sp_name_qualifier=name.get("SPNameQualifier"),
        username=_username(by_attribute, attributes) if by_attribute else xml.text(name),
    )


def _session_end(statement: etree._Element) -> datetime | None:
    end = statement.get("SessionNotOnOrAfter")
    return None if end is None else xml.read_time(end, any_year=True)


def _time(element: etree._Element, attribute: str) -> datetime:
    return xml.read_time(element.get(attribute))


def _optional_time(element: etree._Element, attribute: str) -> datetime | None:
    return _time(element, attribute) if element.get(attribute) is not None else None


def read_name_id(element: etree._Element, sp: ServiceProvider) -> str:
    """A name for us, that may be compared with the one of another message."""
    if element.get("SPNameQualifier", sp.entity_id) != sp.entity_id:
        raise SamlError("name-id", "the name is meant for another service provider")
    name = xml.text(element)
    check_readable("name-id", name)
    return name


def check_readable(reason: str, name: str) -> None:
    """It may be compared with user names: nothing invisible or that turns the reading order."""
    if not name or len(name) > MAX_NAME_ID:
        raise SamlError(reason, f"{len(name)} characters, 1 to {MAX_NAME_ID} are allowed")
    if name != name.strip() or any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        raise SamlError(reason, f"{name!a} has blanks at its ends or characters that cannot be seen")


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
