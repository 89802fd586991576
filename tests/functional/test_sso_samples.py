"""Metadata in the shape of ten identity providers, brought to the console: read right at the first try (IC-6)."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from portal.core.federation.identity_provider import current
from saml.keys import read_certificate
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_metadata import SAMPLES


def codes(page: BeautifulSoup) -> list[str]:
    """What stands on the page to be compared and copied."""
    return [code.get_text() for code in page.select("main code")]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_ic_6_the_metadata_of_each_is_read_previewed_and_trusted(browser: Browser, make: Make, name: str) -> None:
    sample = SAMPLES[name]()
    space = admin.sign_in(browser, make).space
    fingerprints = [read_certificate(pem).fingerprint for pem in sample.certificates]

    browser.open("/console/sso/identity-provider")
    browser.submit("Preview", metadata=(f"{name}.xml", sample.document.encode()))
    for text in (sample.entity_id, sample.sso_url, sample.sso_binding, *fingerprints):
        assert text in browser.text, text
    shown = [code for code in codes(browser.page) if ":" in code and len(code) == len(fingerprints[0])]
    assert sorted(set(shown)) == sorted(set(fingerprints)), "no other certificate, such as one for encryption"

    browser.click("Keep and test")
    browser.submit("Trust it now", untested=True)
    for text in (sample.entity_id, sample.sso_url, *fingerprints):
        assert text in browser.text, text
    with make.transaction() as session:
        idp = current(session, space)
    assert idp is not None
    assert (idp.entity_id, idp.sso_url, idp.sso_binding) == (sample.entity_id, sample.sso_url, sample.sso_binding)
    assert [certificate.fingerprint for certificate in idp.certificates] == fingerprints
