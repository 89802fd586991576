"""Single logout, both ways: ask the identity provider to end its session, and be asked (saml-profiles-2.0-os 4.4).

Every message must be signed, by whichever binding: who can end sessions can annoy, and an answer that nobody signed
says nothing. Where answers go is read from metadata, never from a message (RelayState is only carried).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import etree

from saml import bindings, rules, shape, xml
from saml.bindings import Outgoing, Posted, Redirected, new_id
from saml.errors import SamlError
from saml.judging import SKEW
from saml.parties import IdentityProvider, ServiceProvider

__all__ = [
    "LogoutRequest",
    "LogoutResponse",
    "Name",
    "Posted",
    "Redirected",
    "accept_logout_request",
    "accept_logout_response",
    "logout_request",
    "logout_response",
]

MAX_SESSIONS = 100
STATUS_PARTIAL = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout"
_RESPONDER = "urn:oasis:names:tc:SAML:2.0:status:Responder"


@dataclass(frozen=True)
class Name:
    """Who is meant: all of it as the assertion had it (saml-core-2.0-os 3.7.3.1), so keep all of it."""

    name_id: str
    name_id_format: str = xml.NAME_ID_UNSPECIFIED
    name_qualifier: str | None = None
    sp_name_qualifier: str | None = None


@dataclass(frozen=True)
class LogoutRequest:
    """What a verified request asks for: end the sessions of `name`; with `session_indexes`, those only."""

    id: str
    """For the answer's InResponseTo."""
    name: Name
    session_indexes: tuple[str, ...]
    not_on_or_after: datetime
    """Until then the same request would be accepted again."""
    relay_state: str | None
    """Goes back with the answer as it came, and nowhere else."""


@dataclass(frozen=True)
class LogoutResponse:
    """What a verified answer says."""

    id: str
    in_response_to: str
    success: bool
    """The identity provider ended its session. False with `partial` too: not everybody did."""
    partial: bool
    status: str
    relay_state: str | None


def logout_request(
    sp: ServiceProvider,
    idp: IdentityProvider,
    *,
    name: Name,
    session_indexes: tuple[str, ...] = (),
    relay_state: str | None,
    now: datetime,
) -> Outgoing:
    """A signed request to end the identity provider's session. Raises ValueError without `idp.slo_url` or a key."""
    if not idp.slo_url:
        raise ValueError("the identity provider offers no single logout")
    request_id = new_id()
    message = _message("samlp:LogoutRequest", sp, request_id, idp.slo_url, now)
    message.set("NotOnOrAfter", xml.write_time(now + rules.MAX_AGE))
    element = etree.SubElement(message, xml.tag("saml:NameID"), _qualifiers(name))
    element.text = name.name_id
    for index in session_indexes:
        etree.SubElement(message, xml.tag("samlp:SessionIndex")).text = index
    return bindings.send(
        request_id,
        "SAMLRequest",
        message,
        url=idp.slo_url,
        binding=idp.slo_binding,
        relay_state=relay_state,
        key=sp.keys[0],
    )


def logout_response(
    sp: ServiceProvider,
    idp: IdentityProvider,
    *,
    in_response_to: str,
    relay_state: str | None,
    now: datetime,
    success: bool = True,
) -> Outgoing:
    """The signed answer to a request that was accepted. Raises ValueError without `idp.slo_url` or a key."""
    url = idp.slo_response_url or idp.slo_url
    if not url:
        raise ValueError("the identity provider offers no single logout")
    response_id = new_id()
    message = _message("samlp:LogoutResponse", sp, response_id, url, now)
    message.set("InResponseTo", in_response_to)
    status = etree.SubElement(message, xml.tag("samlp:Status"))
    value = xml.STATUS_SUCCESS if success else _RESPONDER
    etree.SubElement(status, xml.tag("samlp:StatusCode"), {"Value": value})
    return bindings.send(
        response_id,
        "SAMLResponse",
        message,
        url=url,
        binding=idp.slo_binding,
        relay_state=relay_state,
        key=sp.keys[0],
    )


def _message(name: str, sp: ServiceProvider, message_id: str, url: str, now: datetime) -> etree._Element:
    if not sp.keys:
        raise ValueError("logout messages are always signed: a key pair is needed")
    attributes = {"ID": message_id, "Version": "2.0", "IssueInstant": xml.write_time(now), "Destination": url}
    prefixes = {prefix: xml.NAMESPACES[prefix] for prefix in ("samlp", "saml")}
    message = etree.Element(xml.tag(name), attributes, nsmap=prefixes)
    etree.SubElement(message, xml.tag("saml:Issuer")).text = sp.entity_id
    return message


def _qualifiers(name: Name) -> dict[str, str]:
    values = {
        "Format": name.name_id_format,
        "NameQualifier": name.name_qualifier,
        "SPNameQualifier": name.sp_name_qualifier,
    }
    return {key: value for key, value in values.items() if value}


def accept_logout_request(
    sp: ServiceProvider,
    idp: IdentityProvider,
    received: Redirected | Posted,
    *,
    now: datetime,
    skew: timedelta = SKEW,
) -> LogoutRequest:
    """What `idp` asks, if it is genuine, for us and for now. Raises SamlError, and nothing else."""
    incoming = bindings.receive(received, "SAMLRequest", "samlp:LogoutRequest", idp.certificates)
    message = incoming.message
    end = _check(message, sp, idp, now, skew)
    name = xml.find(message, "saml:NameID")[0]
    sessions = tuple(map(xml.text, xml.find(message, "samlp:SessionIndex")))
    if len(sessions) > MAX_SESSIONS or not all(0 < len(index) <= rules.MAX_SESSION_INDEX for index in sessions):
        raise SamlError("shape", "too many sessions, or an index that is empty or too long")
    return LogoutRequest(
        id=message.get("ID", ""),
        name=Name(
            rules.read_name_id(name, sp),
            name.get("Format", xml.NAME_ID_UNSPECIFIED),
            name.get("NameQualifier"),
            name.get("SPNameQualifier"),
        ),
        session_indexes=sessions,
        not_on_or_after=end + skew,
        relay_state=incoming.relay_state,
    )


def accept_logout_response(
    sp: ServiceProvider,
    idp: IdentityProvider,
    received: Redirected | Posted,
    *,
    request_id: str,
    now: datetime,
    skew: timedelta = SKEW,
) -> LogoutResponse:
    """What `idp` answers to the request `request_id`. That it failed is an answer too. Raises SamlError."""
    incoming = bindings.receive(received, "SAMLResponse", "samlp:LogoutResponse", idp.certificates)
    message = incoming.message
    _check(message, sp, idp, now, skew)
    rules.check_equal("in-response-to", message.get("InResponseTo"), request_id)
    codes = [code.get("Value") for code in message.iter(xml.tag("samlp:StatusCode"))]
    partial = STATUS_PARTIAL in codes
    return LogoutResponse(
        id=message.get("ID", ""),
        in_response_to=request_id,
        success=codes[0] == xml.STATUS_SUCCESS and not partial,
        partial=partial,
        status=shape.status(message)[:500],
        relay_state=incoming.relay_state,
    )


def _check(
    message: etree._Element, sp: ServiceProvider, idp: IdentityProvider, now: datetime, skew: timedelta
) -> datetime:
    """Version, issuer, destination and time; until when, without skew, the message counts."""
    if message.get("Version") != "2.0":
        raise SamlError("shape", "not SAML 2.0")
    rules.check_issuer(message, idp)
    if sp.slo_url is None:
        raise SamlError("destination", "we offer no single logout")
    rules.check_equal("destination", message.get("Destination"), sp.slo_url)
    issued = xml.read_time(message.get("IssueInstant"))
    ends = [issued + rules.MAX_AGE]
    if message.get("NotOnOrAfter") is not None:
        ends.append(xml.read_time(message.get("NotOnOrAfter")))
    if issued > now + skew:
        raise SamlError("not-yet-valid", f"starts {issued}, it is {now}")
    if min(ends) <= now - skew:
        raise SamlError("expired", f"ended {min(ends)}, it is {now}")
    return min(ends)
