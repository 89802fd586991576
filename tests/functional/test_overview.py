"""Activation and the first page of the console."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.core import clock
from portal.core.access.models import Task, TaskStatus, TaskType
from portal.core.access.tasks import enqueue, new_batch
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamPolicy, CamRole
from portal.core.organization.models import Member
from portal.core.space.models import Space
from tests.support import admin


@pytest.fixture
def newcomer(browser, make):
    """An administrator of an organization without Identity Center."""
    organization = admin.make_organization(make, "Müller & Söhne")
    admin.make_administrator(make, organization)
    admin.enter(browser, organization.admin_uin, "admin")
    return organization


def test_ic_1_the_administrator_activates_the_identity_center_once(browser, make, newcomer):
    assert browser.url == "/console/activate"
    assert browser.page.find(id="name")["value"] == "muller-sohne"
    assert "cannot be changed later" in browser.text
    browser.submit("Activate", name="mueller")
    assert browser.url == "/console/"
    assert "http://localhost/login/mueller" in browser.text
    with make.transaction() as session:
        space = session.scalars(select(Space)).one()
        assert (space.name, space.organization_id) == ("mueller", newcomer.id)
        roles = session.scalars(select(CamRole.name).where(CamRole.account_uin == newcomer.admin_uin)).all()
        assert roles == ["Orgnization_QCSLinkedRoleInCIC"]
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "space.activate")).one()
        assert event.actor_name == "admin"
    browser.open("/console/activate")
    assert browser.url == "/console/"


@pytest.mark.parametrize("name", ["", "a", "Upper", "-a", "a-", "a--b", "a b", "a.b", "x" * 65, "<b>x</b>"])
def test_ic_1_a_space_name_keeps_to_its_rule(browser, make, newcomer, name):
    browser.submit("Activate", name=name, status=400)
    assert browser.page.find("p", class_="error") is not None
    with make.transaction() as session:
        assert session.scalars(select(Space)).all() == []


def test_ic_1_a_space_name_is_taken_once_in_the_whole_installation(browser, make, newcomer):
    make.space("acme")
    browser.submit("Activate", name="acme", status=400)
    assert "acme is taken" in browser.text


def test_ic_1_a_read_only_administrator_does_not_activate(browser, make):
    organization = admin.make_organization(make, "Acme")
    admin.make_administrator(make, organization, policies=[admin.READ_ONLY])
    browser.open("/console/login")
    browser.submit("Sign in", account=organization.admin_uin, user_name="admin", password=admin.PASSWORD, status=403)
    assert "organization:OpenIdentityCenter" in browser.text


def test_pages_of_the_space_lead_to_the_activation_before_there_is_one(browser, newcomer):
    browser.open("/console/sso")
    assert browser.url == "/console/activate"


def test_ic_2_the_overview_tells_the_counts_the_login_url_and_what_to_do_next(browser, make):
    space = admin.sign_in(browser, make).space
    make.group(space, "staff", [make.user(space, "alice"), make.user(space, "bob")])
    make.account(space, "shop")
    browser.open("/console/")
    tiles = {tile.span.get_text(): tile.b.get_text() for tile in browser.page.find_all("a", class_="tile")}
    assert tiles["Users"] == "2"
    assert tiles["User groups"] == "1"
    assert tiles["Accounts"] == "2"
    assert tiles["Departments"] == "0"
    assert tiles["Permission configurations"] == "0"
    button = browser.page.find("button", attrs={"data-copy": "http://localhost/login/acme"})
    assert button is not None
    steps = [item.a.get_text() for item in browser.page.find("ol", class_="mb-0").find_all("li")]
    assert steps == [
        "Set up the identity provider",
        "Create a permission configuration",
        "Authorize users and user groups",
    ]


def test_ic_2_the_overview_warns_before_the_certificate_of_the_identity_provider_runs_out(browser, make):
    from portal.core.federation.identity_provider import set_identity_provider
    from portal.trust import by_hand
    from tests.support.saml_idp import key_pair

    signed_in = admin.sign_in(browser, make)
    with make.transaction() as session:
        offered = by_hand(entity_id="urn:idp", sso_url="https://idp.example/sso", certificate=key_pair("idp")[1])
        set_identity_provider(session, admin.SYSTEM, space=session.merge(signed_in.space), idp=offered)
    left = offered.certificates[0].not_after - clock.now()
    browser.open("/console/")
    assert "Switch on SSO" in browser.text
    assert "Renew the certificate" not in browser.text
    with clock.shifted(left - timedelta(days=29)):
        admin.enter(browser, "acme", "admin")
        assert "Renew the certificate" in browser.text


def test_the_navigation_shows_the_pages_that_one_may_open(browser, make):
    organization = admin.sign_in(browser, make, policies=[admin.READ_ONLY]).organization
    assert len(_entries(browser)) == 16
    for path in _entries(browser).values():
        browser.open(path)
    actions = ["organization:DescribeIdentityCenter", "organization:GetExternalSAMLIdentityProvider"]
    document = {"version": "2.0", "statement": [{"effect": "allow", "action": actions, "resource": ["*"]}]}
    with make.transaction() as session:
        session.add(CamPolicy(account_uin=organization.admin_uin, name="Few", document=json.dumps(document)))
    admin.make_administrator(make, organization, "few", ["Few"])
    browser.submit("Sign out")
    admin.enter(browser, "acme", "few")
    assert _entries(browser) == {"Overview": "/console/", "People": "/console/sso", "SSO": "/console/sso"}


def _entries(browser):
    links = browser.page.find("nav", class_="sidenav").find_all("a")
    return {link.get_text(" ", strip=True): link["href"] for link in links}


def test_ic_2_only_failed_tasks_that_can_run_again_are_something_to_do(browser, make):
    space = admin.sign_in(browser, make).space
    shop, lab = make.account(space, "shop"), make.account(space, "lab")
    with make.transaction() as session:
        for account, attempts in ((shop, 3), (shop, 0), (lab, 3)):
            about = {"space_id": space.id, "account_uin": account.uin, "type": TaskType.UNDEPLOY}
            enqueue(session, batch_id=new_batch(), status=TaskStatus.FAILED, attempts=attempts, **about)
        session.query(Member).filter_by(account_uin=lab.uin).delete()
    browser.open("/console/")
    assert "1 Failed tasks" in browser.text
    assert browser.page.find("a", class_="tile", href="/console/tasks?status=Failed")
    browser.click("Look at failed tasks")
    assert browser.url == "/console/tasks?status=Failed"
    with make.transaction() as session:
        session.query(Task).filter_by(account_uin=shop.uin, attempts=3).delete()
    browser.open("/console/")
    assert "0 Failed tasks" in browser.text
    assert "Look at failed tasks" not in browser.text
