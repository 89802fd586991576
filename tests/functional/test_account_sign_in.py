"""A signed response opens an account (IC-17), and every other one does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam import roles, users
from portal.core.cam.models import CamRole, CamSeenAssertion, CamSession
from saml.issuing import MAX_RESPONSE, issue_response
from tests.support.account import BASE_URL, ROLE, ROLE_SESSION_NAME, OpenAccount
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import TestIdp, key_pair


@pytest.fixture
def open_account(make: Make) -> OpenAccount:
    return OpenAccount(make, make.space("acme"), "Production")


def events(open_account: OpenAccount) -> list[AuditEvent]:
    with open_account.make.transaction() as session:
        found = select(AuditEvent).where(
            AuditEvent.organization_id == open_account.space.organization_id,
            AuditEvent.action.in_(["account.sign_in", "account.sign_out"]),
        )
        return list(session.scalars(found.order_by(AuditEvent.id)))


def sessions_in(open_account: OpenAccount) -> list[CamSession]:
    with open_account.make.transaction() as session:
        found = select(CamSession).where(CamSession.account_uin == open_account.uin)
        return list(session.scalars(found.order_by(CamSession.id)))


def kept_out(open_account: OpenAccount, browser: Browser, response: str) -> list[AuditEvent]:
    """One neutral page with a reference, nobody is in; the audit events that this made."""
    before, known = len(sessions_in(open_account)), len(events(open_account))
    open_account.enter(browser, response, status=403)
    assert "The account did not let you in" in browser.text
    assert browser.response.headers["X-Request-Id"] in browser.text
    assert "Set-Cookie" not in browser.response.headers
    assert len(sessions_in(open_account)) == before
    return events(open_account)[known:]


def refused(open_account: OpenAccount, browser: Browser, response: str, reason: str) -> None:
    """Signed by an identity provider of the account: the reason stands in the audit trail."""
    (event,) = kept_out(open_account, browser, response)
    assert reason not in browser.text
    assert (event.result, event.account_uin, event.actor_kind) == ("refused", open_account.uin, "anonymous")
    assert reason in event.reason
    assert event.request_id == browser.response.headers["X-Request-Id"]


def ignored(open_account: OpenAccount, browser: Browser, response: str, reason: str) -> None:
    """What anybody can post at will is counted and does not fill the audit trail."""
    before = ignorances_counted(browser, reason)
    assert kept_out(open_account, browser, response) == []
    assert ignorances_counted(browser, reason) == before + 1


def ignorances_counted(browser: Browser, reason: str) -> float:
    text = browser.client.get("/metrics").get_data(as_text=True)
    sample = re.search(rf'portal_sign_ins_refused_total{{door="account",reason="{reason}"}} (\S+)', text)
    return float(sample[1]) if sample else 0


def test_ic_17_a_response_for_a_role_opens_the_account(open_account: OpenAccount, browser: Browser) -> None:
    open_account.enter(browser)
    assert browser.url == open_account.url
    assert browser.title.startswith("Production")
    for text in (open_account.role, "amy", open_account.space.provider_name, "QcloudCVMFullAccess"):
        assert text in browser.text
    (opened,) = sessions_in(open_account)
    assert opened.expires_at - opened.started_at == timedelta(hours=1)
    (event,) = events(open_account)
    assert (event.result, event.actor_name, event.target_name) == ("accepted", "amy", open_account.role)


def test_the_answer_of_our_own_issuer_is_accepted(open_account: OpenAccount, browser: Browser) -> None:
    private_key, certificate = key_pair(open_account.idp.entity_id)
    response = issue_response(
        issuer=open_account.idp.entity_id,
        recipient=f"{BASE_URL}{open_account.acs}",
        audience=f"{BASE_URL}{open_account.url}",
        name_id="amy",
        attributes=open_account.attributes(),
        in_response_to=None,
        private_key=private_key,
        certificate=certificate,
        now=datetime.now(UTC),
        session_not_on_or_after=datetime.now(UTC) + timedelta(minutes=5),
    )
    open_account.enter(browser, response)
    (opened,) = sessions_in(open_account)
    assert opened.expires_at - opened.started_at <= timedelta(minutes=5)


def test_ic_17_a_response_without_a_role_opens_the_account_for_the_cam_user(
    open_account: OpenAccount, browser: Browser
) -> None:
    assert open_account.synchronize("amy") == "amy"
    open_account.enter(browser, open_account.response(attributes={}))
    assert "Signed in as CAM user amy" in browser.text
    assert "No policy applies" in browser.text
    (opened,) = sessions_in(open_account)
    assert opened.expires_at - opened.started_at == timedelta(hours=8)


def test_the_cookie_is_for_this_account_alone(open_account: OpenAccount, app: Flask) -> None:
    answer = app.test_client().post(open_account.acs, data={"SAMLResponse": open_account.response()})
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("portal_account=")
    for part in (f"Path={open_account.url}", "HttpOnly", "SameSite=Lax"):
        assert part in cookie


@pytest.mark.parametrize(
    ("below", "lands"),
    [
        ("/providers", True),
        ("?action=cvm:RunInstances", False),
        ("/?action=cvm:RunInstances&resource=*", True),
        ("/../../console", False),
        ("1/users", False),
        ("/%2e%2e/%2e%2e/console", False),
        ("/\\evil.example", False),
        ("/users\r\nX: y", False),
    ],
)
def test_relay_state_leads_only_to_pages_of_this_account(
    open_account: OpenAccount, app: Flask, below: str, lands: bool
) -> None:
    fields = {"SAMLResponse": open_account.response(), "RelayState": open_account.url + below}
    answer = app.test_client().post(open_account.acs, data=fields)
    assert answer.headers["Location"] == open_account.url + (below if lands else "")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/console", "https://console.example/cvm"]
)
def test_relay_state_elsewhere_is_ignored(open_account: OpenAccount, app: Flask, target: str) -> None:
    fields = {"SAMLResponse": open_account.response(), "RelayState": target}
    assert app.test_client().post(open_account.acs, data=fields).headers["Location"] == open_account.url


Build = Callable[[OpenAccount], str]


def _of_another_provider(account: OpenAccount) -> str:
    return account.response(attributes=account.attributes(provider="TencentReservedSSO-z-000000000000"))


def _untrusting_role(account: OpenAccount) -> str:
    account.deploy("Untrusting", [], provider="TencentReservedSSO-other")
    return account.response(attributes=account.attributes(role="Untrusting"))


def _of_a_service(account: OpenAccount) -> str:
    statement = {"effect": "allow", "action": "name/sts:AssumeRole", "principal": {"service": "cvm.cloud.tencent.com"}}
    with account.make.transaction() as session:
        trust = {"version": "2.0", "statement": [statement]}
        session.add(CamRole(account_uin=account.uin, name="Service", trust=trust))
    return account.response(attributes=account.attributes(role="Service"))


def _of_the_accounts_own_user(account: OpenAccount) -> str:
    with account.make.transaction() as session:
        users.create_cam_user(session, SYSTEM, account_uin=account.uin, name="root", policies=["AdministratorAccess"])
    return account.response("root", attributes={})


def _other_case(account: OpenAccount) -> str:
    account.synchronize("amy")
    return account.response("AMY", attributes={})


def _two_roles(account: OpenAccount) -> str:
    role = account.attributes()[ROLE][0]
    return account.response(attributes={ROLE: [role, role], ROLE_SESSION_NAME: ["amy"]})


IGNORED: dict[str, tuple[Build, str]] = {
    "an unknown issuer": (
        lambda a: TestIdp("https://stranger.example").respond(
            None, BASE_URL + a.acs, BASE_URL + a.url, "amy", attributes=a.attributes()
        ),
        "issuer",
    ),
    "a foreign key": (lambda a: a.response(key=key_pair("stranger")), "signature"),
    "no signature": (lambda a: a.response(sign=()), "unsigned"),
    "expired": (lambda a: a.response(now=datetime.now(UTC) - timedelta(minutes=9)), "expired"),
    "the audience of another account": (lambda a: a.response(audience=f"{BASE_URL}/accounts/1"), "audience"),
    "the recipient of another account": (
        lambda a: a.response(recipient=f"{BASE_URL}/accounts/1/saml/acs"),
        "recipient",
    ),
    "an answer to a request": (lambda a: a.response(in_response_to="_asked"), "in-response-to"),
    "no base64": (lambda a: "%%%", "encoding"),
}

REFUSALS: dict[str, tuple[Build, str]] = {
    "another provider": (_of_another_provider, "names another identity provider"),
    "another account": (lambda a: a.response(attributes=a.attributes(uin=1)), "names another account"),
    "an absent role": (lambda a: a.response(attributes=a.attributes(role="Absent")), "no role Absent"),
    "a role that trusts another provider": (_untrusting_role, "does not trust"),
    "a role that trusts a service": (_of_a_service, "does not trust"),
    "two roles": (_two_roles, "Role has 2 values"),
    "a role that is none": (
        lambda a: a.response(attributes={ROLE: ["admin"], ROLE_SESSION_NAME: ["amy"]}),
        "is not one role",
    ),
    "no session name": (
        lambda a: a.response(attributes={ROLE: a.attributes()[ROLE]}),
        "RoleSessionName has 0 values",
    ),
    "a bad session name": (lambda a: a.response(attributes=a.attributes(who="<b>")), "RoleSessionName is not"),
    "a long session name": (lambda a: a.response(attributes=a.attributes(who="x" * 33)), "RoleSessionName is not"),
    "a short session name": (lambda a: a.response(attributes=a.attributes(who="x")), "RoleSessionName is not"),
    "an unknown CAM user": (lambda a: a.response("nobody", attributes={}), "no CAM user nobody"),
    "the account's own CAM user": (_of_the_accounts_own_user, "not synchronized"),
    "a CAM user in other letters": (_other_case, "no CAM user AMY"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_ic_17_the_account_refuses(open_account: OpenAccount, browser: Browser, case: str) -> None:
    build, reason = REFUSALS[case]
    refused(open_account, browser, build(open_account), reason)


@pytest.mark.parametrize("case", IGNORED)
def test_what_no_provider_of_the_account_vouches_for_is_refused_and_not_audited(
    open_account: OpenAccount, browser: Browser, case: str
) -> None:
    build, reason = IGNORED[case]
    ignored(open_account, browser, build(open_account), reason)


def test_session_names_and_responses_of_the_greatest_length_are_taken(
    open_account: OpenAccount, browser: Browser, app: Flask
) -> None:
    for who in ("x" * 32, "xy"):
        open_account.enter(browser, open_account.response(attributes=open_account.attributes(who=who)))
        assert who in browser.text
    for length, takes in ((60_000, True), (80_000, False)):
        response = open_account.response(attributes=open_account.attributes() | {"urn:x": ["x" * length]})
        assert (len(response) <= MAX_RESPONSE) is takes
        if takes:
            open_account.enter(Browser(app), response)
        else:
            ignored(open_account, Browser(app), response, "size")


@pytest.mark.parametrize("minutes", [15, 600])
def test_no_session_lasts_longer_than_role_and_response_allow(
    open_account: OpenAccount, browser: Browser, minutes: int
) -> None:
    """The role allows an hour."""
    end = (clock.now() + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    response = open_account.response(
        edit=lambda tree: next(tree.iter("{*}AuthnStatement")).set("SessionNotOnOrAfter", end)
    )
    open_account.enter(browser, response)
    (opened,) = sessions_in(open_account)
    lasts = (opened.expires_at - opened.started_at).total_seconds()
    assert lasts == pytest.approx(min(minutes, 60) * 60, abs=10)


def test_a_response_is_taken_once(open_account: OpenAccount, browser: Browser, app: Flask) -> None:
    response = open_account.response()
    open_account.enter(browser, response)
    refused(open_account, Browser(app), response, "was used before")
    with clock.shifted(timedelta(minutes=30)):
        ignored(open_account, Browser(app), response, "expired")


def test_a_missing_or_doubled_field_is_refused(open_account: OpenAccount, browser: Browser) -> None:
    browser.post(open_account.acs, {}, status=403)
    browser.post(open_account.acs, {"SAMLResponse": [open_account.response()] * 2}, status=403)
    assert events(open_account) == []
    assert sessions_in(open_account) == []


@pytest.mark.parametrize("uin", ["1", "999999999999", "99999999999999999999999", "abc"])
def test_a_stranger_account_is_not_there(open_account: OpenAccount, browser: Browser, uin: str) -> None:
    browser.post(f"/accounts/{uin}/saml/acs", {"SAMLResponse": open_account.response()}, status=404)


def test_a_response_for_one_account_does_not_open_another(open_account: OpenAccount, browser: Browser) -> None:
    other = OpenAccount(open_account.make, open_account.space)
    ignored(other, browser, open_account.response(), "destination")


def test_what_another_space_deployed_opens_nothing_here(open_account: OpenAccount, browser: Browser) -> None:
    stranger = OpenAccount(
        open_account.make,
        open_account.make.space("rival"),
        idp=TestIdp("http://localhost/saml/rival/idp-metadata"),
    )
    response = stranger.idp.respond(
        None,
        BASE_URL + open_account.acs,
        BASE_URL + open_account.url,
        "amy",
        attributes=open_account.attributes(),
    )
    ignored(open_account, browser, response, "issuer")


def test_a_withdrawn_role_or_provider_ends_its_sessions(
    open_account: OpenAccount, browser: Browser, app: Flask
) -> None:
    open_account.synchronize("amy")
    open_account.enter(browser)
    as_user = open_account.enter(Browser(app), open_account.response(attributes={}))
    open_account.connector.remove_role(open_account.role, managed_by=open_account.space.id)
    assert "You are not signed in to this account" in browser.open(open_account.url).text
    assert "Signed in as CAM user" in as_user.open(open_account.url).text
    open_account.connector.remove_identity_provider(open_account.space.provider_name, managed_by=open_account.space.id)
    assert "You are not signed in to this account" in as_user.open(open_account.url).text


def test_ic_14_a_released_user_is_out_and_stays_out(open_account: OpenAccount, browser: Browser) -> None:
    open_account.synchronize("amy")
    open_account.enter(browser, open_account.response(attributes={}))
    open_account.connector.release_user("amy", managed_by=open_account.space.id)
    assert "You are not signed in to this account" in browser.open(open_account.url).text
    refused(open_account, browser, open_account.response(attributes={}), "not synchronized")


def test_signing_in_again_replaces_the_session(open_account: OpenAccount, browser: Browser) -> None:
    open_account.enter(browser)
    open_account.enter(browser)
    first, second = sessions_in(open_account)
    assert first.ended_at
    assert not second.ended_at


def test_changing_the_trust_of_a_role_counts_at_once(open_account: OpenAccount, browser: Browser) -> None:
    with open_account.make.transaction() as session:
        trust = roles.saml_trust(open_account.uin, open_account.space.provider_name, "https://elsewhere.example")
        session.execute(update(CamRole).where(CamRole.account_uin == open_account.uin).values(trust=trust))
    refused(open_account, browser, open_account.response(), "does not trust")


def test_used_assertions_are_forgotten_when_they_have_expired(open_account: OpenAccount, browser: Browser) -> None:
    open_account.enter(browser)
    with clock.shifted(timedelta(hours=1)):
        open_account.enter(browser, open_account.response(now=clock.now()))
    with open_account.make.transaction() as session:
        assert session.scalar(select(func.count()).select_from(CamSeenAssertion)) == 1
