"""The sample identity provider on its own."""

from __future__ import annotations

import base64
import stat
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from portal.core import clock
from portal.demo import company
from portal.demo.authn_request import MAX_REQUEST, read_request
from portal.demo.idp import create_idp, sample_idp
from portal.settings import load
from saml.errors import SamlError
from saml.logout import Name, Redirected, accept_logout_response, logout_request
from saml.metadata import parse_identity_provider
from saml.parties import KeyPair
from saml.service_provider import Assertion, AuthnRequest, accept_response, authn_request
from tests.support.browser import Browser
from tests.support.saml_idp import key_pair

PORTAL = "http://127.0.0.1:8000"


class Idp:
    """The sample IdP, a browser that stands before it, and the portal's part of a sign-in."""

    def __init__(self, folder: Path) -> None:
        settings = load(environment="demo", data_dir=folder, base_url=PORTAL, secret_key="k" * 32)
        self.known = sample_idp(settings, port=8001)
        self.trusted = parse_identity_provider(self.known.metadata)
        self.browser = Browser(create_idp(settings, port=8001))

    def ask(self) -> AuthnRequest:
        asked = authn_request(self.known.sp, self.trusted, relay_state="relay", now=clock.now())
        self.browser.open("/sso?" + urlsplit(asked.url).query)
        return asked

    def accept(self, asked: AuthnRequest) -> Assertion:
        """What the portal makes of the form that stands on the page now."""
        form = self.browser.page.find("form", attrs={"data-auto-submit": True})
        assert form is not None
        assert form["action"] == self.known.sp.acs_url
        fields = {field["name"]: field["value"] for field in form.find_all("input")}
        assert fields["RelayState"] == "relay"
        return accept_response(
            self.known.sp, self.trusted, fields["SAMLResponse"], request_id=asked.id, now=clock.now()
        )


@pytest.fixture
def idp(tmp_path: Path, _key: Path) -> Idp:
    (tmp_path / "sample-idp.pem").write_bytes(_key.read_bytes())
    return Idp(tmp_path)


@pytest.fixture(scope="module")
def _key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making a key takes a while: one for all tests of this file."""
    folder = tmp_path_factory.mktemp("sample-idp")
    Idp(folder)
    path = folder / "sample-idp.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path


def test_a_person_signs_in_with_the_password_that_the_page_shows(idp: Idp) -> None:
    asked = idp.ask()
    assert company.EMPLOYEE_PASSWORD in idp.browser.text
    idp.browser.submit("Sign in", name="alice", password=company.EMPLOYEE_PASSWORD)
    assert idp.accept(asked).name_id == "alice"
    assert f"form-action 'self' {PORTAL};" in idp.browser.response.headers["Content-Security-Policy"]


def test_a_person_of_the_list_is_two_clicks_away(idp: Idp) -> None:
    asked = idp.ask()
    for person in company.PEOPLE:
        assert person.job in idp.browser.text
    idp.browser.click("bob Developer: one account, one role").submit("Sign in")
    assert idp.accept(asked).name_id == "bob"


def test_a_user_that_was_made_in_the_console_can_be_typed(idp: Idp) -> None:
    asked = idp.ask()
    idp.browser.submit("Sign in", name="new.person", password=company.EMPLOYEE_PASSWORD)
    assert idp.accept(asked).name_id == "new.person"


@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("alice", "pässword"), ("al ice", None)])
def test_a_wrong_password_or_an_impossible_name_signs_nobody_in(idp: Idp, name: str, password: str | None) -> None:
    idp.ask()
    idp.browser.submit("Sign in", status=400, name=name, password=password or company.EMPLOYEE_PASSWORD)
    assert "The user name or the password is wrong." in idp.browser.text
    idp.browser.open("/")
    assert "Nobody is signed in" in idp.browser.text


def test_the_second_sign_in_is_one_click_until_somebody_signs_out(idp: Idp) -> None:
    idp.ask()
    idp.browser.submit("Sign in", name="alice", password=company.EMPLOYEE_PASSWORD)
    asked = idp.ask()
    idp.browser.submit("Continue as alice")
    assert idp.accept(asked).name_id == "alice"

    asked = idp.ask()
    idp.browser.click("Another person")
    idp.browser.submit("Sign in", name="carol", password=company.EMPLOYEE_PASSWORD)
    assert idp.accept(asked).name_id == "carol"

    idp.browser.open("/").submit("Sign out")
    assert "Nobody is signed in" in idp.browser.text
    idp.ask()
    assert idp.browser.page.find("button", attrs={"name": "continue"}) is None


def test_without_a_session_nobody_continues(idp: Idp) -> None:
    asked = idp.ask()
    token = idp.browser.page.find("input", attrs={"name": "csrf_token"})
    assert token is not None
    query = parse_qs(urlsplit(asked.url).query)
    fields = {"csrf_token": token["value"], "SAMLRequest": query["SAMLRequest"][0], "continue": "y"}
    idp.browser.post("/sso", fields, status=400)
    assert idp.browser.page.find("form", attrs={"data-auto-submit": True}) is None


def test_a_form_without_its_token_is_refused(idp: Idp) -> None:
    asked = idp.ask()
    fields = {"SAMLRequest": parse_qs(urlsplit(asked.url).query)["SAMLRequest"][0], "name": "alice"}
    idp.browser.post("/sso", fields | {"password": company.EMPLOYEE_PASSWORD}, status=400)
    assert "That did not work" in idp.browser.text


def test_the_portal_can_sign_people_out_and_is_told_so(idp: Idp) -> None:
    idp.ask()
    idp.browser.submit("Sign in", name="alice", password=company.EMPLOYEE_PASSWORD)
    slo_url = f"{PORTAL}/saml/{company.SPACE}/slo"
    sp = replace(idp.known.sp, keys=(KeyPair(*key_pair("portal")),), slo_url=slo_url)
    asked = logout_request(sp, idp.trusted, name=Name("alice"), relay_state="relay", now=clock.now())
    answer = idp.browser.client.get("/slo?" + urlsplit(asked.url).query).location
    assert answer.startswith(slo_url + "?")
    received = Redirected(urlsplit(answer).query)
    told = accept_logout_response(sp, idp.trusted, received, request_id=asked.id, now=clock.now())
    assert (told.success, told.relay_state) == (True, "relay")
    assert "Nobody is signed in" in idp.browser.open("/").text
    idp.browser.open("/slo?SAMLRequest=nothing", status=400)


def test_its_metadata_is_what_the_portal_can_read(idp: Idp) -> None:
    answer = idp.browser.client.get("/metadata")
    assert answer.mimetype == "application/xml"
    assert parse_identity_provider(answer.data) == idp.trusted
    assert idp.trusted.sso_url == "http://127.0.0.1:8001/sso"


def deflated(message: str) -> str:
    compressor = zlib.compressobj(wbits=-15)
    return base64.b64encode(compressor.compress(message.encode()) + compressor.flush()).decode()


def message(**changes: str) -> str:
    values = {
        "root": "AuthnRequest",
        "id": "_1",
        "issuer": f"{PORTAL}/saml/acme/metadata",
        "acs": f"{PORTAL}/saml/acme/acs",
        "destination": "http://127.0.0.1:8001/sso",
        "before": "",
    } | changes
    return (
        '{before}<p:{root} xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol"'
        ' xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion"'
        ' ID="{id}" Version="2.0" AssertionConsumerServiceURL="{acs}" Destination="{destination}">'
        "<a:Issuer>{issuer}</a:Issuer></p:{root}>"
    ).format(**values)


def test_a_request_as_the_portal_makes_it_is_read(idp: Idp) -> None:
    assert read_request(deflated(message()), idp.known.sp, sso_url=idp.known.sso_url) == "_1"


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (deflated(message(issuer="https://elsewhere.example/metadata")), "issuer"),
        (deflated(message(acs="https://elsewhere.example/acs")), "recipient"),
        (deflated(message(destination="http://127.0.0.1:9/sso")), "destination"),
        (deflated(message(root="LogoutRequest")), "shape"),
        (deflated(message(id="not an id")), "shape"),
        (deflated(message(before='<!DOCTYPE x [<!ENTITY e "y">]>')), "xml"),
        (deflated("no xml"), "xml"),
        (deflated(" " * 10 * MAX_REQUEST + message()), "size"),
        (deflated(message())[:40], "size"),
        (base64.b64encode(message().encode()).decode(), "encoding"),
        ("*", "encoding"),
        ("é", "encoding"),
        ("", "size"),
        ("A" * (MAX_REQUEST + 1), "size"),
    ],
)
def test_what_is_no_request_of_the_portal_is_refused_with_a_page(idp: Idp, encoded: str, reason: str) -> None:
    with pytest.raises(SamlError) as refused:
        read_request(encoded, idp.known.sp, sso_url=idp.known.sso_url)
    assert refused.value.reason == reason
    query: dict[str, Any] = {"SAMLRequest": encoded}
    idp.browser.open(f"/sso?{urlencode(query)}", status=400)
    assert "This is no sign-in request of the portal" in idp.browser.text
