"""The administrator's door: /console/login."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from portal.core import clock, secrets
from portal.core.audit import AuditEvent, Result
from portal.core.cam.models import CamPolicy, CamUser, HolderType
from portal.core.cam.policies import attach_exactly
from tests.support import admin
from tests.support.browser import Browser

REFUSAL = "The account, the user name or the password is not right"


def events(make, action="administrator.sign_in"):
    with make.transaction() as session:
        return session.scalars(select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)).all()


def test_ic_18_an_administrator_signs_in_by_space_name_and_lands_on_the_overview(browser, make):
    signed_in = admin.sign_in(browser, make)
    assert browser.title.startswith("Overview")
    assert "Acme" in browser.text
    event = events(make)[-1]
    assert (event.result, event.actor_name, event.organization_id) == (
        Result.ACCEPTED,
        "admin",
        signed_in.organization.id,
    )


def test_an_administrator_signs_in_by_the_number_of_the_admin_account_before_there_is_a_space(browser, make):
    organization = admin.make_organization(make, "Acme")
    admin.make_administrator(make, organization)
    browser.open("/console/login")
    assert browser.page.find(id="account")["value"] == str(organization.admin_uin)
    admin.enter(browser, organization.admin_uin, "ADMIN")
    assert browser.title.startswith("Activate")


def test_the_account_is_not_filled_in_when_there_are_several_organizations(browser, make):
    admin.make_organization(make, "One")
    admin.make_organization(make, "Two")
    browser.open("/console/login")
    assert browser.page.find(id="account")["value"] == ""


@pytest.mark.parametrize(
    ("account", "user_name", "password"),
    [
        ("acme", "admin", "guessed it"),
        ("acme", "nobody", admin.PASSWORD),
        ("elsewhere", "admin", admin.PASSWORD),
        ("9" * 30, "admin", admin.PASSWORD),
        ("acme' --", "<b>admin</b>", admin.PASSWORD),
    ],
)
def test_every_wrong_sign_in_gets_the_same_answer_and_is_audited(browser, make, account, user_name, password):
    organization = admin.sign_in(browser, make).organization
    browser.click("Sign out")
    admin.enter(browser, account, user_name, password, status=400)
    assert REFUSAL in browser.text
    assert browser.page.find(id="password").get("value", "") == ""
    event = events(make)[-1]
    known = (account, user_name) == ("acme", "admin")  # what nobody is called may be a password in the wrong field
    assert (event.result, event.target_name) == (Result.REFUSED, user_name if known else "")
    assert event.organization_id == (organization.id if account == "acme" else None)
    assert password not in f"{event.reason} {event.details} {event.search_key}"


def test_empty_fields_are_named(browser, make):
    browser.open("/console/login")
    browser.submit("Sign in", status=400)
    assert "Password: This field is required" in browser.text


def test_five_wrong_passwords_lock_the_user_for_a_while_even_with_the_right_one(browser, make):
    admin.sign_in(browser, make)
    browser.click("Sign out")
    for _ in range(5):
        admin.enter(browser, "acme", "admin", "guessed it", status=400)
    admin.enter(browser, "acme", "admin", status=400)
    assert REFUSAL in browser.text
    with clock.shifted(timedelta(minutes=16)):
        admin.enter(browser, "acme", "admin")
        assert browser.title.startswith("Overview")


def test_while_a_password_is_compared_others_can_write(browser, make, monkeypatch):
    """Argon2 takes long on purpose; with SQLite there is one writer."""
    admin.sign_in(browser, make)
    browser.click("Sign out")
    hasher, written = secrets._passwords, []

    class Hasher(PasswordHasher):
        def verify(self, hash, password):
            with ThreadPoolExecutor(1) as elsewhere:
                written.append(elsewhere.submit(make.organization).result())
            return hasher.verify(hash, password)

    monkeypatch.setattr(secrets, "_passwords", Hasher())
    admin.enter(browser, "acme", "admin")
    assert browser.title.startswith("Overview")
    assert len(written) == 1


@pytest.mark.parametrize(
    ("condition", "lets_in"),
    [
        ({"ip_equal": {"qcs:ip": ["127.0.0.0/8"]}}, True),
        ({"ip_equal": {"qcs:ip": ["198.51.100.0/24"]}}, False),
        ({"date_greater_than": {"qcs:current_time": "2020-01-01T00:00:00Z"}}, True),
        ({"date_less_than": {"qcs:current_time": "2020-01-01T00:00:00Z"}}, False),
        ({"string_equal": {"qcs:uin": "${uin}"}}, True),
    ],
)
def test_cam_3_conditions_of_an_administrators_policies_know_where_and_when(browser, make, condition, lets_in):
    cam_user = admin.sign_in(browser, make).cam_user
    statement = {"effect": "allow", "action": ["organization:*"], "resource": ["*"], "condition": condition}
    with make.transaction() as session:
        document = json.dumps({"version": "2.0", "statement": [statement]})
        session.add(CamPolicy(account_uin=cam_user.account_uin, name="Here", document=document))
        session.flush()
        attach_exactly(
            session,
            account_uin=cam_user.account_uin,
            holder_type=HolderType.USER,
            holder_id=cam_user.uin,
            names=["Here"],
        )
    browser.open("/console/users", status=200 if lets_in else 403)


def test_a_cam_user_of_a_member_account_is_no_administrator(browser, make):
    signed_in = admin.sign_in(browser, make)
    account = make.account(signed_in.space)
    with make.transaction() as session:
        member_user = admin.create_cam_user(
            session, admin.SYSTEM, account_uin=account.uin, name="local", password=admin.PASSWORD
        )
    browser.click("Sign out")
    for where in ("acme", account.uin):
        admin.enter(browser, where, member_user.name, status=400)


def test_sign_out_ends_the_session_for_good(browser, make, app):
    admin.sign_in(browser, make)
    copied = browser.client.get_cookie("portal_admin", path="/console").value
    browser.click("Sign out")
    assert browser.url.startswith("/console/login")
    thief = Browser(app)
    thief.client.set_cookie("portal_admin", copied, path="/console")
    thief.open("/console/")
    assert thief.url.startswith("/console/login")
    assert events(make, "administrator.sign_out")


def test_the_session_ends_after_its_hours(browser, make):
    admin.sign_in(browser, make)
    with clock.shifted(timedelta(hours=9)):
        browser.open("/console/users")
        assert browser.url.startswith("/console/login")


def test_the_cookie_is_for_the_console_only_and_out_of_reach_of_scripts(browser, make):
    admin.sign_in(browser, make)
    cookie = browser.client.get_cookie("portal_admin", path="/console")
    assert (cookie.path, cookie.http_only, cookie.same_site) == ("/console", True, "Lax")
    with make.transaction() as session:
        assert session.scalars(select(CamUser.password_hash)).one().startswith("$argon2id$")


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/console/organization?q=x", "/console/organization?q=x"),
        ("/home", "/console/"),
        ("/console/../home", "/console/"),
        ("//evil.example/console/", "/console/"),
        ("https://evil.example/console/", "/console/"),
        ("/consoleevil", "/console/"),
    ],
)
def test_sign_in_leads_on_only_to_pages_of_the_console(browser, make, wanted, reached):
    admin.sign_in(browser, make)
    browser.click("Sign out")
    browser.open(f"/console/login?next={wanted}")
    browser.submit("Sign in", account="acme", user_name="admin", password=admin.PASSWORD)
    assert browser.url == reached


def test_a_page_without_a_session_leads_to_the_sign_in_and_back(browser, make):
    admin.sign_in(browser, make)
    browser.click("Sign out")
    browser.open("/console/organization")
    assert browser.title.startswith("Administrator sign-in")
    browser.submit("Sign in", account="acme", user_name="admin", password=admin.PASSWORD)
    assert browser.title.startswith("Organization")


def test_who_is_signed_in_already_does_not_see_the_form(browser, make):
    admin.sign_in(browser, make)
    browser.open("/console/login?next=/console/organization")
    assert browser.url == "/console/organization"
