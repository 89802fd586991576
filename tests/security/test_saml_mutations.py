"""Whatever arrives, the answer is acceptance of what was signed or one of our own refusals."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from saml.errors import MetadataError, SamlError
from saml.keys import read_certificate
from saml.metadata import parse_identity_provider
from saml.parties import ServiceProvider
from saml.service_provider import accept_response, response_in_response_to
from tests.support.saml_idp import TestIdp

NOW = datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)
SP = ServiceProvider("https://portal.example.test/metadata", "https://portal.example.test/saml/acme/acs")
IDP = TestIdp()
TRUSTED = IDP.identity_provider()
RESPONSE = base64.b64decode(
    IDP.respond("_q", SP.acs_url, SP.entity_id, "alice", now=NOW, attributes={"groups": ["a", "b"]})
)
METADATA = IDP.metadata().encode()
PIECES = [
    b"<",
    b">",
    b"&",
    b'"',
    b"<!--x-->",
    b"<?x?>",
    b"<x/>",
    b"\0",
    b"\xff",
    b"]]>",
    b"Z",
    b"",
    b" ",
    b"=",
]

TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
TIMES = [b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59.999999999Z", b"2031-03-04T24:00:00Z"]


@st.composite
def mutated(draw: st.DrawFn, document: bytes) -> bytes:
    """`document` with a few places overwritten, cut out or repeated, and times of it with one of nobody's life."""
    times = [time.span() for time in TIME.finditer(document)]
    if times and draw(st.booleans()):
        start, end = draw(st.sampled_from(times))
        document = document[:start] + draw(st.sampled_from(TIMES)) + document[end:]
        if draw(st.booleans()):
            return document
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(document)))
        end = min(len(document), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4), st.just(document[start:end] * 2)))
        document = document[:start] + piece + document[end:]
    return document


@settings(max_examples=300, deadline=None)
@given(mutated(RESPONSE))
def test_a_mutated_response_is_refused_or_says_what_was_signed(document: bytes) -> None:
    response = base64.b64encode(document).decode()
    try:
        accepted = accept_response(SP, TRUSTED, response, request_id="_q", now=NOW)
    except SamlError:
        return
    assert accepted.name_id == "alice"
    assert accepted.attributes == {"groups": ("a", "b")}


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())))
def test_any_form_field_is_refused(field: str) -> None:
    for read in (
        lambda: accept_response(SP, TRUSTED, field, request_id=None, now=NOW),
        lambda: response_in_response_to(field),
    ):
        try:
            read()
        except SamlError:
            continue
        raise AssertionError(f"{field!r} was taken")


@settings(max_examples=300, deadline=None)
@given(mutated(METADATA))
def test_mutated_metadata_is_refused_in_words_or_read(document: bytes) -> None:
    try:
        found = parse_identity_provider(document, now=NOW)
    except MetadataError:
        return
    assert found.entity_id
    assert found.sso_url.startswith("http")
    assert found.certificates


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.binary(), mutated(IDP.certificate.encode()), mutated(IDP.certificate.encode()).map(str)))
def test_a_mutated_certificate_is_refused_in_words_or_read(given_text: str | bytes) -> None:
    try:
        found = read_certificate(given_text)
    except MetadataError:
        return
    assert found.pem.startswith("-----BEGIN CERTIFICATE-----")
