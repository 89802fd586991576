"""The verdict on a Response: one list of checks, stopped at the first fault or told to the end.

A sign-in stops at the first fault. Who sets a trust up wants to see all of them; both run through here, so they
cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from lxml import etree

from saml import encryption, library, rules, shape, signatures, xml
from saml.display import pretty
from saml.encryption import Opened
from saml.errors import SamlError
from saml.keys import read_certificate
from saml.parties import IdentityProvider, ServiceProvider
from saml.rules import Assertion, Expected, Judged

SKEW = timedelta(seconds=90)

CHECKS = ("document", "status", "shape", "decryption", "signed", *rules.RULES, "signature", "library")
"""In this order: is it a Response; did the sign-in succeed; is each part in its place; does what is encrypted open (and
is it, where only that is taken); is what is read signed, with algorithms that count; the rules; does every signature
hold with a certificate we trust; does python3-saml, which repeats all of it in its own way, agree."""

Verdict = Literal["passed", "failed", "not-reached"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Check:
    code: str
    """One of CHECKS."""
    verdict: Verdict
    detail: str = ""
    """What was found, or what is wrong. May quote the message: for administrators, and escaped."""


@dataclass(frozen=True)
class Judgement:
    checks: tuple[Check, ...]
    """All of CHECKS, in their order."""
    assertion: Assertion | None
    """What was accepted, None if any check failed."""
    refusal: SamlError | None
    """What accept_response would have raised: the first fault."""
    document: str
    """The message, decrypted where it could be, to look at (see display.readable)."""


def accept_response(
    sp: ServiceProvider,
    idp: IdentityProvider,
    saml_response: str,
    *,
    request_id: str | None,
    now: datetime,
    skew: timedelta = SKEW,
    username_attribute: str = "",
    authenticated_after: datetime | None = None,
    encrypted_only: bool = False,
) -> Assertion:
    """What `idp` asserts in `saml_response` (the base64 form field), if it is genuine, for us and for now.

    `request_id`: the id of the request that this must answer; None when `idp` starts the sign-in itself, and
    then an answer to any request is refused. Whether the assertion came before is for the caller to know (see
    Assertion.not_on_or_after). `username_attribute`: the attribute that tells Assertion.username, of which there must
    be one value; then the NameID may be transient or missing. `authenticated_after`: when the request asked with
    force_authn, its time. `encrypted_only`: refuse an assertion in clear. Raises SamlError, and nothing else.
    """
    expected = Expected(sp, idp, request_id, now, skew, username_attribute, authenticated_after, encrypted_only)
    return _judge(_Course(), expected, saml_response)


def judge_response(
    sp: ServiceProvider,
    idp: IdentityProvider,
    saml_response: str,
    *,
    request_id: str | None,
    now: datetime,
    skew: timedelta = SKEW,
    username_attribute: str = "",
    authenticated_after: datetime | None = None,
    encrypted_only: bool = False,
) -> Judgement:
    """The same, with every check told and nothing raised. Where a check rests on one that failed, it is not reached."""
    expected = Expected(sp, idp, request_id, now, skew, username_attribute, authenticated_after, encrypted_only)
    course = _Course(stops=False)
    assertion = None
    try:
        assertion = _judge(course, expected, saml_response)
    except SamlError as error:
        refusal: SamlError | None = error
    else:
        refusal = None
    checks = tuple(course.told.get(code, Check(code, "not-reached")) for code in CHECKS)
    return Judgement(checks, assertion, refusal, pretty(course.document, saml_response))


@dataclass
class _Course:
    stops: bool = True
    told: dict[str, Check] = field(default_factory=dict)
    fault: SamlError | None = None
    document: etree._Element | None = None

    def need(self, code: str, check: Callable[[], _T], words: Callable[[_T], str] = lambda _: "") -> _T:
        """A check on which all that follows rests."""
        try:
            found = _refusing(check)
        except SamlError as error:
            self._failed(code, error)
            raise
        self.told[code] = Check(code, "passed", words(found))
        return found

    def look(self, code: str, check: Callable[[], str]) -> None:
        """A check that stands alone: when it fails, the next can still be told."""
        try:
            self.told[code] = Check(code, "passed", _refusing(check))
        except SamlError as error:
            self._failed(code, error)
            if self.stops:
                raise

    def _failed(self, code: str, error: SamlError) -> None:
        self.told[code] = Check(code, "failed", error.detail or error.reason)
        self.fault = self.fault or error


def _judge(course: _Course, expected: Expected, saml_response: str) -> Assertion:
    response = course.need("document", lambda: _document(saml_response))
    course.document = response
    course.need("status", lambda: shape.check_success(response))
    found = course.need("shape", lambda: shape.check_response(response))
    opened = course.need("decryption", lambda: encryption.open_response(response, found, expected.sp, expected.idp))
    course.look("decryption", lambda: _opened(opened, expected))
    course.document = opened.response
    course.need("signed", lambda: signatures.check(opened.response, opened.assertion), lambda _: _signed(opened))
    judged = Judged(opened.response, opened.assertion, expected)
    for code, rule in rules.RULES.items():
        course.look(code, lambda rule=rule: rule(judged))  # type: ignore[misc]
    course.look("signature", lambda: _verified(opened, expected.idp))
    if course.fault:
        raise course.fault
    course.need("library", lambda: library.verify(opened, expected))
    return _refusing(lambda: rules.read(judged))


def _refusing(check: Callable[[], _T]) -> _T:
    """The last resort: a value of the message that no check foresaw is a fault of the message."""
    try:
        return check()
    except (ValueError, ArithmeticError) as error:
        raise SamlError("shape", f"cannot be judged: {type(error).__name__}: {error}"[:500]) from error


def _document(saml_response: str) -> etree._Element:
    response = xml.parse(xml.unbase64(saml_response))
    shape.check_root(response, "samlp:Response")
    return response


def _opened(opened: Opened, expected: Expected) -> str:
    if opened.response is not opened.received:
        return "opened with a key of ours"
    if expected.encrypted_only:
        raise SamlError("not-encrypted", "the assertion is in clear, only encrypted ones are taken")
    return "not encrypted"


def _signed(opened: Opened) -> str:
    return " and ".join(xml.short(owner.tag).partition(":")[2] for owner in _owners(opened))


def _verified(opened: Opened, idp: IdentityProvider) -> str:
    for owner in _owners(opened):
        try:
            signatures.verify(owner, idp.certificates)
        except SamlError as error:
            raise SamlError(error.reason, f"{error.detail}; {_claimed(owner)}") from error
    return f"with one of {len(idp.certificates)} trusted certificates"


def _claimed(owner: etree._Element) -> str:
    """Which certificate the message itself names: to be compared by people, and trusted by nobody."""
    named = xml.find(owner, "ds:Signature/ds:KeyInfo/ds:X509Data/ds:X509Certificate")
    if not named:
        return "the message names no certificate"
    try:
        return f"the message names {read_certificate(xml.text(named[0])).fingerprint}"
    except SamlError:
        return "the certificate in the message cannot be read"


def _owners(opened: Opened) -> list[etree._Element]:
    """What is signed: the Response as it came, the assertion as it is read."""
    return [owner for owner in (opened.received, opened.assertion) if xml.find(owner, "ds:Signature")]
