"""A message to look at: readable, bounded, and of no use to anybody else."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saml.display import MAX_SHOWN, readable
from tests.security.test_saml_mutations import RESPONSE, mutated
from tests.support.saml_attack import REQUEST, SP, accept, respond
from tests.support.saml_encryption import encrypting
from tests.support.saml_idp import key_pair


def form(document: bytes | str) -> str:
    return base64.b64encode(document.encode() if isinstance(document, str) else document).decode()


def test_what_was_said_can_be_read_line_by_line() -> None:
    shown = readable(respond(attributes={"groups": ["a & b"]})).splitlines()

    assert any(line.strip() == f"<saml:Audience>{SP.entity_id}</saml:Audience>" for line in shown)
    assert any(line.strip() == "<saml:AttributeValue>a &amp; b</saml:AttributeValue>" for line in shown)
    assert any(f'InResponseTo="{REQUEST}"' in line for line in shown)
    assert len(shown) > 30


def test_what_is_shown_signs_nobody_in() -> None:
    response = respond(sign=["assertion", "response"])
    assert accept(response).name_id == "alice"

    shown = readable(response)
    values = re.findall(r"<ds:SignatureValue>([^<]*)<", shown)
    assert [len(value) < 40 and "characters" in value for value in values] == [True, True]


def test_cipher_texts_certificates_and_secrets_are_cut() -> None:
    certificate = key_pair("current")[1]
    shown = readable(respond(edit_signed=encrypting(certificate)))
    assert max(map(len, shown.splitlines())) < 300
    assert "".join(certificate.splitlines()[1:3]) not in shown

    shown = readable(respond(attributes={"userPassword": ["hunter2"], "api_TOKEN": ["t0p"], "mail": ["a@b.test"]}))
    assert "hunter2" not in shown
    assert "t0p" not in shown
    assert "a@b.test" in shown


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("!", "[cannot be shown: encoding]"),
        ("A" * 2_000_000, "[cannot be shown: size]"),
        (form("hello"), "[cannot be shown: xml]"),
        (form('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "[cannot be shown: xml]"),
        (form("<a>\ufffe</a>".encode("utf-16")), "[cannot be shown: encoding]"),
        ("", "[cannot be shown: xml]"),
    ],
)
def test_what_cannot_be_read_is_said_to_be_so(field: str, words: str) -> None:
    assert readable(field) == words


def test_long_documents_and_values_are_bounded() -> None:
    many = "<a>" + "<b>text</b>" * 20_000 + "</a>"
    assert len(readable(form(many))) < MAX_SHOWN + 100
    assert "more characters" in readable(form(many))
    assert len(readable(form(f"<a>{'x' * 200_000}</a>"))) < 1000


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.binary().map(form), mutated(RESPONSE).map(form)))
def test_nothing_makes_it_fail(field: str) -> None:
    assert isinstance(readable(field), str)
