"""Encrypted assertions of an identity provider that is not our code: pysaml2, with the program xmlsec1."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from saml.errors import SamlError
from saml.metadata import parse_identity_provider, service_provider_metadata
from saml.parties import KeyPair, ServiceProvider
from saml.service_provider import Assertion, accept_response, authn_request
from tests.support.need import need
from tests.support.saml_encryption import MGF1P, RSA_1_5, cbc, gcm
from tests.support.saml_idp import PYSAML2_WARNINGS, Pysaml2Idp, key_pair

pytestmark = PYSAML2_WARNINGS

BASE = "http://localhost:8000/saml/acme"
OLD, NEW = KeyPair(*key_pair("current")), KeyPair(*key_pair("next"))
TRIPLE_DES = "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"


def encrypted(
    folder: Path, choose: Any = None, *, published: tuple[KeyPair, ...] = (OLD,), ours: tuple[KeyPair, ...] = (OLD,),
    **signs: bool,
) -> Assertion:  # fmt: skip
    """What we read of what it encrypts for the keys that it finds in our metadata."""
    need(Pysaml2Idp.program(), "xmlsec1")
    sp = ServiceProvider(f"{BASE}/metadata", f"{BASE}/acs", ours)
    idp = Pysaml2Idp(folder, service_provider_metadata(ServiceProvider(sp.entity_id, sp.acs_url, published)))
    if choose:
        idp.server.sec.encrypt_assertion = partial(choose, idp.server.sec.encrypt_assertion)
    trusted = parse_identity_provider(idp.metadata())
    now = datetime.now(UTC)
    asked = authn_request(sp, trusted, relay_state="x", now=now)
    answer, _, _ = idp.answer(asked.url, "张三", identity={"mail": ["z@example.test"]}, encrypt=True, **signs)
    return accept_response(sp, trusted, answer, request_id=asked.id, now=now)


def with_methods(data: str, key: str, kind: str) -> Any:
    """pysaml2 has no setting for it: who runs it writes these few words around one of its methods."""

    def choose(method: Any, statement: Any, enc_key: Any, template: Any, **rest: Any) -> Any:
        chosen = str(template).replace(TRIPLE_DES, data).replace(MGF1P, key)
        return method(statement, enc_key, chosen, **rest | {"key_type": kind})

    return choose


GCM = with_methods(gcm(256), MGF1P, "aes-256")


def test_its_default_triple_des_is_refused_by_name(tmp_path: Path) -> None:
    """Withdrawn by NIST in 2024, and without a check of its own."""
    for signs in ({}, {"sign_response": True}):
        with pytest.raises(SamlError) as refused:
            encrypted(tmp_path, **signs)
        assert refused.value.reason == "algorithm"
        assert "tripledes-cbc" in refused.value.detail


@pytest.mark.parametrize("bits", [128, 256])
def test_aes_gcm_is_opened(tmp_path: Path, bits: int) -> None:
    assertion = encrypted(tmp_path, with_methods(gcm(bits), MGF1P, f"aes-{bits}"))
    assert assertion.name_id == "张三"
    assert ("z@example.test",) in assertion.attributes.values()


def test_aes_cbc_is_opened_under_a_signed_response_only(tmp_path: Path) -> None:
    method = with_methods(cbc(256), MGF1P, "aes-256")
    assert encrypted(tmp_path, method, sign_response=True).name_id == "张三"
    with pytest.raises(SamlError) as refused:
        encrypted(tmp_path, method)
    assert refused.value.reason == "encrypted"


def test_rsa_1_5_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SamlError) as refused:
        encrypted(tmp_path, with_methods(gcm(256), RSA_1_5, "aes-256"), sign_response=True)
    assert refused.value.reason == "algorithm"


def test_encryption_does_not_replace_a_signature(tmp_path: Path) -> None:
    with pytest.raises(SamlError) as refused:
        encrypted(tmp_path, GCM, sign_assertion=False)
    assert refused.value.reason == "unsigned"


def test_while_our_key_is_rolled_over_either_is_opened(tmp_path: Path) -> None:
    """It may hold our old metadata or our new one."""
    for published in ((OLD,), (OLD, NEW), (NEW, OLD)):
        assert encrypted(tmp_path, GCM, published=published, ours=(NEW, OLD)).name_id == "张三"
    with pytest.raises(SamlError) as refused:
        encrypted(tmp_path, GCM, published=(OLD,), ours=(NEW,))
    assert refused.value.reason == "decryption"
