"""What each check of a sign-in asks, and what to change where when it fails (IC-6): tables, read by `advise`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from portal.core.federation.attempts import CheckRow

FAILED = "failed"


class Value(enum.StrEnum):
    """What an administrator may have to type or compare; `sides` of the page know it."""

    ACS_URL = "ACS URL"
    ENTITY_ID = "Entity ID"
    IDP_ENTITY_ID = "Entity ID of the identity provider, as configured here"
    FINGERPRINTS = "Certificates trusted here (SHA-256)"
    ATTRIBUTE = "Attribute that holds the user name"
    CLOCK = "Time here (UTC)"
    ALGORITHM = "Signature algorithm"
    NAME_ID_FORMAT = "NameID format"
    USER_NAME = "User name that was sent"


class Place(enum.StrEnum):
    """A page of the console where it can be done."""

    CONFIGURE = "configure"
    USERS = "users"
    SSO = "sso"


@dataclass(frozen=True)
class Remedy:
    """`values`: to be typed at the identity provider or compared with what it shows."""

    text: str
    values: tuple[Value, ...] = ()
    place: Place | None = None


QUESTIONS = {
    "document": "The answer is a readable SAML response",
    "status": "The identity provider reports success",
    "shape": "Every part is in its place, with exactly one assertion",
    "decryption": "What is encrypted can be opened",
    "signed": "What is read is signed, with SHA-256 or better",
    "version": "The version is SAML 2.0",
    "issuer": "It comes from this identity provider",
    "destination": "The response is addressed to this space (Destination)",
    "recipient": "The assertion is addressed to this space (Recipient)",
    "in-response-to": "It answers the request that this browser sent",
    "audience": "The assertion is meant for this space (Audience)",
    "confirmation": "The subject is confirmed as bearer",
    "not-before": "It is valid already",
    "not-on-or-after": "It is still valid",
    "session": "The session at the identity provider has not ended",
    "authentication": "The person signed in when this was asked for",
    "name-id": "The NameID can be a user name",
    "username": "The attribute with the user name was sent",
    "signature": "The signature holds with a trusted certificate",
    "library": "A second, independent verification agrees",
    "user": "A user of this name may sign in",
}

_ADDRESS = (
    "The identity provider sends its answer to another address than this space has. Enter the ACS URL exactly, letter "
    "by letter and without a slash at the end. It may be called Reply URL, Single sign-on URL or Assertion Consumer "
    "Service; where Recipient and Destination are fields of their own, they get the same value."
)
_CLOCK = (
    "The clocks differ, or the answer took longer than it is valid for. Compare the time at the identity provider "
    "with the time here and let both be set by NTP; then try again without waiting."
)
_UNREADABLE = (
    "What arrived is not a SAML response. Something between the identity provider and here changed or cut it, or "
    "it was sent by another product. Check that the binding for the answer is HTTP-POST."
)
_SHAPE = (
    "The answer has a part that does not belong into a SAML 2.0 response, or lacks one that does. Set the application "
    "at the identity provider to plain SAML 2.0 Web Browser SSO with the HTTP-POST binding; what was found names the "
    "part."
)
_AGAIN = "Nothing is to be changed at the identity provider. Start again from here, and use one browser throughout."

REMEDIES = {
    "xml": Remedy(_UNREADABLE),
    "encoding": Remedy(_UNREADABLE),
    "size": Remedy("The answer is too large. Send fewer attributes, above all not all the groups of a user."),
    "shape": Remedy(_SHAPE),
    "version": Remedy(_SHAPE),
    "confirmation": Remedy(
        "Set the subject confirmation method at the identity provider to bearer "
        "(urn:oasis:names:tc:SAML:2.0:cm:bearer)."
    ),
    "assertions": Remedy("Let the identity provider send exactly one assertion in each response."),
    "status": Remedy(
        "The identity provider refused by itself and says why above. Responder or AuthnFailed: the "
        "person could not sign in there. RequestDenied: assign the person to the application. InvalidNameIDPolicy: "
        "allow the NameID format below. Requester: compare the values below with its application; if it wants signed "
        "requests, switch them on in the SSO settings.",
        (Value.ENTITY_ID, Value.ACS_URL, Value.NAME_ID_FORMAT),
    ),
    "encrypted": Remedy(
        "Encrypted names and attributes are not read. Switch their encryption off at the identity provider; the "
        "assertion as a whole may be encrypted."
    ),
    "decryption": Remedy(
        "The assertion is encrypted for a key that this space does not have. Load the SP metadata of this space into "
        "the identity provider anew, or switch the encryption of assertions off there.",
        (Value.ENTITY_ID,),
        Place.SSO,
    ),
    "not-encrypted": Remedy(
        "The assertion came in clear, and this space takes only encrypted ones. Load the SP metadata of this space, "
        "which holds its key, into the identity provider and switch the encryption of assertions on there; or allow "
        "assertions in clear in the SSO settings.",
        (Value.ENTITY_ID,),
        Place.SSO,
    ),
    "unsigned": Remedy(
        "Neither the response nor the assertion is signed. Switch on signing of the assertion (better: of both) at the "
        "identity provider.",
        (Value.ALGORITHM,),
    ),
    "algorithm": Remedy(
        "The signature uses an algorithm that is not safe enough, named above. Choose SHA-256 for "
        "signature and digest at the identity provider.",
        (Value.ALGORITHM,),
    ),
    "issuer": Remedy(
        "Another entity answered than the one that is configured. Read the metadata of the application anew, or, where "
        "the issuer is a setting at the identity provider, set it to the value below.",
        (Value.IDP_ENTITY_ID,),
        Place.CONFIGURE,
    ),
    "destination": Remedy(_ADDRESS, (Value.ACS_URL,)),
    "recipient": Remedy(_ADDRESS, (Value.ACS_URL,)),
    "audience": Remedy(
        "The assertion is meant for another service. Enter the Entity ID of this space exactly; it may be called "
        "Audience URI, Identifier, SP Entity ID or Client ID.",
        (Value.ENTITY_ID,),
    ),
    "in-response-to": Remedy(
        "The answer belongs to another request. " + _AGAIN + " If it stays so, an intermediary repeats old answers."
    ),
    "not-before": Remedy(_CLOCK, (Value.CLOCK,)),
    "not-on-or-after": Remedy(_CLOCK, (Value.CLOCK,)),
    "time": Remedy("A time in the answer cannot be read. It must be UTC, of our age, written as 2026-01-31T12:00:00Z."),
    "session": Remedy(
        "The session at the identity provider was over when its answer came. Sign out there and sign in again; if that "
        "does not help, lengthen the session (SessionNotOnOrAfter), and compare the time there with the time here.",
        (Value.CLOCK,),
    ),
    "authentication": Remedy(
        "This space asks people to sign in anew each time (ForceAuthn), and the identity provider answered with an "
        "earlier sign-in. Let it honour ForceAuthn for this application, or switch that off in the SSO settings.",
        (Value.CLOCK,),
        Place.SSO,
    ),
    "name-id": Remedy(
        "The NameID cannot be a user name. Send a lasting name instead of a transient one: the user name as it is "
        "pushed by SCIM, without blanks.",
        (Value.NAME_ID_FORMAT,),
    ),
    "signature": Remedy(
        "The answer is signed with a certificate that is not trusted here, or was changed on its way. If the "
        "identity provider has a new certificate, read its metadata again; compare the fingerprints.",
        (Value.FINGERPRINTS,),
        Place.CONFIGURE,
    ),
    "library": Remedy(
        "Our own checks passed, and the library that repeats them disagrees. This is rare: keep this page and tell the "
        "people who run the portal."
    ),
    "unknown-user": Remedy(
        "The identity provider vouches for a name that no user has. Create the user or let SCIM push it with this "
        "user name, or send another value as NameID, such as the user principal name instead of the e-mail address.",
        (Value.USER_NAME,),
        Place.USERS,
    ),
    "disabled-user": Remedy(
        "The user is there, and its login is disabled. Enable it on the user's page, or test with somebody else.",
        (Value.USER_NAME,),
        Place.USERS,
    ),
    "username": Remedy(
        "The user name is taken from an attribute that was not sent, or not with exactly one value. Add it to the "
        "attributes that the identity provider sends, or choose another in the SSO settings.",
        (Value.ATTRIBUTE,),
        Place.SSO,
    ),
    "not-created": Remedy(
        "No user of this name could be created at the first sign-in; what was found says why. Create the user by hand "
        "or let SCIM push it, or send a name that can be a user name here.",
        (Value.USER_NAME,),
        Place.USERS,
    ),
    "other-browser": Remedy("Another browser than the one that asked brought the answer. " + _AGAIN),
    "relay-state": Remedy(
        "The RelayState did not come back as it was sent. Leave the field Default RelayState empty at the identity "
        "provider; it must return what came with the request."
    ),
    "no-such-request": Remedy(
        "The answer came too late or twice: a request can be answered once and within some minutes. " + _AGAIN
    ),
    "unsolicited": Remedy(
        "The sign-in began at the identity provider, and this space takes only those that begin here. Let people "
        "use the user login URL, or allow it in the SSO settings.",
        place=Place.SSO,
    ),
    "sso-off": Remedy("SSO is switched off for this space.", place=Place.SSO),
    "idp-changed": Remedy("The identity provider was replaced while the sign-in was under way. " + _AGAIN),
    "data-changed": Remedy(
        "The data that was to be tested was changed or removed while the test was under way, so the answer was not "
        "judged. Test what is there now.",
        place=Place.SSO,
    ),
    "too-many": Remedy(
        "Somebody sends answers that this identity provider did not sign, more in an hour than are kept. This one and "
        "the others up to the next full hour are in the log of the server only: look there at the addresses that they "
        "come from. Sign-ins that the identity provider signed are not touched by it."
    ),
    "replayed": Remedy(
        "The same assertion came a second time: the page was reloaded, or somebody repeats what was sent before. "
        "If it happens often, look at who sends it."
    ),
}
_OTHERWISE = Remedy("What was found and the response below say what was wrong.")
_FOR_SEVERAL_REASONS = frozenset({"document", "status", "shape", "decryption", "signed", "user"})
_OF_REASON = {
    "expired": "not-on-or-after",
    "not-yet-valid": "not-before",
    "session-over": "session",
    "form": "encoding",
}


@dataclass(frozen=True)
class Fault:
    """A check that failed, with what to do; `code` is empty when it was refused before any check."""

    code: str
    detail: str
    remedy: Remedy


def faults(reason: str, detail: str, checks: Sequence[CheckRow]) -> list[Fault]:
    """What to change, the first fault first. `reason` is that of the first; the others go by their check."""
    failed = [check for check in checks if check.verdict == FAILED]
    if not failed:
        return [Fault("", detail, _remedy("", reason))] if reason else []
    reasons = [reason, *("" for _ in failed[1:])]
    return [
        Fault(check.code, check.detail, _remedy(check.code, why)) for check, why in zip(failed, reasons, strict=True)
    ]


def _remedy(code: str, reason: str) -> Remedy:
    """By the reason where a check can fail for several, else by the check."""
    if code and code not in _FOR_SEVERAL_REASONS and reason != "time":
        return REMEDIES.get(code, _OTHERWISE)
    return REMEDIES.get(_OF_REASON.get(reason, reason or code), _OTHERWISE)
