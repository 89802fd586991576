"""The audit page."""

from __future__ import annotations

import pytest

from portal.core.actor import Actor
from portal.core.audit import Result, record
from tests.support import admin


@pytest.fixture
def signed_in(browser, make):
    signed_in = admin.sign_in(browser, make, policies=["AdministratorAccess"])
    alice = Actor("employee", "u-1", "alice", signed_in.organization.id, "192.0.2.7", "req-1")
    with make.transaction() as session:
        record(session, alice, "user.sign_in", target_type="user", target_id="u-1", target_name="alice")
        record(
            session,
            alice,
            "account.sign_in",
            result=Result.REFUSED,
            reason="No <b>such</b> role",
            details={"role": "<script>alert(1)</script>"},
        )
    return signed_in


def rows(browser) -> list[str]:
    return [row.get_text(" ", strip=True) for row in browser.page.find("tbody").find_all("tr")]


def test_aud_1_events_tell_who_when_from_where_what_and_the_result(browser, signed_in):
    browser.click("Audit")
    newest, before = rows(browser)[:2]
    assert "just now" in newest
    for text in ("alice", "192.0.2.7", "account.sign_in", "Refused", "No <b>such</b> role", "req-1"):
        assert text in newest
    assert '"<script>alert(1)</script>"' in newest
    assert "Accepted" in before
    assert any("administrator.sign_in" in row for row in rows(browser))


def test_aud_1_events_are_searched_and_filtered(browser, signed_in):
    browser.open("/console/audit")
    browser.submit("Search", q="ALICE")
    assert len(rows(browser)) == 2
    browser.submit("Search", q="", action="user", result="")
    assert [("user.sign_in" in row) for row in rows(browser)] == [True]
    browser.submit("Search", action="", result="refused")
    assert len(rows(browser)) == 1
    browser.submit("Search", q="nothing like this")
    assert "No event matches" in browser.text


def test_aud_1_another_organization_does_not_see_them(browser, make, signed_in):
    browser.click("Sign out")
    admin.sign_in(browser, make, space="other", policies=["AdministratorAccess"])
    browser.open("/console/audit")
    assert "alice" not in browser.text


def test_aud_1_refused_attempts_are_in_it(browser, make, signed_in):
    browser.open("/console/organization/members/create").submit("Create", name="not valid", status=400)
    browser.open("/console/audit?result=refused")
    assert "The name of a member has 1-25 letters" in rows(browser)[0]
