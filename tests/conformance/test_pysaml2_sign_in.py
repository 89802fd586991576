"""An employee signs in to the portal by an identity provider that is not our code: pysaml2 (IC-16)."""

from __future__ import annotations

from pathlib import Path

from saml.metadata import parse_identity_provider
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.need import need
from tests.support.saml_idp import PYSAML2_WARNINGS, Pysaml2Idp, TestIdp
from tests.support.sso import Sso

pytestmark = PYSAML2_WARNINGS


def test_ic_16_pysaml2_reads_our_metadata_and_request_and_we_take_its_answer(
    browser: Browser, make: Make, tmp_path: Path
) -> None:
    need(Pysaml2Idp.program(), "xmlsec1")
    sso = Sso(make)
    make.user(sso.space, "alice")
    idp = Pysaml2Idp(tmp_path, browser.client.get("/saml/acme/metadata").get_data(as_text=True))
    read = parse_identity_provider(idp.metadata())
    trusted = TestIdp(read.entity_id, read.sso_url)
    trusted.certificate = read.certificates[0]
    sso.trust(trusted)
    saml_response, relay_state, acs_url = idp.answer(sso.begin(browser), "alice")
    assert acs_url == sso.acs_url
    response = sso.post(browser, {"SAMLResponse": saml_response, "RelayState": relay_state})
    assert (response.status_code, response.location) == (303, "/home")
    assert "alice" in browser.open("/home").text
