"""Genuine answers in the wrong hands, at the wrong door, or for the second time."""

from __future__ import annotations

import pytest

from portal.core.federation.models import SignIn
from tests.support.browser import Browser
from tests.support.saml_attack import setting
from tests.support.saml_doors import Attack, Doors
from tests.support.sign_ins import count, is_signed_in, sessions_of

HONEST = Attack("")


def test_an_answer_again_is_refused_in_this_process_and_in_another(doors: Doors) -> None:
    browser = doors.browser()
    form = doors.form(doors.acme, browser, HONEST)
    assert doors.acme.post(browser, form).status_code == 303
    sessions = count(doors.make, SignIn)
    doors.is_told(doors.acme.post(browser, form), "replayed")
    kept = doors.kept()
    for other in (Browser(doors.process()), doors.browser(), browser):
        assert doors.acme.post(other, form).status_code == 403
    assert doors.kept() == kept, "told once, however often it comes"
    assert count(doors.make, SignIn) == sessions


def test_an_answer_for_the_second_time_is_told_by_whichever_process_gets_it(doors: Doors) -> None:
    browser, other = doors.browser(), Browser(doors.process())
    form = doors.form(doors.acme, browser, HONEST)
    assert doors.acme.post(browser, form).status_code == 303
    doors.is_told(doors.acme.post(other, form), "replayed")
    assert not is_signed_in(other)


def test_an_assertion_again_in_answer_to_another_request_is_refused(doors: Doors) -> None:
    browser = doors.browser()
    same = Attack("", {"assertion_id": "_same"})
    assert doors.acme.post(browser, doors.form(doors.acme, browser, same)).status_code == 303
    doors.is_told(doors.acme.post(browser, doors.form(doors.acme, browser, same)), "replayed")


def test_a_stolen_answer_opens_no_other_browser(doors: Doors) -> None:
    victim, thief = doors.browser(), doors.browser()
    form = doors.form(doors.acme, victim, HONEST)
    doors.acme.begin(thief)
    attempt = doors.is_told(doors.acme.post(thief, form), "other-browser")
    assert (attempt.user_name, '"failed"' in attempt.checks) == ("alice", False), "genuine, and whose it was"
    assert not is_signed_in(thief)
    assert doors.acme.post(victim, form).status_code == 403, "used up"
    assert doors.acme.post(victim, doors.form(doors.acme, victim, HONEST)).status_code == 303


def test_login_csrf_an_attacker_cannot_sign_a_visitor_in_as_himself(doors: Doors) -> None:
    """Neither with the answer to a request of his own, nor (where the IdP may start) over somebody's session."""
    attacker, visitor = doors.browser(), doors.browser()
    asked = doors.acme.begin(attacker)
    doors.is_told(doors.acme.post(visitor, doors.acme.answer(asked, "root")), "other-browser")
    doors.is_told(doors.acme.post(visitor, doors.acme.unasked("root")), "unsolicited")
    doors.acme.choose(idp_initiated=True)
    try:
        assert doors.acme.post(visitor, doors.form(doors.acme, visitor, HONEST)).status_code == 303
        visitor.post(doors.acme.acs_url.removeprefix("http://localhost"), doors.acme.unasked("root"))
        assert visitor.title.startswith("Continue as root?")
        assert "alice" in visitor.open("/home").text
    finally:
        doors.acme.choose()


def test_a_request_of_the_attacker_cannot_be_answered_by_the_victim(doors: Doors) -> None:
    """The victim is led to the IdP with the attacker's request; what comes back is of no use to either."""
    attacker, victim = doors.browser(), doors.browser()
    form = doors.acme.answer(doors.acme.begin(attacker), "alice")
    doors.is_told(doors.acme.post(victim, form), "other-browser")
    assert doors.acme.post(attacker, form).status_code == 403
    assert not is_signed_in(attacker)


def test_an_answer_without_its_request_is_refused(doors: Doors) -> None:
    """InResponseTo is in two places: taken from the outer one, or from none."""
    browser = doors.browser()
    for value in (None, "_0"):
        form = doors.form(doors.acme, browser, Attack("", tree=setting("Response", "InResponseTo", value)))
        doors.is_untold(browser, form, "in-response-to")
    confirmation = Attack(
        "", {"edit": lambda tree: next(tree.iter("{*}SubjectConfirmationData")).attrib.pop("InResponseTo")}
    )
    doors.is_told(doors.acme.post(browser, doors.form(doors.acme, browser, confirmation)), "in-response-to")
    assert doors.acme.post(browser, doors.form(doors.acme, browser, HONEST)).status_code == 303


@pytest.mark.parametrize(
    "relay_state", ["https://evil.example.test/", "//evil.example.test", "javascript:alert(1)", ""]
)
def test_open_redirect_another_relay_state_leads_nowhere(doors: Doors, relay_state: str) -> None:
    browser = doors.browser()
    form = doors.form(doors.acme, browser, HONEST)
    doors.is_told(doors.acme.post(browser, form | {"RelayState": relay_state}), "relay-state")
    again = doors.acme.post(browser, doors.form(doors.acme, browser, HONEST))
    assert (again.status_code, again.location) == (303, "/home")


@pytest.mark.parametrize("target", ["https://evil.example.test/", "//evil.test", "/\\evil.test", "/\t/evil.test"])
def test_open_redirect_a_target_elsewhere_is_the_portal(doors: Doors, target: str) -> None:
    browser = doors.browser()
    assert doors.acme.sign_in(browser, "alice", target).location == "/home"
    doors.acme.choose(idp_initiated=True)
    try:
        response = doors.acme.post(browser, doors.acme.unasked("alice", target))
    finally:
        doors.acme.choose()
    assert response.location == "/saml/acme/arrive?next=/home"


def test_two_spaces_are_not_mixed(doors: Doors) -> None:
    browser, acme, beta = doors.browser(), doors.acme, doors.beta
    at_acme, at_beta = acme.begin(browser), beta.begin(browser)
    theirs = beta.answer(at_beta, "root")
    doors.is_untold(browser, theirs, "issuer")
    doors.is_untold(browser, acme.answer(at_acme, "root", in_response_to="_0", audience=beta.audience), "audience")
    by_beta = beta.idp.respond(at_acme, acme.acs_url, acme.audience, "root")
    form = acme.answer(at_acme, "root") | {"SAMLResponse": by_beta}
    doors.is_told(acme.post(browser, form), "issuer")
    pretending = beta.idp.respond(acme.begin(browser), acme.acs_url, acme.audience, "root", issuer=acme.idp.entity_id)
    assert acme.post(browser, form | {"SAMLResponse": pretending}).status_code == 403
    assert not is_signed_in(browser)
    assert beta.post(browser, theirs).status_code == 303, "at its own door it is right"
    assert sessions_of(doors.make)[-1].idp_entity_id == beta.idp.entity_id
