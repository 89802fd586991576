"""Inside an account: its administrators grant policies to its CAM users and withdraw them, nobody else does."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import event, select

from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam import access_keys, users
from portal.core.cam.models import CamGroup, CamGroupMember, CamUser, HolderType
from portal.core.cam.policies import attach_exactly
from portal.core.organization.models import Account
from tests.support.account import OpenAccount
from tests.support.browser import Browser
from tests.support.make import Make

CVM = "QcloudCVMReadOnlyAccess"


@pytest.fixture
def account(make: Make) -> OpenAccount:
    return OpenAccount(make, make.space("acme"), "Production")


@pytest.fixture
def alice(account: OpenAccount) -> CamUser:
    """A synchronized CAM user, without any policy."""
    account.synchronize("alice")
    return find(account, "alice")


def find(account: OpenAccount, name: str) -> CamUser:
    with account.make.transaction() as session:
        return session.scalars(
            select(CamUser).where(CamUser.account_uin == account.uin, CamUser.name_key == name)
        ).one()


def enter(account: OpenAccount, app: Flask, *policies: str) -> Browser:
    """Into the account by a role with these policies."""
    account.deploy("TencentCloudSSO-Visitor", policies)
    attributes = account.attributes(role="TencentCloudSSO-Visitor", who="root")
    return account.enter(Browser(app), account.response("root", attributes))


@pytest.fixture(params=["AdministratorAccess", "QcloudCamFullAccess"])
def administrator(request: pytest.FixtureRequest, account: OpenAccount, app: Flask) -> Browser:
    return enter(account, app, request.param)


def page_of(account: OpenAccount, user: CamUser, *below: str) -> str:
    return "/".join([f"{account.url}/users/{user.uin}", *below])


def may(browser: Browser, account: OpenAccount, action: str) -> bool:
    browser.open(account.url).submit("Decide", action=action)
    return f"Allowed · {action}" in browser.text


def events(account: OpenAccount, action: str) -> list[AuditEvent]:
    with account.make.transaction() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)))


def test_ic_14_a_synchronized_user_can_do_what_the_account_grants_until_it_is_withdrawn(
    account: OpenAccount, alice: CamUser, administrator: Browser, app: Flask
) -> None:
    as_alice = account.enter(Browser(app), account.response("alice", {}))
    assert "An administrator of this account grants policies to CAM users" in as_alice.text
    assert not may(as_alice, account, "cvm:DescribeInstances")

    administrator.click("CAM users").click("alice")
    assert "Managed by Identity Center Yes" in administrator.text
    assert "No policies yet" in administrator.text
    administrator.click("Grant policies").submit("Grant", policy=[CVM])
    assert "1 policy granted." in administrator.text
    assert f"{CVM} Preset policy directly" in row(administrator)
    assert may(as_alice, account, "cvm:DescribeInstances")
    assert not may(as_alice, account, "cvm:RunInstances")

    administrator.click(f"Withdraw {CVM}")
    assert f"Withdraws the policy {CVM} from the CAM user alice." in administrator.text
    administrator.click("Withdraw policy")
    assert f"Policy {CVM} withdrawn." in administrator.text
    assert "No policies yet" in administrator.text
    assert not may(as_alice, account, "cvm:DescribeInstances")


def row(browser: Browser) -> str:
    found = browser.page.select("tbody tr")[0]
    for document in found.select("details > :not(summary)"):
        document.extract()
    return " ".join(found.get_text(" ").split())


def test_cam_2_who_granted_and_withdrew_is_audited(
    account: OpenAccount, alice: CamUser, administrator: Browser
) -> None:
    administrator.open(page_of(account, alice, "policies/grant")).submit("Grant", policy=[CVM])
    administrator.click(f"Withdraw {CVM}").click("Withdraw policy")
    for action in ("cam_user.grant_policies", "cam_user.withdraw_policy"):
        [entry] = events(account, action)
        assert (entry.actor_name, entry.target_name, entry.account_uin) == ("root", "alice", account.uin)
        assert entry.organization_id == account.space.organization_id
        assert entry.details == {"policies": [CVM]}


def test_cam_4_the_page_shows_who_made_a_user_and_changes_only_what_it_may(
    account: OpenAccount, alice: CamUser, administrator: Browser
) -> None:
    with account.make.transaction() as session:
        own = users.create_cam_user(session, SYSTEM, account_uin=account.uin, name="robot", remark="builds")
    administrator.open(page_of(account, alice))
    assert "Type Synchronized user" in administrator.text
    assert "Identity Center, read-only" in administrator.text
    buttons = {button.get_text(" ", strip=True) for button in administrator.page.select("main button:not([hidden])")}
    assert buttons == {"Create access key"}  # what it may is up to the account, programs included
    administrator.open(page_of(account, own))
    for text in ("Type Sub-user", "Managed by Identity Center No", f"User ID {own.uin}", "Remark builds"):
        assert text in administrator.text


def test_cam_2_policies_are_searched_and_stay_ticked(
    account: OpenAccount, alice: CamUser, administrator: Browser
) -> None:
    administrator.open(page_of(account, alice, "policies/grant"))
    administrator.submit("Search", policy_q="QcloudCVM", policy=[CVM])
    offered = {box["value"] for box in administrator.page.select("#policies input")}
    assert CVM in offered
    assert "AdministratorAccess" not in offered
    administrator.submit("Search", policy_q="nothing like it")
    assert "No preset policy matches" in administrator.text
    administrator.submit("Grant")
    assert "1 policy granted." in administrator.text
    administrator.open(page_of(account, alice, "policies/grant?policy_q=QcloudCVM"))
    offered = {box["value"] for box in administrator.page.select("#policies input")}
    assert "QcloudCVMFullAccess" in offered
    assert CVM not in offered


@pytest.mark.parametrize(
    ("policies", "rule"),
    [([], "Select at least one preset policy."), ([CVM, "Nonsense"], "There is no preset policy named Nonsense.")],
)
def test_cam_2_a_bad_choice_is_said_and_changes_nothing(
    account: OpenAccount, alice: CamUser, administrator: Browser, policies: list[str], rule: str
) -> None:
    administrator.open(page_of(account, alice, "policies/grant")).submit("Grant", policy=policies, status=400)
    assert rule in administrator.text
    assert "No policies yet" in administrator.open(page_of(account, alice)).text


def test_cam_2_what_comes_through_a_group_is_shown_and_not_withdrawn_here(
    account: OpenAccount, alice: CamUser, administrator: Browser
) -> None:
    with account.make.transaction() as session:
        group = CamGroup(account_uin=account.uin, name="staff", name_key="staff")
        session.add(group)
        session.flush()
        session.add(CamGroupMember(group_id=group.id, user_uin=alice.uin))
        attach_exactly(session, account_uin=account.uin, holder_type=HolderType.GROUP, holder_id=group.id, names=[CVM])
    administrator.open(page_of(account, alice))
    assert f"{CVM} Preset policy through staff" in row(administrator)
    assert "Withdraw" not in administrator.text
    administrator.open(page_of(account, alice, "policies", CVM, "withdraw"), status=404)


def test_cam_2_a_reader_sees_no_buttons_and_is_refused_with_the_reason(
    account: OpenAccount, alice: CamUser, app: Flask
) -> None:
    with account.make.transaction() as session:
        users.grant_policies(session, SYSTEM, cam_user=alice, names=[CVM])
    reader = enter(account, app, "ReadOnlyAccess")
    reader.click("CAM users").click("alice")
    assert CVM in reader.text
    assert "Grant policies" not in reader.text
    assert "Withdraw" not in reader.text
    reader.open(page_of(account, alice, "policies/grant"), status=403)
    arn = f"qcs::cam::uin/{account.uin}:uin/{alice.uin}"
    assert "You may not do cam:AttachUserPolicies here" in reader.text
    assert f"No policy allows cam:AttachUserPolicies on {arn}" in reader.text
    reader.open(page_of(account, alice, "policies", CVM, "withdraw"), status=403)
    assert f"No policy allows cam:DetachUserPolicies on {arn}" in reader.text


def test_cam_2_without_the_right_a_genuine_form_changes_nothing(
    account: OpenAccount, alice: CamUser, app: Flask
) -> None:
    """The right is asked for when the form arrives, not only when it was shown."""
    visitor = enter(account, app, "AdministratorAccess")
    visitor.open(page_of(account, alice, "policies/grant"))
    account.deploy("TencentCloudSSO-Visitor", ["ReadOnlyAccess"])
    visitor.submit("Grant", policy=[CVM], status=403)
    assert "No policies yet" in visitor.open(page_of(account, alice)).text


def test_cam_3_a_visitor_without_cam_rights_learns_nothing_about_users(
    account: OpenAccount, alice: CamUser, app: Flask
) -> None:
    visitor = account.enter(Browser(app), account.response("alice", {}))
    for page in ("", "/policies/grant", f"/policies/{CVM}/withdraw"):
        visitor.open(page_of(account, alice) + page, status=403)
        assert "You may not do cam:GetUser here: No policy allows cam:GetUser on" in visitor.text
        visitor.open(f"{account.url}/users/123456789012{page}", status=403)


def test_cam_2_users_of_another_account_are_not_found(account: OpenAccount, administrator: Browser) -> None:
    other = OpenAccount(account.make, account.space, role="TencentCloudSSO-Elsewhere")
    other.synchronize("zoe")
    zoe = find(other, "zoe")
    for page in ("", "/policies/grant", f"/policies/{CVM}/withdraw"):
        administrator.open(f"{account.url}/users/{zoe.uin}{page}", status=404)
    assert "You are not signed in to this account" in administrator.open(page_of(other, zoe)).text


def test_cam_2_granting_and_withdrawing_need_the_form_token(
    account: OpenAccount, alice: CamUser, administrator: Browser
) -> None:
    administrator.post(page_of(account, alice, "policies/grant"), {"policy": CVM, "grant": "yes"}, status=400)
    assert "No policies yet" in administrator.open(page_of(account, alice)).text
    administrator.click("Grant policies").submit("Grant", policy=[CVM])
    administrator.post(page_of(account, alice, "policies", CVM, "withdraw"), {}, status=400)
    assert CVM in administrator.open(page_of(account, alice)).text


def test_cam_2_the_last_administrator_of_an_organization_is_not_lost(make: Make, app: Flask) -> None:
    organization, policy = make.organization(), "QcloudOrganizationFullAccess"
    with make.transaction() as session:
        admin_account = session.get_one(Account, organization.admin_uin)
        boss = users.create_cam_user(
            session, SYSTEM, account_uin=admin_account.uin, name="boss", password="a good password", policies=[policy]
        )
    account = OpenAccount(make, make.space("acme", organization), existing=admin_account)
    administrator = enter(account, app, "QcloudCamFullAccess")
    administrator.open(page_of(account, boss, "policies", policy, "withdraw")).submit("Withdraw policy", status=400)
    assert "boss is the last administrator of the organization" in administrator.text
    assert policy in administrator.open(page_of(account, boss)).text


def test_the_page_of_a_user_takes_few_statements(account: OpenAccount, alice: CamUser, app: Flask) -> None:
    administrator = enter(account, app, "AdministratorAccess")
    administrator.open(page_of(account, alice, "policies/grant")).submit("Grant", policy=[CVM, "ReadOnlyAccess"])
    statements: list[str] = []
    event.listen(account.make.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    administrator.open(page_of(account, alice))
    assert len([text for text in statements if text.startswith("SELECT")]) <= 6


def test_an_administrator_makes_access_keys_whose_secret_is_shown_once(
    account: OpenAccount, alice: CamUser, administrator: Browser
) -> None:
    administrator.open(page_of(account, alice)).submit("Create access key")
    key, secret = [code.get_text() for code in administrator.page.find_all("code")][-2:]
    assert key.startswith("AKID")
    administrator.click("Done")
    assert key in administrator.text
    assert secret not in administrator.response.get_data(as_text=True)
    administrator.submit("Create access key").click("Done")
    administrator.submit("Create access key", status=409)
    assert "The limit of 2 access keys of one CAM user is reached (access_keys_per_user)." in administrator.text
    administrator.open(page_of(account, alice)).click(f"Delete {key}").submit("Delete access key")
    assert key not in administrator.text
    assert [event.details["access_key"] for event in events(account, "cam_access_key.delete")] == [key]


def test_who_may_not_makes_and_deletes_no_access_key(account: OpenAccount, alice: CamUser, app: Flask) -> None:
    with account.make.transaction() as session:
        key, _secret = access_keys.create_access_key(session, SYSTEM, cam_user=session.merge(alice))
    reader = enter(account, app, "ReadOnlyAccess").open(page_of(account, alice))
    assert "Create access key" not in reader.text
    reader.open(page_of(account, alice, "access-keys", key.id, "delete"), status=403)
    token = {"csrf_token": "x"}
    reader.post(page_of(account, alice, "access-keys", "create"), token, status=400)
    with account.make.transaction() as session:
        assert len(access_keys.keys_of(session, alice)) == 1
