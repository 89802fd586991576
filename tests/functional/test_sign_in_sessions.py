"""How long a session lasts, what ends it, and what is forgotten and kept secret (IC-16)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.directory import users
from portal.core.directory.models import User
from portal.core.federation.models import PendingSignIn, SeenAssertion, SignIn
from portal.settings import Settings
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.sign_ins import count, is_signed_in, last_event
from tests.support.sso import Sso


@pytest.fixture
def sso(make: Make) -> Sso:
    return Sso(make)


@pytest.fixture
def alice(make: Make, sso: Sso) -> User:
    return make.user(sso.space, "alice")


def test_the_idp_can_shorten_the_session_but_not_lengthen_it(
    browser: Browser, make: Make, sso: Sso, alice: User, settings: Settings
) -> None:
    def end_in(minutes: int) -> Callable[[Any], None]:
        end = f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
        return lambda tree: next(tree.iter("{*}AuthnStatement")).set("SessionNotOnOrAfter", end)

    for minutes, least, most in ((30, 29, 31), (100_000, 60 * 8 - 1, 60 * 8 + 1)):
        form = sso.answer(sso.begin(browser), "alice", edit=end_in(minutes))
        assert sso.post(browser, form).status_code == 303
        with make.transaction() as session:
            expires = session.scalars(select(SignIn.expires_at).order_by(SignIn.id.desc()).limit(1)).one()
        left = (expires - clock.now()).total_seconds() / 60
        assert least < left < most


def test_a_session_ends_at_its_time(browser: Browser, sso: Sso, alice: User, settings: Settings) -> None:
    sso.sign_in(browser, "alice")
    with clock.shifted(timedelta(hours=settings.employee_session_hours, seconds=1)):
        assert not is_signed_in(browser)


def test_disabling_a_user_ends_its_sessions_at_once(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    for enabled in (False, True):
        with make.transaction() as session:
            users.set_enabled(session, SYSTEM, user=session.get_one(User, alice.number), enabled=enabled)
        assert not is_signed_in(browser)


def test_signing_in_again_ends_the_session_of_before(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    old = browser.client.get_cookie("portal_employee")
    assert old is not None
    sso.sign_in(browser, "alice")
    new = browser.client.get_cookie("portal_employee")
    assert new is not None
    assert new.value != old.value
    browser.client.set_cookie("portal_employee", old.value)
    assert not is_signed_in(browser)


def test_signing_out_ends_this_session_only(app: Flask, make: Make, sso: Sso, alice: User) -> None:
    here, elsewhere = Browser(app), Browser(app)
    sso.sign_in(here, "alice")
    sso.sign_in(elsewhere, "alice")
    here.open("/home").click("Sign out")
    assert here.title.startswith("Signed out")
    assert not is_signed_in(here)
    assert is_signed_in(elsewhere)
    assert last_event(make, "user.sign_out").actor_name == "alice"
    here.click("Sign in again")
    assert here.url == "/login/acme"


def test_signing_out_needs_the_form_of_our_page(browser: Browser, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    browser.post("/logout", status=400)
    assert is_signed_in(browser)


def test_what_nobody_answered_is_forgotten(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    sso.begin(browser)
    assert (count(make, PendingSignIn), count(make, SeenAssertion)) == (1, 1)
    with clock.shifted(timedelta(hours=1)):
        sso.begin(browser)
    assert (count(make, PendingSignIn), count(make, SeenAssertion)) == (1, 0)


def test_no_secret_of_a_sign_in_is_stored_in_clear(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    sso.begin(browser)
    cookies = [browser.client.get_cookie("portal_employee")]
    cookies.append(browser.client.get_cookie("portal_sign_in", path="/saml/acme"))
    with make.transaction() as session:
        stored = " ".join(
            str(value)
            for table in (SignIn.__table__, PendingSignIn.__table__, AuditEvent.__table__)
            for row in session.execute(select(table))
            for value in row
        )
    for cookie in cookies:
        assert cookie is not None
        assert not re.search(re.escape(cookie.value), stored)
