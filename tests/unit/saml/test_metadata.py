"""Metadata as identity providers really write it, and the ways it can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import pytest
from lxml import etree

from saml.errors import MetadataError
from saml.metadata import (
    identity_provider_by_hand,
    identity_provider_metadata,
    parse_identity_provider,
    service_provider_metadata,
)
from saml.parties import KeyPair, ServiceProvider
from tests.support.saml_idp import key_pair
from tests.support.saml_metadata import SAMPLES, root_of

NOW = datetime(2031, 1, 1, tzinfo=UTC)
FIRST, SECOND = key_pair("first")[1], key_pair("second")[1]
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
NAMESPACES = (
    'xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" '
    'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
)


def bare(certificate: str) -> str:
    return "".join(certificate.strip().splitlines()[1:-1])


def key(certificate: str, use: str = ' use="signing"') -> str:
    return (
        f"<md:KeyDescriptor{use}><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{bare(certificate)}"
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


def service(binding: str, location: str) -> str:
    return f'<md:SingleSignOnService Binding="{binding}" Location="{location}"/>'


def entity(
    content: str,
    entity_id: str = "https://idp.example.test",
    attributes: str = "",
    role: str = "IDPSSODescriptor",
) -> str:
    return (
        f'<md:EntityDescriptor {NAMESPACES} entityID="{entity_id}" {attributes}>'
        f'<md:{role} protocolSupportEnumeration="{PROTOCOL}">{content}</md:{role}></md:EntityDescriptor>'
    )


GOOD = entity(key(FIRST) + service(REDIRECT, "https://idp.example.test/sso"))


@pytest.mark.parametrize("name", SAMPLES)
def test_ic_6_metadata_of_known_identity_providers_is_read(name: str) -> None:
    sample = SAMPLES[name]()
    for form in (sample.document, sample.document.encode(), sample.document.encode("utf-16")):
        found = parse_identity_provider(form, now=NOW)

        assert (found.entity_id, found.sso_url, found.sso_binding) == (
            sample.entity_id,
            sample.sso_url,
            sample.sso_binding,
        )
        assert found.certificates == sample.certificates
        assert (found.slo_url, found.slo_binding, found.slo_response_url) == (
            sample.slo_url,
            sample.slo_binding,
            sample.slo_response_url,
        )


@pytest.mark.parametrize(
    ("name", "roles", "sso", "slo", "keys"),
    [
        ("okta", ["IDPSSO"], ["POST", "Redirect"], ["POST", "Redirect"], 1),
        ("entra", ["Role", "Role", "IDPSSO"], ["Redirect", "POST"], ["Redirect"], 2),
        ("keycloak", ["IDPSSO"], ["POST", "Redirect", "SOAP", "Artifact"], ["POST", "Redirect", "Artifact", "SOAP"], 2),
        ("adfs", ["Role", "Role", "SPSSO", "IDPSSO"], ["Redirect", "POST"], ["Redirect", "POST"], 3),
        ("google", ["IDPSSO"], ["Redirect", "POST"], [], 1),
        ("onelogin", ["IDPSSO"], ["Redirect", "POST", "SOAP"], ["Redirect"], 1),
        ("authentik", ["IDPSSO"], ["Redirect", "POST"], ["Redirect", "POST"], 1),
        ("ping", ["IDPSSO"], ["POST", "Redirect"], ["Artifact", "POST", "Redirect"], 2),
        (
            "shibboleth", ["IDPSSO", "AttributeAuthority"], ["AuthnRequest", "POST", "SimpleSign", "Redirect"],
            ["Redirect", "SimpleSign", "SOAP"], 3,
        ),
        ("simplesamlphp", ["IDPSSO"], ["Redirect"], ["Redirect"], 2),
    ],
)  # fmt: skip
def test_what_each_of_them_publishes(name: str, roles: list[str], sso: list[str], slo: list[str], keys: int) -> None:
    """The samples have what makes these hard to read: other roles, bindings we do not speak, other keys."""
    root = root_of(SAMPLES[name]().document)
    role = next(root.iter("{*}IDPSSODescriptor"))

    def bindings(service: str) -> list[str]:
        return [
            str(found.get("Binding")).replace("-", ":").rpartition(":")[2] for found in role.iter(f"{{*}}{service}")
        ]

    found = [etree.QName(child).localname for child in root]
    assert [tag.removesuffix("Descriptor") for tag in found if tag.endswith("Descriptor")] == roles
    assert (bindings("SingleSignOnService"), bindings("SingleLogoutService")) == (sso, slo)
    assert len(list(role.iter("{*}KeyDescriptor"))) == keys
    assert set(SAMPLES) == {
        "okta", "entra", "keycloak", "adfs", "google", "onelogin", "authentik", "ping", "shibboleth", "simplesamlphp",
    }  # fmt: skip


def test_one_of_many_entities_may_be_the_identity_provider() -> None:
    several = (
        f'<md:EntitiesDescriptor {NAMESPACES} Name="urn:keycloak"><!-- realm acme -->'
        f"{entity(key(FIRST, '') + service(POST, 'https://idp.example.test/x?a=1&amp;b=2'))}"
        f"{entity('', 'https://sp.example.test', role='SPSSODescriptor')}</md:EntitiesDescriptor>"
    )
    found = parse_identity_provider(several, now=NOW)

    assert (found.entity_id, found.sso_url) == ("https://idp.example.test", "https://idp.example.test/x?a=1&b=2")
    assert (found.sso_binding, found.certificates) == ("HTTP-POST", (FIRST,))
    assert (found.slo_url, found.slo_binding, found.slo_response_url) == (None, None, None)


def logout(location: str, more: str = "", binding: str = REDIRECT) -> str:
    return f'<md:SingleLogoutService Binding="{binding}" Location="{location}" {more}/>'


def test_single_logout_is_read_where_we_speak_the_binding() -> None:
    sso = service(REDIRECT, "https://idp.example.test/sso")
    soap = logout("https://idp.example.test/soap", binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP")
    post = logout("https://idp.example.test/slo", binding=POST)

    assert parse_identity_provider(entity(key(FIRST) + soap + sso), now=NOW).slo_url is None
    found = parse_identity_provider(entity(key(FIRST) + soap + post + sso), now=NOW)
    assert (found.slo_url, found.slo_binding) == ("https://idp.example.test/slo", "HTTP-POST")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (logout("javascript:alert(1)"), "single logout URL is not a web address"),
        (logout(""), "single logout URL is not a web address"),
        (logout("https://u@idp.example.test"), "single logout URL is not a web address"),
        (logout("https://idp.example.test", 'ResponseLocation="//x"'), "single logout response URL is not"),
    ],
)
def test_addresses_of_single_logout_are_checked_too(content: str, words: str) -> None:
    document = entity(key(FIRST) + content + service(REDIRECT, "https://idp.example.test/sso"))
    with pytest.raises(MetadataError, match=words):
        parse_identity_provider(document, now=NOW)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("not xml", "not well-formed XML"),
        ("<a>", "not well-formed XML"),
        ("<html><body>Sign in</body></html>", "not SAML 2.0 metadata"),
        (b"\xff\xfa<a/>", "not UTF-8"),
        ("\ud800", "not UTF-8"),
        (GOOD.replace("<md:IDP", " " * 300_000 + "<md:IDP", 1), "larger than 256 KiB"),
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + GOOD, "document type, an entity"),
        (GOOD.replace("https://idp.example.test/sso", "&xxe;"), "not well-formed XML"),
        ('<?xml-stylesheet href="x"?>' + GOOD, "processing instruction"),
        (entity("", role="SPSSODescriptor"), "describes a service provider"),
        (GOOD.replace(PROTOCOL, "urn:oasis:names:tc:SAML:1.1:protocol"), "no SAML 2.0 identity provider"),
        (f"<md:EntitiesDescriptor {NAMESPACES}>{GOOD}{GOOD}</md:EntitiesDescriptor>", "2 identity providers"),
        (entity(service(REDIRECT, "https://idp.example.test")), "no certificate for signing"),
        (
            entity(key(FIRST, ' use="encryption"') + service(REDIRECT, "https://idp.example.test")),
            "no certificate for signing",
        ),
        (GOOD.replace(bare(FIRST), "AAAA"), "certificate cannot be read"),
        (entity(key(FIRST)), "no single sign-on service"),
        (entity(key(FIRST) + service("urn:other", "https://idp.example.test")), "no single sign-on service"),
        (entity(key(FIRST) + service(REDIRECT, "javascript:alert(1)")), "not a web address"),
        (entity(key(FIRST) + service(REDIRECT, "//idp.example.test/x")), "not a web address"),
        (entity(key(FIRST) + service(REDIRECT, "https://[::1/x")), "not a web address"),
        (entity(key(FIRST) + service(REDIRECT, "https://idp:99999/x")), "not a web address"),
        (entity(key(FIRST) + service(REDIRECT, "https://user@idp/x")), "not a web address"),
        (entity(key(FIRST) + service(REDIRECT, "https://idp/x#y")), "not a web address"),
        (entity(key(FIRST) + service(REDIRECT, "https://idp/" + "x" * 2048)), "not a web address"),
        (GOOD.replace('entityID="https://idp.example.test"', 'entityID=""'), "entity id .* is empty"),
        (GOOD.replace('entityID="https://idp.example.test"', ""), "entity id .* is empty"),
        (GOOD.replace('entityID="', 'entityID="&lt;script>'), "angle brackets"),
        (GOOD.replace('entityID="', 'entityID="' + "x" * 1024), "longer than 1024"),
        (
            GOOD.replace("entityID=", 'validUntil="2030-12-31T00:00:00Z" entityID='),
            "valid until 2030-12-31 00:00",
        ),
        (GOOD.replace("<md:IDPSSODescriptor", '<md:IDPSSODescriptor validUntil="x"'), "not a time"),
    ],
)
def test_ic_6_broken_metadata_is_refused_in_words_that_name_the_rule(document: str | bytes, words: str) -> None:
    with pytest.raises(MetadataError, match=words) as refused:
        parse_identity_provider(document, now=NOW)
    assert refused.value.message == str(refused.value)
    assert refused.value.reason == "metadata"


def test_metadata_is_valid_until_its_end() -> None:
    document = GOOD.replace("entityID=", 'validUntil="2031-01-01T00:00:01.5Z" entityID=')

    assert parse_identity_provider(document, now=NOW).sso_url == "https://idp.example.test/sso"
    with pytest.raises(MetadataError):
        parse_identity_provider(document.replace("01.5Z", "00Z"), now=NOW)


def test_only_the_first_certificate_of_a_chain_is_trusted() -> None:
    chain = f"{bare(FIRST)}</ds:X509Certificate><ds:X509Certificate>{bare(SECOND)}"

    assert parse_identity_provider(GOOD.replace(bare(FIRST), chain), now=NOW).certificates == (FIRST,)


def test_an_identity_provider_typed_by_hand_is_trimmed_and_checked() -> None:
    found = identity_provider_by_hand(
        entity_id=" urn:acme:idp ", sso_url=" https://idp.example.test/sso?a=1 ", certificate=bare(FIRST)
    )

    assert (found.entity_id, found.sso_url, found.certificates) == (
        "urn:acme:idp",
        "https://idp.example.test/sso?a=1",
        (FIRST,),
    )
    assert found.sso_binding == "HTTP-Redirect"


@pytest.mark.parametrize("field", ["entity_id", "sso_url", "certificate"])
def test_a_fault_typed_by_hand_names_its_field(field: str) -> None:
    good = {"entity_id": "urn:idp", "sso_url": "https://idp.example.test", "certificate": FIRST}

    with pytest.raises(MetadataError) as refused:
        identity_provider_by_hand(**{**good, field: " "})
    assert refused.value.field == field


def metadata_schema() -> etree.XMLSchema:
    folder = files("onelogin.saml2").joinpath("schemas", "saml-schema-metadata-2.0.xsd")
    return etree.XMLSchema(etree.parse(str(folder)))


def test_our_metadata_follows_the_schema_and_never_ends() -> None:
    sp = ServiceProvider("http://ic:8000/saml/a&b/metadata", "http://ic:8000/saml/a&b/acs", (KeyPair("key", FIRST),))
    ours = [
        service_provider_metadata(sp),
        service_provider_metadata(ServiceProvider("urn:sp", "https://sp.example.test/acs")),
        identity_provider_metadata(entity_id="urn:idp", sso_url="https://ic/sso?a&b", certificates=[FIRST, SECOND]),
    ]

    for document in ours:
        root = etree.fromstring(document.encode())
        metadata_schema().assertValid(root)
        assert "validUntil" not in document
        assert "cacheDuration" not in document
        assert "key" not in root.itertext()


def test_service_provider_metadata_names_entity_acs_and_key() -> None:
    sp = ServiceProvider("urn:a&b", "http://ic:8000/acs?a&b", (KeyPair("private", FIRST),), sign_requests=True)
    root = etree.fromstring(service_provider_metadata(sp).encode())
    acs = next(root.iter("{*}AssertionConsumerService"))

    assert root.get("entityID") == "urn:a&b"
    assert (acs.get("Location"), acs.get("Binding")) == ("http://ic:8000/acs?a&b", POST)
    assert next(root.iter("{*}X509Certificate")).text == bare(FIRST)
    assert next(root.iter("{*}SPSSODescriptor")).get("AuthnRequestsSigned") == "true"


def test_every_key_is_published_for_signatures_and_encryption_the_current_one_first() -> None:
    pairs = (KeyPair("private", SECOND), KeyPair("private", FIRST))
    sp = ServiceProvider("urn:sp", "https://sp.test/acs", pairs, slo_url="https://sp.test/slo?a&b")
    document = service_provider_metadata(sp)
    root = etree.fromstring(document.encode())

    metadata_schema().assertValid(root)
    keys = [(found.get("use"), next(found.iter("{*}X509Certificate")).text) for found in root.iter("{*}KeyDescriptor")]
    assert keys == [(use, bare(pem)) for use in ("signing", "encryption") for pem in (SECOND, FIRST)]
    methods = [found.get("Algorithm") for found in next(reversed(list(root.iter("{*}KeyDescriptor"))))[1:]]
    assert [str(method).rpartition("#")[2] for method in methods] == ["aes256-gcm", "aes128-gcm", "rsa-oaep-mgf1p"]
    assert next(root.iter("{*}SPSSODescriptor")).get("AuthnRequestsSigned") == "false"
    services = [(found.get("Binding"), found.get("Location")) for found in root.iter("{*}SingleLogoutService")]
    assert services == [(REDIRECT, "https://sp.test/slo?a&b"), (POST, "https://sp.test/slo?a&b")]
    assert "private" not in document


def test_requests_cannot_be_signed_without_a_key() -> None:
    with pytest.raises(ValueError, match="without a key pair"):
        ServiceProvider("urn:sp", "https://sp.test/acs", sign_requests=True)


def test_our_identity_provider_metadata_is_read_by_our_own_parser() -> None:
    document = identity_provider_metadata(
        entity_id="urn:idp", sso_url="https://ic/sso?a&b", certificates=[FIRST, SECOND]
    )
    found = parse_identity_provider(document, now=NOW)

    assert (found.entity_id, found.sso_url) == ("urn:idp", "https://ic/sso?a&b")
    assert found.certificates == (FIRST, SECOND)
