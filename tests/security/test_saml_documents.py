"""Names and documents that are not what they seem."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from lxml import etree

from saml.errors import SamlError
from saml.service_provider import response_in_response_to
from tests.support.saml_attack import (
    REQUEST,
    SP,
    accept,
    refusal,
    respond,
    setting,
    the,
)
from tests.support.saml_idp import SAML


@pytest.mark.parametrize(
    "name_id",
    ["", " alice", "alice ", "al\tice", "al\nice", "\u202eecila", "ali\u200bce", "a\u2028b", "x" * 257],
)
def test_names_that_cannot_be_user_names_are_refused(name_id: str) -> None:
    assert refusal(respond(name_id)) == "name-id"


@pytest.mark.parametrize("name_id", ["a", "张三", "o'neil <o@example.test> & co", "x" * 256, "Ünïcode name"])
def test_ordinary_names_are_accepted_as_they_are(name_id: str) -> None:
    assert accept(respond(name_id)).name_id == name_id


def test_a_transient_name_and_one_meant_for_another_are_refused() -> None:
    transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"

    assert refusal(respond(name_id_format=transient)) == "name-id"
    assert refusal(respond(edit=setting("NameID", "SPNameQualifier", "https://other"))) == "name-id"
    assert accept(respond(edit=setting("NameID", "SPNameQualifier", SP.entity_id))).name_id == "alice"


@pytest.mark.parametrize(
    ("inserted", "reason"),
    [
        ("<!-- -->", "xml"),
        ("<?x y?>", "xml"),
        ("<![CDATA[x]]>", "xml"),
        ("<b/>", "shape"),
        ("&unknown;", "xml"),
    ],
)
def test_a_name_with_markup_inside_is_refused_not_cut(inserted: str, reason: str) -> None:
    document = base64.b64decode(respond("alice@example.test.evil")).decode()
    split = document.replace("alice@example.test", f"alice@example.test{inserted}")

    assert refusal(base64.b64encode(split.encode()).decode()) == reason


ENTITIES = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("", "xml"),
        ("!!!!", "encoding"),
        ("AAA", "encoding"),
        ("é", "encoding"),
        ("\ud800", "encoding"),
        (base64.b64encode(b"\xff\xfe<").decode(), "encoding"),
        (base64.b64encode("<a/>".encode("utf-16")).decode(), "encoding"),
        (base64.b64encode(b"hello").decode(), "xml"),
        (base64.b64encode(b"<a>").decode(), "xml"),
        (base64.b64encode(b"<a/>").decode(), "shape"),
        (base64.b64encode(f"<{'a' * 70_000}/>".encode()).decode(), "xml"),
        (base64.b64encode(b"<a>" * 5_000 + b"</a>" * 5_000).decode(), "xml"),
        (base64.b64encode(b"<a>" + b" " * 256 * 1024 + b"</a>").decode(), "size"),
        ("A" * 1_000_000, "size"),
        (base64.b64encode(f'<!DOCTYPE a [<!ENTITY e0 "e">{ENTITIES}]><a>&e9;</a>'.encode()).decode(), "xml"),
        (base64.b64encode(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>').decode(), "xml"),
        (base64.b64encode(b'<?xml version="1.0" encoding="utf-7"?>+ADw-a/+AD4-').decode(), "xml"),
    ],
)
def test_what_is_no_response_is_refused(response: str, reason: str) -> None:
    assert refusal(response) == reason
    with pytest.raises(SamlError) as refused:
        response_in_response_to(response)
    assert refused.value.reason == reason


def test_a_document_type_before_an_honest_answer_is_refused() -> None:
    document = base64.b64decode(respond())

    assert refusal(base64.b64encode(b"<!DOCTYPE x>" + document).decode()) == "xml"
    assert accept(base64.b64encode(b'<?xml version="1.0" encoding="UTF-8"?>\n' + document).decode())


def test_the_unverified_request_id_is_read_only_when_it_is_one() -> None:
    assert response_in_response_to(respond()) == REQUEST
    assert response_in_response_to(respond(in_response_to=None)) is None
    for odd in ("a b", "x" * 257, "1", "../x"):
        with pytest.raises(SamlError) as refused:
            response_in_response_to(respond(in_response_to=odd))
        assert refused.value.reason == "shape"


def test_encrypted_names_and_attributes_are_refused_by_name() -> None:
    def encrypt(name: str, encrypted: str) -> Callable[[etree._Element], None]:
        def edit(response: etree._Element) -> None:
            the(response, name).tag = f"{SAML}{encrypted}"

        return edit

    assert refusal(respond(edit=encrypt("NameID", "EncryptedID"))) == "encrypted"
    attributes = {"groups": ["a"]}
    assert refusal(respond(edit=encrypt("Attribute", "EncryptedAttribute"), attributes=attributes)) == "encrypted"
    assert accept(respond(attributes=attributes)).attributes == {"groups": ("a",)}


def test_an_oversized_id_or_session_index_is_refused() -> None:
    assert refusal(respond(assertion_id="_" + "x" * 256)) == "shape"
    assert refusal(respond(edit=setting("AuthnStatement", "SessionIndex", "x" * 1025))) == "shape"
    assert accept(respond(assertion_id="_" + "x" * 255)).name_id == "alice"


def test_the_detail_of_a_refusal_stays_on_one_line() -> None:
    with pytest.raises(SamlError) as refused:
        accept(respond(status="urn:x\nlogin succeeded\u202e"))

    assert refused.value.reason == "status"
    assert refused.value.detail.isprintable()
