"""The console of one account: who am I, what may I, what is here."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select, update

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam import users
from portal.core.cam.models import CamAttachment, CamGroup, CamGroupMember, CamPolicy, CamSession, CamUser
from portal.core.guardrails import bindings, policies
from portal.core.organization import queries as departments
from portal.core.organization.models import Organization
from tests.support.account import OpenAccount
from tests.support.browser import Browser
from tests.support.make import Make

NO_REBOOT = json.dumps({"version": "2.0", "statement": [{"effect": "deny", "action": "cvm:Reboot*", "resource": "*"}]})
NO_CAM = json.dumps({"version": "2.0", "statement": [{"effect": "deny", "action": "cam:*", "resource": "*"}]})
ELSEWHERE = "You are not signed in to this account"


@pytest.fixture
def open_account(make: Make) -> OpenAccount:
    return OpenAccount(make, make.space("acme"), "Production")


@pytest.fixture
def operator(open_account: OpenAccount, browser: Browser) -> Browser:
    """In the account as a role with QcloudCVMFullAccess."""
    return open_account.enter(browser)


@pytest.fixture
def reader(open_account: OpenAccount, browser: Browser) -> Browser:
    """In the account as a role that may look at CAM."""
    open_account.deploy("TencentCloudSSO-Reader", ["QcloudCamReadOnlyAccess"])
    attributes = open_account.attributes(role="TencentCloudSSO-Reader")
    return open_account.enter(browser, open_account.response(attributes=attributes))


def ask(browser: Browser, action: str, resource: str = "*", *, status: int = 200) -> Browser:
    return browser.submit("Decide", action=action, resource=resource, status=status)


def test_the_page_says_who_one_is_and_which_policies_apply(open_account: OpenAccount, operator: Browser) -> None:
    for text in (
        "Signed in as CAM role TencentCloudSSO-Operations",
        "Session name amy",
        f"Account ID {open_account.uin}",
        f"Let in by {open_account.space.provider_name}",
        "Session duration 1 h",
        '"cvm:*"',
    ):
        assert text in operator.text
    assert operator.page.find("time")


def test_cam_3_an_allowed_action_is_shown_with_its_reason(operator: Browser) -> None:
    ask(operator, "cvm:DescribeInstances")
    assert "Allowed · cvm:DescribeInstances on *" in operator.text
    assert "Allowed by statement 1 of QcloudCVMFullAccess." in operator.text
    assert "action=cvm:DescribeInstances" in operator.url.replace("%3A", ":")
    table = operator.page.find("table")
    assert table
    assert "QcloudCVMFullAccess, statement 1: allow" in " ".join(table.get_text(" ").split())


def test_cam_3_what_no_policy_allows_is_denied_by_default(operator: Browser) -> None:
    ask(operator, "cos:GetObject")
    assert "Denied by default" in operator.text
    assert "No policy allows cos:GetObject on *." in operator.text


def test_cam_3_an_explicit_deny_wins(open_account: OpenAccount, browser: Browser) -> None:
    open_account.synchronize("amy")
    with open_account.make.transaction() as session:
        user = session.scalars(select(CamUser).where(CamUser.account_uin == open_account.uin)).one()
        group = CamGroup(account_uin=open_account.uin, name="careful", name_key="careful")
        session.add_all([group, CamPolicy(account_uin=open_account.uin, name="NoReboot", document=NO_REBOOT)])
        session.flush()
        session.add(CamGroupMember(group_id=group.id, user_uin=user.uin))
        for kind, name in (("Custom", "NoReboot"), ("System", "QcloudCVMFullAccess")):
            session.add(
                CamAttachment(
                    holder_type="group",
                    holder_id=group.id,
                    policy_type=kind,
                    policy_name=name,
                    account_uin=open_account.uin,
                )
            )
    open_account.enter(browser, open_account.response(attributes={}))
    assert "Custom · through careful" in browser.text
    ask(browser, "cvm:RebootInstances")
    assert "Denied explicitly" in browser.text
    assert "Denied by statement 1 of NoReboot." in browser.text
    ask(browser, "cvm:RunInstances")
    assert "Allowed by statement 1 of QcloudCVMFullAccess." in browser.text


@pytest.mark.parametrize(
    ("action", "resource", "label", "rule"),
    [
        ("", "*", "Action", "must be written service:name"),
        ("reboot", "*", "Action", "must be written service:name"),
        ("cvm:*", "*", "Action", "without a wildcard"),
        ("cvm:RunInstances", "ins-1", "Resource", "must be"),
        ("cvm:RunInstances", "qcs::cvm:::instance/*", "Resource", "must name one resource"),
        ("cvm:RunInstances", "qcs::cvm::uin/1:instance/ins-1", "Resource", "its own resources only"),
        ("<script>", "*", "Action", "must be written service:name"),
    ],
)
def test_a_bad_question_names_field_and_rule_and_keeps_what_was_typed(
    operator: Browser, action: str, resource: str, label: str, rule: str
) -> None:
    ask(operator, action, resource, status=400)
    summary = operator.page.find(role="alert")
    assert summary
    assert f"{label}: " in summary.get_text()
    assert rule in summary.get_text()
    for name, value in (("action", action), ("resource", resource)):
        assert operator.page.select(f"input[name={name}]")[0]["value"] == value
    assert "How it was decided" not in operator.text


def test_an_own_resource_may_be_named_with_or_without_the_account(open_account: OpenAccount, operator: Browser) -> None:
    for owner in ("", f"uin/{open_account.uin}"):
        ask(operator, "cvm:RunInstances", f"qcs::cvm:ap-guangzhou:{owner}:instance/ins-1")
        assert "Allowed by statement" in operator.text


def test_lists_are_open_as_far_as_the_policies_go(open_account: OpenAccount, operator: Browser) -> None:
    assert "CAM users" not in operator.text
    for name in ("users", "roles", "providers"):
        operator.open(f"{open_account.url}/{name}", status=403)
        assert "cam:" in operator.text


def test_scp_4_a_refusal_shows_how_it_was_decided(open_account: OpenAccount, reader: Browser) -> None:
    reader.open(f"{open_account.url}/users")
    with open_account.make.transaction() as session:
        organization = session.get_one(Organization, open_account.space.organization_id)
        policies.enable(session, SYSTEM, organization=organization)
        policy = policies.create_policy(session, SYSTEM, organization=organization, name="no-cam", document=NO_CAM)
        root = departments.root(session, organization)
        bindings.bind(session, SYSTEM, organization=organization, policy=policy, departments=[root.id])
    reader.open(f"{open_account.url}/users", status=403)
    assert "You may not do cam:ListUsers here: Denied at the department Root by statement 1" in reader.text
    steps = [row.get_text(" ", strip=True) for row in reader.page.find("tbody").find_all("tr")]
    assert len(steps) == 2
    assert steps[0].startswith("1 Service control policies Account Production Allowed")
    assert steps[1].startswith("2 Service control policies Department Root Denied explicitly")
    assert steps[1].endswith("FullQcloudAccess, statement 1: allow no-cam, statement 1: deny")


def test_cam_3_a_refusal_by_the_own_policies_shows_the_step(open_account: OpenAccount, operator: Browser) -> None:
    operator.open(f"{open_account.url}/users", status=403)
    (step,) = [row.get_text(" ", strip=True) for row in operator.page.find("tbody").find_all("tr")]
    assert step == "1 CAM policies Denied by default No policy allows cam:ListUsers on *. –"
    operator.open(f"{open_account.url}/nothing", status=404)
    assert operator.page.find("table") is None


def test_cam_4_lists_show_what_is_managed_and_locked(open_account: OpenAccount, reader: Browser) -> None:
    open_account.synchronize("bob")
    with open_account.make.transaction() as session:
        users.create_cam_user(session, SYSTEM, account_uin=open_account.uin, name="root")
    rows = rows_of(reader.click("CAM users"))
    assert "Synchronized user Identity Center, read-only" in rows["bob"]
    assert "Sub-user This account" in rows["root"]
    rows = rows_of(reader.click("CAM roles"))
    assert "QcloudCVMFullAccess 1 h Identity Center, read-only" in rows[open_account.role]
    rows = rows_of(reader.click("Identity providers"))
    assert open_account.idp.entity_id in rows[open_account.space.provider_name]
    assert "read-only" in rows[open_account.space.provider_name]


def rows_of(browser: Browser) -> dict[str, str]:
    rows = [" ".join(row.get_text(" ").split()) for row in browser.page.select("tbody tr")]
    return {text.split()[0]: text for text in rows}


def test_lists_are_searched_and_sorted_by_the_url(open_account: OpenAccount, reader: Browser) -> None:
    for name in ("bob", "eve"):
        open_account.synchronize(name)
    reader.open(f"{open_account.url}/users?sort=-name")
    assert list(rows_of(reader)) == ["eve", "bob"]
    reader.open(f"{open_account.url}/users").submit("Search", q="BO")
    assert list(rows_of(reader)) == ["bob"]
    assert "No CAM user matches" in reader.open(f"{open_account.url}/users?q=nobody").text
    assert "No CAM role matches" in reader.open(f"{open_account.url}/roles?q=none").text
    assert "No identity provider matches" in reader.open(f"{open_account.url}/providers?q=none").text


def test_lists_of_one_account_show_nothing_of_another(open_account: OpenAccount, reader: Browser) -> None:
    other = OpenAccount(open_account.make, open_account.space, role="TencentCloudSSO-Elsewhere")
    other.synchronize("zoe")
    assert "zoe" not in reader.open(f"{open_account.url}/users").text
    assert "Elsewhere" not in reader.open(f"{open_account.url}/roles").text


def test_without_a_session_every_page_leads_out(open_account: OpenAccount, browser: Browser) -> None:
    for path in ("", "/users", "/roles", "/providers"):
        assert ELSEWHERE in browser.open(open_account.url + path).text


def test_a_session_of_one_account_is_none_in_another(open_account: OpenAccount, app: Flask) -> None:
    other = OpenAccount(open_account.make, open_account.space)
    client = app.test_client()
    client.post(open_account.acs, data={"SAMLResponse": open_account.response()})
    token = client.get_cookie("portal_account", path=open_account.url)
    assert token
    client.set_cookie("portal_account", token.value, path=other.url)
    assert client.get(open_account.url).status_code == 200
    for path in ("", "/users"):
        assert client.get(other.url + path).location == f"{other.url}/signed-out"
    assert client.post(f"{other.url}/sign-out").status_code in (302, 400)
    assert client.get(open_account.url).status_code == 200


def test_a_session_ends_with_its_time(open_account: OpenAccount, operator: Browser) -> None:
    with clock.shifted(timedelta(minutes=61)):
        assert ELSEWHERE in operator.open(open_account.url).text


def test_an_ended_session_is_over(open_account: OpenAccount, operator: Browser) -> None:
    with open_account.make.transaction() as session:
        session.execute(update(CamSession).values(ended_at=clock.now()))
    assert ELSEWHERE in operator.open(open_account.url).text


def test_signing_out_ends_the_session_and_is_audited(open_account: OpenAccount, app: Flask, operator: Browser) -> None:
    cookie = operator.client.get_cookie("portal_account", path=open_account.url)
    operator.click("Sign out")
    assert ELSEWHERE in operator.text
    stolen = Browser(app)
    assert cookie
    stolen.client.set_cookie("portal_account", cookie.value, path=open_account.url)
    assert ELSEWHERE in stolen.open(open_account.url).text
    with open_account.make.transaction() as session:
        ended = session.scalars(select(AuditEvent).where(AuditEvent.action == "account.sign_out")).one()
    assert (ended.organization_id, ended.actor_name) == (open_account.space.organization_id, "amy")
    assert ended.account_uin == open_account.uin


def test_signing_out_needs_the_form_token(open_account: OpenAccount, operator: Browser) -> None:
    operator.post(f"{open_account.url}/sign-out", {}, status=400)
    assert "Who you are here" in operator.open(open_account.url).text


def test_a_page_of_an_account_takes_few_statements(open_account: OpenAccount, operator: Browser) -> None:
    statements: list[str] = []
    event.listen(open_account.make.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    operator.open(open_account.url)
    assert len([text for text in statements if text.startswith("SELECT")]) <= 4
