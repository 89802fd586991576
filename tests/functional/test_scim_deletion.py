"""What the IdP deletes is gone from the accounts too, by tasks; whom it deactivates is signed out at once (IC-5)."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.clouds import connector_for
from portal.core.access.models import Authorization, Configuration, Task, UserSync
from portal.core.directory.models import Group, User
from portal.core.organization.models import Account
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.access import Access
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.scim import ScimClient, make_secret, switch
from tests.support.sso import Sso


class House:
    """A pushed employee who signed in to the portal, and two accounts."""

    def __init__(self, app: Flask, make: Make, settings: Settings, browser: Browser) -> None:
        self.make, self.settings, self.browser = make, settings, browser
        self.sso = Sso(make)
        switch(make, self.sso.space, on=True)
        self.scim = ScimClient(app, make_secret(make, self.sso.space))
        self.access = Access(make, self.sso.space)
        self.shop, self.bank = (make.account(self.sso.space, name) for name in ("shop", "bank"))
        self.alice = self.user(self.scim.user("alice")["id"])
        self.sso.sign_in(browser, "alice")

    def rows(self, statement: Any) -> list[Any]:
        with self.make.transaction() as session:
            return list(session.scalars(statement))

    def user(self, user_id: str) -> User:
        return self.rows(select(User).where(User.id == user_id))[0]  # type: ignore[no-any-return]

    def group(self, name: str, *members: str) -> Group:
        group_id = self.scim.group(name, *members)["id"]
        return self.rows(select(Group).where(Group.id == group_id))[0]  # type: ignore[no-any-return]

    def role(self, holder: User | Group, name: str, account: Account) -> Configuration:
        configuration = self.access.configuration(name)
        self.access.open_role(holder, account, configuration)
        return configuration

    def enter(self, account: Account, configuration: Configuration | None = None) -> None:
        """By the portal's button and the page that posts the response; without a configuration as the CAM user."""
        page = self.browser.open("/home" if configuration else "/home?tab=user").page
        token = page.find("input", attrs={"name": "csrf_token"})["value"]
        door = f"roles/{configuration.id}" if configuration else "user"
        self.browser.post(f"/home/accounts/{account.uin}/{door}/login", {"csrf_token": token})
        form = self.browser.page.find("form", attrs={"data-auto-submit": True})
        self.browser.post(str(form["action"]), {field["name"]: field["value"] for field in form.find_all("input")})
        assert self.is_inside(account)

    def is_inside(self, account: Account) -> bool:
        return self.browser.open(f"/accounts/{account.uin}").url == f"/accounts/{account.uin}"

    def is_signed_in(self) -> bool:
        return self.browser.open("/home").url == "/home"

    def cam_users(self, account: Account) -> list[str]:
        connector = connector_for(self.make.database, account, base_url=self.settings.base_url)
        return list(connector.describe(managed_by=self.sso.space.id).users)

    def work(self) -> None:
        run_until_idle(self.make.database, self.settings)
        assert {task.status for task in self.rows(select(Task)) if task.attempts} == {"Success"}


@pytest.fixture
def house(app: Flask, make: Make, settings: Settings, browser: Browser) -> House:
    return House(app, make, settings, browser)


def test_a_deleted_user_loses_rights_at_once_and_what_stands_in_accounts_by_tasks(house: House) -> None:
    team = house.group("Team", house.alice.id)
    reader = house.role(house.alice, "Reader", house.shop)
    house.role(team, "Teamster", house.bank)
    house.access.open_user(house.alice, house.bank)
    house.enter(house.shop, reader)
    house.enter(house.bank)
    house.scim.delete(f"/Users/{house.alice.id}")
    assert not house.is_signed_in()
    assert house.rows(select(Authorization.group_id)) == [team.id]
    assert house.rows(select(UserSync)) == []
    assert house.is_inside(house.shop), "its task did not run yet"
    assert house.cam_users(house.bank) == ["alice"]
    house.work()
    assert not house.is_inside(house.shop)
    assert not house.is_inside(house.bank)
    assert house.cam_users(house.bank) == []
    assert "members" not in house.scim.get(f"/Groups/{team.id}")


def test_a_deleted_group_takes_its_rights_along_and_its_members_stay(house: House) -> None:
    team = house.group("Team", house.alice.id)
    by_group, own = house.role(team, "Teamster", house.bank), house.role(house.alice, "Reader", house.shop)
    house.enter(house.bank, by_group)
    house.enter(house.shop, own)
    house.scim.delete(f"/Groups/{team.id}")
    assert house.rows(select(Authorization.user_id)) == [house.alice.id]
    house.work()
    assert not house.is_inside(house.bank)
    assert house.is_inside(house.shop)
    assert house.is_signed_in()


@pytest.mark.parametrize("how", ["patch", "put", "bulk"])
def test_a_deactivated_user_is_signed_out_at_once_and_may_come_back(house: House, how: str) -> None:
    path, off = f"/Users/{house.alice.id}", {"op": "replace", "path": "active", "value": False}
    reader = house.role(house.alice, "Reader", house.shop)
    house.enter(house.shop, reader)
    if how == "patch":
        house.scim.patch(path, off)
    elif how == "put":
        house.scim.put(path, {"userName": "alice", "active": False})
    else:
        operation = {"method": "PATCH", "path": path, "data": {"Operations": [off]}}
        house.scim.post("/Bulk", {"Operations": [operation]}, status=200)
    assert not house.is_signed_in()
    house.work()
    assert not house.is_inside(house.shop)
    assert house.rows(select(Authorization.user_id)) == [house.alice.id]
    house.scim.patch(path, {**off, "value": True})
    house.sso.sign_in(house.browser, "alice")
    house.enter(house.shop, reader)
