"""Who loses access is put out of the accounts too, soon after (SCIM deactivation, IC-12, IC-14)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from portal.core import clock
from portal.core.access import authorizations
from portal.core.access.models import Authorization, Configuration, OpenedSession, Task, TaskType
from portal.core.access.sessions import SETTLED_AFTER
from portal.core.actor import SYSTEM, Actor
from portal.core.cam.models import CamSession
from portal.core.directory import groups, users
from portal.core.directory.models import Group, Source, User
from portal.core.organization.models import Account
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.access import Access
from tests.support.admin import sign_in
from tests.support.browser import Browser
from tests.support.make import SCIM, Make
from tests.support.sso import Sso


class House:
    """Alice, signed in to the portal, and one account with roles."""

    def __init__(self, make: Make, settings: Settings, browser: Browser) -> None:
        self.make, self.settings, self.browser = make, settings, browser
        self.sso = Sso(make)
        self.access = Access(make, self.sso.space)
        self.production = make.account(self.sso.space, "production")
        self.url = f"/accounts/{self.production.uin}"

    def employee(self, source: Source = Source.MANUAL) -> User:
        with self.make.transaction() as session:
            actor = SCIM if source == Source.SCIM else SYSTEM
            user = users.create_user(session, actor, space=self.sso.space, user_name="alice", source=source)
        self.sso.sign_in(self.browser, "alice")
        return user

    def role(self, holder: User | Group, name: str, account: Account | None = None) -> Configuration:
        configuration = self.access.configuration(name)
        self.access.open_role(holder, account or self.production, configuration)
        return configuration

    def enter(self, configuration: Configuration | None, account: Account | None = None) -> None:
        """By the portal's button and the page that posts the response."""
        uin = (account or self.production).uin
        path = f"/home/accounts/{uin}/" + (f"roles/{configuration.id}/login" if configuration else "user/login")
        page = self.browser.open("/home" if configuration else "/home?tab=user").page
        token = page.find("input", attrs={"name": "csrf_token"})
        self.browser.post(path, {"csrf_token": token["value"]})
        form = self.browser.page.find("form", attrs={"data-auto-submit": True})
        fields = {field["name"]: field["value"] for field in form.find_all("input")}
        self.browser.post(str(form["action"]), fields)
        assert self.browser.url == f"/accounts/{uin}"

    def is_inside(self) -> bool:
        return self.browser.open(self.url).url == self.url

    def open_roles(self) -> int:
        with self.make.transaction() as session:
            open_now = select(func.count()).select_from(CamSession).where(CamSession.ended_at.is_(None))
            return session.scalar(open_now) or 0

    def disable(self, user: User, *, enabled: bool = False, actor: Actor = SYSTEM) -> None:
        with self.make.transaction() as session:
            users.set_enabled(session, actor, user=session.get_one(User, user.number), enabled=enabled)

    def revoke(self, configuration: Configuration) -> None:
        with self.make.transaction() as session:
            held = session.scalars(select(Authorization.id).filter_by(configuration_id=configuration.id)).all()
            authorizations.revoke(session, SYSTEM, space=self.sso.space, authorizations=held)

    def work(self) -> None:
        run_until_idle(self.make.database, self.settings)

    def tasks(self) -> list[str]:
        with self.make.transaction() as session:
            statement = select(Task).where(Task.type == TaskType.END_SESSIONS).order_by(Task.created_at, Task.id)
            return [f"{task.status} {task.reason}".strip() for task in session.scalars(statement)]


@pytest.fixture
def house(make: Make, settings: Settings, browser: Browser) -> House:
    return House(make, settings, browser)


@pytest.mark.parametrize("source", [Source.MANUAL, Source.SCIM])
@pytest.mark.parametrize("how", ["role", "user"])
def test_who_is_disabled_is_out_of_the_account(house: House, source: Source, how: str) -> None:
    alice = house.employee(source)
    if how == "role":
        house.enter(house.role(alice, "Reader"))
    else:
        house.access.open_user(alice, house.production)
        house.enter(None)
    house.disable(alice, actor=SCIM if source == Source.SCIM else SYSTEM)
    assert house.is_inside(), "its task did not run yet"
    house.work()
    assert not house.is_inside()
    assert house.browser.url.endswith("/signed-out")


def test_the_console_says_what_disabling_ends(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    user = make.user(admin.space, "alice")
    browser.open(f"/console/users/{user.id}?tab=security")
    assert "Sessions that are open inside accounts end within moments, by tasks." in browser.text
    browser.submit("Disable login")
    assert "those inside accounts end within moments, by tasks." in browser.text


def test_who_is_enabled_again_before_the_task_runs_stays(house: House) -> None:
    alice = house.employee()
    house.enter(house.role(alice, "Reader"))
    house.disable(alice)
    house.disable(alice, enabled=True)
    house.work()
    assert house.is_inside()
    assert house.tasks() == ["Success"]


def test_who_the_idp_deletes_is_out_of_the_account(house: House) -> None:
    alice = house.employee(Source.SCIM)
    house.enter(house.role(alice, "Reader"))
    with house.make.transaction() as session:
        users.delete_user(session, SCIM, user=session.get_one(User, alice.number))
    house.work()
    assert not house.is_inside()


def test_ic_12_removing_one_role_ends_its_session_and_no_other(house: House) -> None:
    alice = house.employee()
    reader, admin = house.role(alice, "Reader"), house.role(alice, "Admin")
    house.enter(reader)
    house.browser.client.delete_cookie("portal_account", path=house.url)
    house.enter(admin)
    assert house.open_roles() == 2
    house.revoke(reader)
    house.work()
    assert house.is_inside()
    assert "TencentCloudSSO-Admin" in house.browser.text
    assert house.open_roles() == 1
    house.revoke(admin)
    house.work()
    assert not house.is_inside()


@pytest.mark.parametrize("still_by_group", [True, False])
def test_who_still_has_the_role_by_a_group_stays(house: House, still_by_group: bool) -> None:
    alice = house.employee()
    reader = house.role(alice, "Reader")
    house.enter(reader)
    house.revoke(reader)
    team = house.make.group(house.sso.space, "team", [alice] if still_by_group else None)
    with house.make.transaction() as session:  # granted anew before the task runs
        authorizations.grant(
            session,
            SYSTEM,
            space=house.sso.space,
            accounts=[house.production.uin],
            groups=[team.id],
            configurations=[reader.id],
        )
    house.work()
    assert house.is_inside() == still_by_group


def test_who_leaves_the_group_that_opened_the_account_is_out(house: House) -> None:
    alice = house.employee()
    team, other = house.make.group(house.sso.space, "team", [alice]), house.make.group(house.sso.space, "x", [alice])
    house.enter(house.role(team, "Reader"))
    for group, inside, tasks in ((other, True, 0), (team, False, 1)):
        with house.make.transaction() as session:
            found = session.get_one(Group, group.number)
            groups.remove_members(session, SYSTEM, group=found, user_ids=[alice.id])
        assert len(house.tasks()) == tasks
        house.work()
        assert house.is_inside() == inside


def test_members_of_a_group_that_the_idp_deletes_are_out(house: House) -> None:
    alice = house.employee(Source.SCIM)
    team = house.make.group(house.sso.space, "team", [alice], source=Source.SCIM)
    house.enter(house.role(team, "Reader"))
    with house.make.transaction() as session:
        groups.delete_group(session, SCIM, group=session.get_one(Group, team.number))
    house.work()
    assert not house.is_inside()


def test_one_task_per_account_where_the_person_may_be_and_none_elsewhere(house: House) -> None:
    alice = house.employee()
    testing = house.make.account(house.sso.space, "testing")
    house.enter(house.role(alice, "Reader"))
    house.enter(house.role(alice, "Tester", testing), testing)
    house.role(alice, "Unused", house.make.account(house.sso.space, "other"))
    house.disable(alice)
    assert house.tasks() == ["Queued", "Queued"]


def test_a_log_in_that_ran_out_asks_for_nothing(house: House) -> None:
    alice = house.employee()
    house.enter(house.role(alice, "Reader"))
    with clock.shifted(timedelta(hours=2)):
        house.disable(alice)
    assert house.tasks() == []


def test_a_response_that_was_still_on_its_way_is_caught_by_a_second_look(house: House) -> None:
    alice = house.employee()
    house.enter(house.role(alice, "Reader"))
    house.disable(alice)
    house.work()
    assert sorted(house.tasks()) == ["Queued", "Success"]
    with house.make.transaction() as session:  # it arrived after the first look
        session.execute(CamSession.__table__.update().values(ended_at=None))
    with clock.shifted(SETTLED_AFTER):
        house.work()
    assert not house.is_inside()
    assert house.tasks() == ["Success", "Success"]
    with house.make.transaction() as session:
        assert session.scalar(select(func.count()).select_from(OpenedSession)) == 0


def test_logging_in_again_keeps_one_row_with_the_latest_end(house: House) -> None:
    alice = house.employee()
    reader = house.role(alice, "Reader")
    house.enter(reader)
    house.enter(reader)
    with house.make.transaction() as session:
        (row,) = session.scalars(select(OpenedSession))
    assert row.ends_at - row.opened_at == SETTLED_AFTER + timedelta(hours=1)
