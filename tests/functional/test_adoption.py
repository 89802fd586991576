"""A push never takes over what was made by hand; an administrator hands it over, and then it works (IC-5)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.directory.adoption import adopt_user
from portal.core.directory.models import Group, Source, User
from portal.core.errors import Conflict
from portal.settings import Settings
from tests.support import admin as console
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.provisioning import Provisioning
from tests.support.scim import ScimClient, make_secret, switch


class House:
    """A space with its IdP and an administrator; tasks really run."""

    def __init__(self, app: Flask, browser: Browser, make: Make, settings: Settings) -> None:
        self.make, self.browser = make, browser
        self.provisioning = Provisioning(make, settings)
        self.space = self.provisioning.space
        with make.transaction() as session:
            organization = session.get_one(console.Organization, self.space.organization_id)
        console.make_administrator(make, organization)
        console.enter(browser, "acme", "admin")
        switch(make, self.space, on=True)
        self.scim = ScimClient(app, make_secret(make, self.space))

    def user(self, user_id: str) -> User:
        (found,) = self.provisioning.rows(select(User).where(User.id == user_id))
        return found  # type: ignore[no-any-return]

    def actions(self) -> list[str]:
        return self.provisioning.rows(select(AuditEvent.action).order_by(AuditEvent.id))

    def adopt(self, kind: str, row_id: str) -> str:
        self.browser.open(f"/console/{kind}/{row_id}").click("Hand over to SCIM")
        said = self.browser.text
        self.browser.submit("Hand over to SCIM")
        assert "handed over to SCIM" in self.browser.text
        assert "read-only while SCIM is on" in self.browser.text
        return said


@pytest.fixture
def house(app: Flask, browser: Browser, make: Make, settings: Settings) -> House:
    return House(app, browser, make, settings)


def test_ic_5_a_push_of_a_name_made_by_hand_is_refused_and_says_what_to_do(house: House) -> None:
    user = house.make.user(house.space, "eve", email="eve@acme.example")
    group = house.make.group(house.space, "auditors")
    pushes: list[tuple[str, dict[str, Any], str]] = [
        ("/Users", {"userName": "EVE"}, user.id),
        ("/Users", {"userName": "other", "emails": [{"value": "Eve@acme.example"}]}, user.id),
        ("/Groups", {"displayName": "Auditors"}, group.id),
    ]
    for path, body, row_id in pushes:
        refused = house.scim.post(path, body, status=409)
        assert refused["scimType"] == "uniqueness"
        for part in (row_id, "made by hand", "An administrator can hand it over to SCIM on the page"):
            assert part in refused["detail"]
    operation = {"op": "replace", "path": "displayName", "value": "X"}
    for path in (f"/Users/{user.id}", f"/Groups/{group.id}"):
        assert "hand it over" in house.scim.patch(path, operation, status=403)["detail"]
        assert "hand it over" in house.scim.delete(path, status=403)["detail"]
    assert house.user(user.id).source == Source.MANUAL


def test_ic_5_an_adopted_user_keeps_what_it_has_and_obeys_the_idp(house: House) -> None:
    work = house.provisioning
    user = house.make.user(
        house.space, "eve", email="Eve@acme.example", given_name="Eve", family_name="Öst", display_name="Eve Ö"
    )
    shop, reader = work.account("shop"), work.configuration()
    work.grant([shop], [user], [reader])
    work.synchronize([shop], [user])
    work.work()
    before = house.scim.get(f"/Users/{user.id}")
    filters = (
        'userName eq "EVE"',
        'emails.value eq "eve@acme.example"',
        'emails[type eq "work" and primary eq true].value sw "eve@"',
        'name.givenName eq "eve" and displayName co "eve"',
        "emails pr and name pr",
    )
    said = house.adopt("users", user.id)
    assert "It keeps 1 authorization." in said
    assert "It keeps 1 user synchronization." in said
    assert "leaves" not in said
    after = house.scim.get(f"/Users/{user.id}")
    assert {**after, "meta": None} == {**before, "meta": None}
    assert after["meta"]["version"] > before["meta"]["version"]
    for filter in (*filters, 'name.familyName eq "öst"'):
        assert [each["id"] for each in house.scim.found("/Users", filter)] == [user.id], filter
    assert len(work.authorizations()) == len(work.syncs()) == 1
    assert work.synced(shop) == ["eve"]

    house.scim.put(f"/Users/{user.id}", {**after, "externalId": "e-1", "title": "Chief"})
    house.scim.patch(f"/Users/{user.id}", {"op": "replace", "path": 'emails[type eq "work"].value', "value": "e@x.y"})
    (found,) = house.scim.found("/Users", 'externalId eq "e-1" and emails.value eq "e@x.y"')
    assert (found["id"], found["title"]) == (user.id, "Chief")
    assert house.scim.found("/Users", 'emails.value eq "eve@acme.example"') == []
    assert "user.adopt" in house.actions()
    house.scim.delete(f"/Users/{user.id}")
    work.work()
    assert work.authorizations() == work.syncs() == work.synced(shop) == []


def test_ic_5_an_adopted_user_leaves_its_groups_and_loses_what_came_by_them_only(house: House) -> None:
    work = house.provisioning
    user, other = house.make.user(house.space, "eve"), house.make.user(house.space, "bob")
    ops, dev = (house.make.group(house.space, name, [user, other]) for name in ("ops", "dev"))
    shop, bank = work.account("shop"), work.account("bank")
    reader, writer = work.configuration(), work.configuration("writer")
    work.grant([shop], [user], [reader])
    work.grant([shop, bank], [ops], [reader])
    work.grant([bank], [dev], [reader, writer])
    work.synchronize([shop], [user])
    work.synchronize([shop, bank], [ops])
    work.work()
    said = house.adopt("users", user.id)
    assert "The user leaves 2 user groups" in said
    assert re.search(r"of its own source: dev\s*, ops", said)
    assert "2 authorizations that come only by these groups end at once" in said
    assert "The CAM user in 1 account goes" in said
    work.work()
    assert house.scim.get(f"/Users/{user.id}").get("groups") is None
    assert work.synced(shop) == ["bob", "eve"]
    assert work.synced(bank) == ["bob"]
    assert [held.account_uin for held in work.authorizations() if held.user_id] == [shop.uin]
    assert house.actions().count("group.remove_users") == 2


def test_ic_5_a_group_is_adopted_with_its_users(house: House) -> None:
    users = [house.make.user(house.space, name, email=f"{name}@x.y") for name in ("eve", "bob")]
    group = house.make.group(house.space, "ops", users)
    said = house.adopt("groups", group.id)
    assert "Its 2 users are handed over too" in said
    assert {house.user(user.id).source for user in users} == {Source.SCIM}
    ann = house.scim.user("ann")
    house.scim.patch(f"/Groups/{group.id}", {"op": "add", "path": "members", "value": [{"value": ann["id"]}]})
    house.scim.patch(f"/Groups/{group.id}", {"op": "replace", "value": {"displayName": "All Ops"}})
    shown = house.scim.get(f"/Groups/{group.id}")
    assert {member["value"] for member in shown["members"]} == {ann["id"], *(user.id for user in users)}
    assert len(house.scim.found("/Users", 'emails[type eq "work"].value ew "@x.y"')) == 2
    assert house.actions().count("user.adopt") == 2
    assert house.actions().count("group.adopt") == 1


def test_ic_5_a_group_whose_users_are_elsewhere_too_is_not_adopted(house: House) -> None:
    eve, bob = house.make.user(house.space, "eve"), house.make.user(house.space, "bob")
    ops, dev = house.make.group(house.space, "ops", [eve, bob]), house.make.group(house.space, "dev", [])
    house.browser.open(f"/console/groups/{ops.id}/adopt")
    token = house.browser.page.find(attrs={"name": "csrf_token"})["value"]
    house.browser.open(f"/console/groups/{dev.id}/users").submit("Add to the group", user=[eve.id])
    house.browser.open(f"/console/groups/{ops.id}/adopt")
    assert "1 user of this group is in other user groups too" in house.browser.text
    house.browser.post(f"/console/groups/{ops.id}/adopt", {"csrf_token": token}, status=400)
    assert "In other user groups too: eve." in house.browser.text
    sources = house.provisioning.rows(select(Group.source).where(Group.id == ops.id))
    assert [*sources, house.user(bob.id).source] == [Source.MANUAL, Source.MANUAL]


def test_nothing_is_handed_over_twice_or_to_nobody(house: House) -> None:
    user = house.make.user(house.space, "eve")
    house.browser.open(f"/console/users/{user.id}/adopt")
    token = house.browser.page.find(attrs={"name": "csrf_token"})["value"]
    house.browser.submit("Hand over to SCIM")
    house.browser.post(f"/console/users/{user.id}/adopt", {"csrf_token": token}, status=400)
    assert "comes from SCIM already" in house.browser.text


def test_without_scim_and_credential_there_is_nobody_to_hand_over_to(browser: Browser, make: Make) -> None:
    admin = console.sign_in(browser, make)
    user, group = make.user(admin.space, "eve"), make.group(admin.space, "ops")
    for path in (f"users/{user.id}", f"groups/{group.id}"):
        assert "Hand over to SCIM" not in browser.open(f"/console/{path}").text
        browser.open(f"/console/{path}/adopt").submit("Hand over to SCIM", status=400)
        assert "No identity provider pushes here" in browser.text
    make_secret(make, admin.space)
    browser.open(f"/console/users/{user.id}").click("Hand over to SCIM").submit("Hand over to SCIM")
    assert "can be changed here because SCIM is off" in browser.text


def test_who_may_only_look_hands_nothing_over(browser: Browser, make: Make) -> None:
    admin = console.sign_in(browser, make, policies=[console.READ_ONLY])
    switch(make, admin.space, on=True)
    user = make.user(admin.space, "eve")
    assert "Hand over to SCIM" not in browser.open(f"/console/users/{user.id}").text
    browser.open(f"/console/users/{user.id}/adopt", status=403)


def test_who_hands_over_second_finds_it_done(house: House) -> None:
    made = house.make.user(house.space, "eve", email="eve@acme.example")
    stale = house.user(made.id)
    house.adopt("users", made.id)
    with house.make.transaction() as session, pytest.raises(Conflict, match="comes from SCIM already"):
        adopt_user(session, SYSTEM, user=session.merge(stale, load=False))
