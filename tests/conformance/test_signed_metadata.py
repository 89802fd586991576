"""Metadata as identity providers that are not our code write and sign it, verified and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saml.errors import MetadataError
from saml.metadata import parse_identity_provider, service_provider_metadata
from saml.parties import ServiceProvider
from tests.support.need import need
from tests.support.saml_idp import PYSAML2_WARNINGS, Pysaml2Idp, key_pair
from tests.support.simplesamlphp import SimpleSamlPhp

pytestmark = PYSAML2_WARNINGS


def of_simplesamlphp(idp: SimpleSamlPhp, folder: Path, algorithm: str) -> tuple[str, str]:
    idp.choose(metadata_sign_enable=True, metadata_sign_algorithm=algorithm)
    return idp.metadata(), key_pair("simplesamlphp")[1]


def of_pysaml2(idp: SimpleSamlPhp, folder: Path, algorithm: str) -> tuple[str, str]:
    from saml2.metadata import entity_descriptor, sign_entity_descriptor
    from saml2.xmldsig import DIGEST_SHA256

    need(Pysaml2Idp.program(), "xmlsec1")
    entity_id = "https://pysaml2.example.test/idp"
    sp = ServiceProvider("https://sp.example.test/metadata", "https://sp.example.test/acs")
    server = Pysaml2Idp(folder, service_provider_metadata(sp), entity_id=entity_id).server
    _, document = sign_entity_descriptor(
        entity_descriptor(server.config), None, server.sec, sign_alg=algorithm, digest_alg=DIGEST_SHA256
    )
    return str(document), key_pair(entity_id)[1]


Signed = Callable[[SimpleSamlPhp, Path, str], tuple[str, str]]
BOTH: list[Signed] = [of_simplesamlphp, of_pysaml2]
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"


@pytest.mark.parametrize("of", BOTH)
def test_what_they_sign_is_verified_and_read(idp: SimpleSamlPhp, tmp_path: Path, of: Signed) -> None:
    document, certificate = of(idp, tmp_path, RSA_SHA256)
    read = parse_identity_provider(document, signed_by=[certificate])

    assert read == parse_identity_provider(document)
    assert read.certificates == (certificate,)
    assert read.slo_url
    with pytest.raises(MetadataError, match="does not hold"):
        parse_identity_provider(document, signed_by=[key_pair("foreign")[1]])
    with pytest.raises(MetadataError, match="does not hold"):
        parse_identity_provider(document.replace(read.sso_url, read.sso_url + "/x"), signed_by=[certificate])


@pytest.mark.parametrize("of", BOTH)
def test_what_they_sign_with_sha_1_is_read_but_proves_nothing(idp: SimpleSamlPhp, tmp_path: Path, of: Signed) -> None:
    document, certificate = of(idp, tmp_path, RSA_SHA1)

    assert parse_identity_provider(document).certificates == (certificate,)
    with pytest.raises(MetadataError, match="SHA-256 or better"):
        parse_identity_provider(document, signed_by=[certificate])
