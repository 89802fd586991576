"""Metadata that is fetched again and again is believed by its signature: over the whole, by the key that was chosen."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime

import pytest
import xmlsec
from lxml import etree

from saml.errors import MetadataError
from saml.metadata import parse_identity_provider
from tests.support.saml_idp import DS, TestIdp, key_pair, sign_root
from tests.support.saml_metadata import SAMPLES, SIGNED, root_of

NOW = datetime(2031, 1, 1, tzinfo=UTC)
IDP = TestIdp()
SIGNER = key_pair("metadata")
PLAIN = IDP.metadata().partition("?>\n")[2].replace("<md:EntityDescriptor ", '<md:EntityDescriptor ID="_m" ')
HONEST = sign_root(PLAIN, *SIGNER)


def words(document: str, signed_by: str = SIGNER[1]) -> str:
    with pytest.raises(MetadataError) as refused:
        parse_identity_provider(document, now=NOW, signed_by=[signed_by])
    return refused.value.message


def edited(edit: Callable[[etree._Element], object]) -> str:
    root = etree.fromstring(HONEST)
    edit(root)
    return etree.tostring(root, encoding="unicode")


def the(root: etree._Element, name: str) -> etree._Element:
    return next(root.iter(f"{{*}}{name}"))


def test_signed_metadata_is_read_with_the_certificate_that_was_chosen() -> None:
    assert parse_identity_provider(HONEST, now=NOW, signed_by=[SIGNER[1]]).entity_id == IDP.entity_id
    assert parse_identity_provider(HONEST, now=NOW, signed_by=[key_pair("old")[1], SIGNER[1]])
    assert parse_identity_provider(f"\ufeff<?xml version='1.0'?>\n<!-- x -->{HONEST}", now=NOW, signed_by=[SIGNER[1]])
    assert parse_identity_provider(HONEST.replace("<md:IDPSSO", "<!-- x --><md:IDPSSO"), signed_by=[SIGNER[1]], now=NOW)


@pytest.mark.parametrize("name", SIGNED)
def test_what_known_identity_providers_sign_is_verified(name: str) -> None:
    sample = SAMPLES[name]()
    assert parse_identity_provider(sample.document, now=NOW, signed_by=[SIGNED[name]]).sso_url == sample.sso_url

    assert "does not hold" in words(sample.document)
    tampered = sample.document.replace(sample.sso_url, "https://evil.example.test/")
    assert "does not hold" in words(tampered, SIGNED[name])
    assert root_of(sample.document)[0].tag == f"{DS}Signature"


def test_metadata_without_a_signature_of_its_root_is_refused() -> None:
    assert "is not signed" in words(PLAIN)
    around = 'md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"'
    assert "is not signed" in words(f"<{around}>{HONEST}</md:EntitiesDescriptor>")

    def sign_the_role_only(root: etree._Element) -> None:
        the(root, "IDPSSODescriptor").insert(0, root[0])

    assert "is not signed" in words(edited(sign_the_role_only))


def test_metadata_signed_by_another_or_changed_is_refused() -> None:
    assert "does not hold" in words(sign_root(PLAIN, *key_pair("foreign")))
    assert "does not hold" in words(HONEST.replace(IDP.sso_url, "https://evil.example.test/sso"))
    assert "does not hold" in words(HONEST.replace(IDP.entity_id, "https://evil.example.test"))


def wrap_in_object(root: etree._Element) -> None:
    original = deepcopy(root)
    etree.SubElement(root[0], f"{DS}Object").append(original)
    root.set("ID", "_forged")


def wrap_beside(root: etree._Element) -> None:
    original = deepcopy(root)
    original.remove(original[0])
    extensions = etree.Element(root.tag.replace("EntityDescriptor", "Extensions"))
    extensions.append(original)
    root.insert(1, extensions)
    root.set("ID", "_forged")


def share_the_id(name: str) -> Callable[[etree._Element], None]:
    def edit(root: etree._Element) -> None:
        the(root, "IDPSSODescriptor").set(name, "_m")

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        wrap_in_object,
        wrap_beside,
        share_the_id("ID"),
        share_the_id("Id"),
        share_the_id("id"),
        share_the_id("{http://www.w3.org/XML/1998/namespace}id"),
        lambda root: root.insert(1, deepcopy(root[0])),
        lambda root: the(root, "Reference").set("URI", ""),
        lambda root: the(root, "Reference").set("URI", "file:///dev/zero"),
        lambda root: the(root, "Transforms").append(deepcopy(the(root, "Transform"))),
        lambda root: the(root, "Transform").append(etree.Element("{http://www.w3.org/1999/XSL/Transform}stylesheet")),
        lambda root: the(root, "KeyInfo").append(etree.Element(f"{DS}RetrievalMethod", {"URI": "file:///dev/zero"})),
        lambda root: the(root, "SignatureMethod").set("Algorithm", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        lambda root: the(root, "CanonicalizationMethod").set("Algorithm", "urn:x"),
        lambda root: root.attrib.pop("ID"),
    ],
)
def test_wrapped_and_odd_signatures_are_refused_in_words(edit: Callable[[etree._Element], object]) -> None:
    assert "not one that is accepted" in words(edited(edit))


def test_sha_1_is_refused_in_words() -> None:
    constants = xmlsec.constants
    assert "SHA-256 or better" in words(sign_root(PLAIN, *SIGNER, signature=constants.TransformRsaSha1))
    assert "SHA-256 or better" in words(sign_root(PLAIN, *SIGNER, digest=constants.TransformSha1))
    better = sign_root(PLAIN, *SIGNER, signature=constants.TransformRsaSha512, digest=constants.TransformSha512)
    assert parse_identity_provider(better, now=NOW, signed_by=[SIGNER[1]])
