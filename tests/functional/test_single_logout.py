"""Signing out here signs out at the IdP, and the other way round (IC-16)."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import Tag
from flask import Flask
from lxml import etree
from werkzeug.test import TestResponse

from portal.core import clock
from portal.core.audit import AuditEvent
from portal.core.federation.models import PendingLogout
from portal.settings import Settings
from tests.support import saml_logout
from tests.support.browser import Browser, query_of
from tests.support.make import Make
from tests.support.saml_attack import setting
from tests.support.saml_idp import TestIdp, key_pair
from tests.support.saml_logout import MINUTE
from tests.support.sign_ins import count, is_signed_in, last_event, refusals_counted, sessions_of
from tests.support.sso import Sso

SLO = "https://idp.example.test/slo"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
PARTIAL = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout"
RESPONDER = "urn:oasis:names:tc:SAML:2.0:status:Responder"


@pytest.fixture
def sso(make: Make) -> Sso:
    sso = Sso(make)
    make.user(sso.space, "alice")
    make.user(sso.space, "bob")
    sso.trust(sso.idp, slo_url=SLO, slo_binding="HTTP-Redirect")
    sso.give_key()
    sso.choose(single_logout=True)
    return sso


def decoded(url: str, name: str) -> etree._Element:
    import base64
    import zlib

    return etree.fromstring(zlib.decompress(base64.b64decode(query_of(url)[name]), -15))


def signed_out(browser: Browser) -> str:
    """Press the button; where the page leads on to, or nothing."""
    browser.open("/home").click("Sign out")
    link = browser.page.find("a", string="Continue")
    return str(link["href"]) if isinstance(link, Tag) else ""


def asking(sso: Sso, **lies: Any) -> etree._Element:
    values = {"issuer": sso.idp.entity_id, "destination": sso.slo_url, "now": clock.now(), "sessions": ()}
    return saml_logout.request(**values | lies)


def ask(browser: Browser, sso: Sso, message: etree._Element, key: str = "", **options: Any) -> TestResponse:
    query = saml_logout.redirected(message, key or sso.idp.private_key, **options)
    return browser.client.get(f"/saml/{sso.name}/slo?{query}")


def answer(browser: Browser, sso: Sso, asked: str, **lies: Any) -> Browser:
    request_id = decoded(asked, "SAMLRequest").get("ID")
    values = {"issuer": sso.idp.entity_id, "destination": sso.slo_url, "now": clock.now(), "in_response_to": request_id}
    message = saml_logout.response(**values | lies)
    relay_state = query_of(asked)["RelayState"]
    query = saml_logout.redirected(message, sso.idp.private_key, name="SAMLResponse", relay_state=relay_state)
    return browser.open(f"/saml/{sso.name}/slo?{query}")


def test_signing_out_here_asks_the_idp_for_this_session(browser: Browser, make: Make, sso: Sso) -> None:
    sso.sign_in(browser, "alice")
    (session,) = sessions_of(make)
    asked = signed_out(browser)
    assert not is_signed_in(browser)
    assert browser.response.headers["Refresh"] == f"0;url={asked}"
    assert asked.startswith(SLO + "?SAMLRequest=")
    assert query_of(asked)["Signature"]
    message = decoded(asked, "SAMLRequest")
    assert message.findtext(f"{SAML}NameID") == "alice"
    assert message.findtext(f"{SAMLP}SessionIndex") == session.session_index
    assert "of the portal and of the sign-in page of your company" in answer(browser, sso, asked).text
    assert count(make, PendingLogout) == 0


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        ({"second": PARTIAL}, "could not sign you out of everything"),
        ({"status": RESPONDER, "second": PARTIAL}, "could not sign you out of everything"),
        ({"status": RESPONDER}, "did not sign you out there"),
    ],
)
def test_the_page_tells_what_the_idp_did(browser: Browser, sso: Sso, lies: dict[str, Any], words: str) -> None:
    sso.sign_in(browser, "alice")
    assert words in answer(browser, sso, signed_out(browser), **lies).text
    assert "Consoles of accounts that you opened stay open" in browser.text


def test_an_idp_that_takes_posts_gets_a_form(browser: Browser, sso: Sso) -> None:
    sso.trust(sso.idp, slo_url=SLO, slo_binding="HTTP-POST")
    sso.sign_in(browser, "alice")
    browser.open("/home").click("Sign out")
    form = browser.page.find("form", attrs={"data-auto-submit": True})
    assert isinstance(form, Tag)
    assert form["action"] == SLO
    assert {field["name"] for field in form.find_all("input")} == {"SAMLRequest", "RelayState"}
    assert "form-action 'self' https://idp.example.test https:;" in browser.response.headers["Content-Security-Policy"]


def test_signing_out_stays_here_where_there_is_nothing_to_ask(browser: Browser, make: Make, sso: Sso) -> None:
    sso.sign_in(browser, "alice")
    sso.choose(single_logout=False)
    assert signed_out(browser) == ""
    assert browser.url == "/login/acme/signed-out"
    assert "Your company account may still be signed in" in browser.text
    sso.choose(single_logout=True)
    sso.trust(sso.idp)
    sso.sign_in(browser, "alice")
    assert signed_out(browser) == "", "the IdP offers none"
    sso.sign_in(browser, "alice")
    sso.trust(TestIdp("https://new.example.test/metadata"), slo_url=SLO, slo_binding="HTTP-Redirect")
    assert signed_out(browser) == "", "another IdP knows nothing of this session"
    assert count(make, PendingLogout) == 0


def test_without_a_key_nothing_is_asked_and_nothing_is_published(browser: Browser, make: Make) -> None:
    sso = Sso(make)
    make.user(sso.space, "alice")
    sso.trust(sso.idp, slo_url=SLO, slo_binding="HTTP-Redirect")
    sso.sign_in(browser, "alice")
    assert ask(browser, sso, asking(sso)).status_code == 403
    assert signed_out(browser) == ""
    metadata = "/saml/acme/metadata"
    assert "SingleLogoutService" not in browser.client.get(metadata).get_data(as_text=True)
    certificate = sso.give_key()
    text = browser.client.get(metadata).get_data(as_text=True)
    assert text.count(f'Location="{sso.slo_url}"') == 2
    assert text.count("".join(certificate.split("-----")[2].split())) == 2


def test_an_answer_counts_once_and_for_minutes(browser: Browser, make: Make, sso: Sso, settings: Settings) -> None:
    sso.sign_in(browser, "alice")
    asked = signed_out(browser)
    answer(browser, sso, asked)
    with pytest.raises(AssertionError, match="403"):
        answer(browser, sso, asked)
    assert browser.title.startswith("Not accepted")
    sso.sign_in(browser, "alice")
    late = signed_out(browser)
    with clock.shifted(MINUTE * (settings.sign_in_minutes + 1)):
        with pytest.raises(AssertionError, match="403"):
            answer(browser, sso, late)
        sso.post(browser, sso.answer(sso.begin(browser), "alice", now=clock.now()))
        signed_out(browser)
        assert count(make, PendingLogout) == 1, "what nobody answered is forgotten"


def test_the_idp_ends_the_session_it_names(app: Flask, browser: Browser, make: Make, sso: Sso) -> None:
    here, elsewhere, bob = browser, Browser(app), Browser(app)
    for each, name in ((here, "alice"), (elsewhere, "alice"), (bob, "bob")):
        sso.sign_in(each, name)
    first = sessions_of(make)[0].session_index
    response = ask(here, sso, asking(sso, sessions=(first, "_unknown")), relay_state="theirs")
    assert response.status_code == 303
    assert response.location.startswith(SLO + "?SAMLResponse=")
    assert query_of(response.location)["RelayState"] == "theirs"
    assert [is_signed_in(each) for each in (here, elsewhere, bob)] == [False, True, True]
    event = last_event(make, "user.sign_out")
    assert (event.actor_kind, event.actor_name, event.target_name) == ("system", sso.idp.entity_id, "alice")
    assert event.details["sessions"] == 1


@pytest.mark.parametrize("length", [257, 1024])
def test_a_long_index_ends_its_session_as_a_short_one(browser: Browser, make: Make, sso: Sso, length: int) -> None:
    index = "x" * length
    form = sso.answer(sso.begin(browser), "alice", edit=setting("AuthnStatement", "SessionIndex", index))
    assert sso.post(browser, form).status_code == 303
    assert ask(browser, sso, asking(sso, sessions=("_other",))).status_code == 303
    assert is_signed_in(browser)
    assert ask(browser, sso, asking(sso, sessions=(index,))).status_code == 303
    assert not is_signed_in(browser)


def test_without_an_index_it_ends_all_of_the_name_in_this_space(
    app: Flask, browser: Browser, make: Make, sso: Sso
) -> None:
    beta = Sso(make, "beta")
    make.user(beta.space, "alice")
    elsewhere, in_beta, bob = Browser(app), Browser(app), Browser(app)
    sso.sign_in(browser, "alice")
    sso.sign_in(elsewhere, "alice")
    sso.sign_in(bob, "bob")
    beta.sign_in(in_beta, "alice")
    assert ask(browser, sso, asking(sso)).status_code == 303
    assert [is_signed_in(each) for each in (browser, elsewhere, in_beta, bob)] == [False, False, True, True]
    assert last_event(make, "user.sign_out").details["sessions"] == 2


def test_the_same_request_again_is_answered_and_ends_nothing(browser: Browser, sso: Sso) -> None:
    sso.sign_in(browser, "alice")
    message = asking(sso)
    assert ask(browser, sso, message).status_code == 303
    sso.sign_in(browser, "alice")
    assert ask(browser, sso, message).status_code == 303
    assert is_signed_in(browser)


def test_a_name_that_nobody_has_gets_the_same_answer(browser: Browser, sso: Sso) -> None:
    sso.sign_in(browser, "alice")
    answers = []
    for name in ("alice", "nobody"):
        message = asking(sso, name_id=name)
        answers.append(decoded(ask(browser, sso, message).location, "SAMLResponse"))
        assert answers[-1].get("InResponseTo") == message.get("ID")
    codes = [each.find(f".//{SAMLP}StatusCode").get("Value") for each in answers]  # type: ignore[union-attr]
    assert codes[0] == codes[1]
    assert codes[0].endswith(":Success")


def test_by_post_and_to_the_address_for_answers(browser: Browser, sso: Sso) -> None:
    sso.trust(sso.idp, slo_url=SLO, slo_binding="HTTP-POST", slo_response_url="https://idp.example.test/slo/done")
    sso.sign_in(browser, "alice")
    message = saml_logout.posted(asking(sso), (sso.idp.private_key, sso.idp.certificate))
    browser.post("/saml/acme/slo", {"SAMLRequest": message, "RelayState": "https://evil.example.test/"})
    form = browser.page.find("form", attrs={"data-auto-submit": True})
    assert isinstance(form, Tag)
    assert form["action"] == "https://idp.example.test/slo/done"
    assert not is_signed_in(browser)


def test_an_idp_that_takes_no_answer_leaves_the_person_on_a_page(browser: Browser, sso: Sso) -> None:
    sso.trust(sso.idp)
    sso.sign_in(browser, "alice")
    response = ask(browser, sso, asking(sso), relay_state="https://evil.example.test/")
    assert response.status_code == 200
    assert "You are signed out" in response.get_data(as_text=True)
    assert not is_signed_in(browser)


@pytest.mark.parametrize(
    ("lies", "reason"),
    [
        ({"issuer": "https://somebody-else.example.test"}, "issuer"),
        ({"destination": "http://localhost/saml/beta/slo"}, "destination"),
        ({"past": True}, "expired"),
        ({"key": key_pair("https://somebody-else.example.test")[0]}, "signature"),
        ({"algorithm": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}, "algorithm"),
        ({"unsigned": True}, "unsigned"),
        ({"bomb": True}, "size"),
        ({"empty": True}, "encoding"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_that_is_not_right_ends_nothing(
    browser: Browser, make: Make, sso: Sso, lies: dict[str, Any], reason: str
) -> None:
    sso.sign_in(browser, "alice")
    before, events = refusals_counted(browser, reason, "logout"), count(make, AuditEvent)
    lies = dict(lies)
    options = {name: lies.pop(name) for name in ("key", "algorithm") if name in lies}
    if lies.pop("past", False):
        lies["now"] = clock.now() - 60 * MINUTE
    unsigned, bomb, empty = (lies.pop(name, False) for name in ("unsigned", "bomb", "empty"))
    key = options.pop("key", sso.idp.private_key)
    message: Any = b"<a>" + b" " * 5_000_000 + b"</a>" if bomb else asking(sso, **lies)
    query = "" if empty else saml_logout.redirected(message, key, **options)
    response = browser.client.get(f"/saml/acme/slo?{query.split('&SigAlg')[0] if unsigned else query}")
    page = response.get_data(as_text=True)
    assert response.status_code == 403, page
    assert response.headers["X-Request-Id"] in page
    assert refusals_counted(browser, reason, "logout") == before + 1
    assert is_signed_in(browser)
    assert count(make, AuditEvent) == events
    assert ask(browser, sso, asking(sso)).status_code == 303
    assert not is_signed_in(browser)


def test_posts_that_are_not_right_end_nothing(browser: Browser, sso: Sso) -> None:
    sso.sign_in(browser, "alice")
    key = (sso.idp.private_key, sso.idp.certificate)
    unsigned = saml_logout.posted(asking(sso), None)
    tampered = saml_logout.posted(
        asking(sso, name_id="bob"), key, edit_signed=lambda tree: setattr(tree.find(f"{SAML}NameID"), "text", "alice")
    )
    for form in ({"SAMLRequest": unsigned}, {"SAMLRequest": tampered}, {"SAMLRequest": "A" * 900_000}, {}):
        assert browser.client.post("/saml/acme/slo", data=form).status_code == 403
    assert is_signed_in(browser)
