"""What came from SCIM belongs to the console while SCIM is off, and to the IdP again when it is on (IC-5)."""

from __future__ import annotations

from typing import Any

import pytest

from portal.core.space.models import Space
from tests.support.admin import Admin, sign_in
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.scim import ScimClient, switch

ANN = {
    "userName": "ann",
    "name": {"givenName": "Ann", "familyName": "Old", "middleName": "M"},
    "displayName": "Ann Old",
    "externalId": "e-1",
    "emails": [
        {"value": "ann@home.example", "type": "home", "display": "Home"},
        {"value": "Ann@Old.example", "type": "work", "primary": True},
    ],
    "title": "Engineer",
}


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    admin = sign_in(browser, make)
    switch(make, admin.space, on=True)
    return admin


@pytest.fixture
def space(admin: Admin) -> Space:
    return admin.space


def edited(browser: Browser, make: Make, admin: Admin, user: Any, **fields: str) -> None:
    switch(make, admin.space, on=False)
    browser.open(f"/console/users/{user['id']}").click("Edit").submit("Save", **fields)
    assert "Saved." in browser.text
    switch(make, admin.space, on=True)


def test_ic_5_the_switch_says_in_numbers_what_becomes_editable(browser: Browser, scim: ScimClient) -> None:
    scim.group("Engineers", scim.user("ann")["id"], scim.user("ben")["id"])
    browser.open("/console/scim/switch")
    assert "2 users and 1 user group that came from SCIM become editable here" in browser.text
    browser.submit("Switch off").open("/console/scim/switch")
    assert "2 users and 1 user group that came from SCIM become read-only here" in browser.text


def test_ic_5_a_pushed_user_is_edited_disabled_and_deleted_while_scim_is_off(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    user = scim.user("ann")
    browser.open(f"/console/users/{user['id']}")
    assert "read-only while SCIM is on" in browser.text
    browser.open(f"/console/users/{user['id']}/edit", status=403)
    switch(make, admin.space, on=False)
    browser.open(f"/console/users/{user['id']}")
    assert "can be changed here because SCIM is off" in browser.text
    browser.click("Edit").submit("Save", display_name="Ann B", remarks="kept by hand")
    browser.click("Security information").submit("Disable login")
    assert "Login disabled" in browser.text
    browser.open(f"/console/users/{user['id']}").click("Delete").submit("Delete user")
    assert "User ann deleted." in browser.text
    switch(make, admin.space, on=True)
    assert scim.found("/Users", 'userName eq "ann"') == []
    assert scim.user("ann")["id"] != user["id"]


def test_a_pushed_user_in_use_is_not_deleted_in_the_console(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    user = scim.user("ann")
    group = scim.group("Engineers", user["id"])
    switch(make, admin.space, on=False)
    for path, why in ((f"users/{user['id']}", "1 user group"), (f"groups/{group['id']}", "1 user")):
        browser.open(f"/console/{path}/delete")
        assert why in browser.text
        token = browser.page.find(attrs={"name": "csrf_token"})["value"]
        browser.post(f"/console/{path}/delete", {"csrf_token": token}, status=409)


def test_ic_5_a_pushed_group_is_renamed_and_takes_pushed_users_while_scim_is_off(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    ann, ben = scim.user("ann"), scim.user("ben")
    make.user(admin.space, "manual-one")
    group = scim.group("All Engineers", ann["id"])
    browser.open(f"/console/groups/{group['id']}")
    assert "Remove from group" not in browser.text
    switch(make, admin.space, on=False)
    browser.open(f"/console/groups/{group['id']}").click("Add users")
    assert "manual-one" not in browser.text
    browser.submit("Add to the group", user=[ben["id"]])
    browser.click("Edit").submit("Save", name="All Our Engineers", remarks="")
    browser.submit("Remove from group", user=[ann["id"]])
    switch(make, admin.space, on=True)
    shown = scim.get(f"/Groups/{group['id']}")
    assert shown["displayName"] == "All Our Engineers"
    assert [member["value"] for member in shown["members"]] == [ben["id"]]
    assert shown["meta"]["version"] > group["meta"]["version"]


def test_after_an_edit_a_read_the_filters_and_the_console_agree(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    user = scim.post("/Users", ANN)
    edited(browser, make, admin, user, email="ann@new.example", family_name="Åström", display_name="Ann New")
    shown = scim.get(f"/Users/{user['id']}")
    assert shown["name"] == {"givenName": "Ann", "familyName": "Åström", "middleName": "M"}
    assert shown["emails"] == [
        {"value": "ann@home.example", "type": "home", "display": "Home"},
        {"value": "ann@new.example", "type": "work", "primary": True},
    ]
    assert (shown["displayName"], shown["title"], shown["externalId"]) == ("Ann New", "Engineer", "e-1")
    assert shown["meta"]["version"] != user["meta"]["version"]
    for found in (
        'emails.value eq "ANN@new.example"',
        'emails[type eq "work" and primary eq true].value eq "ann@new.example"',
        'emails.value eq "ann@home.example"',
        'name.familyName eq "åström"',
        'name.givenName eq "ann"',
        'displayName eq "ann new"',
        'title eq "engineer"',
    ):
        assert [each["id"] for each in scim.found("/Users", found)] == [user["id"]], found
    for gone in ('emails.value eq "ann@old.example"', 'name.familyName eq "old"'):
        assert scim.found("/Users", gone) == [], gone
    scim.get(f"/Users/{user['id']}", status=200, headers={"If-None-Match": user["meta"]["version"]})


def test_a_patch_after_an_edit_keeps_it(browser: Browser, make: Make, admin: Admin, scim: ScimClient) -> None:
    user = scim.post("/Users", ANN)
    edited(browser, make, admin, user, email="ann@new.example", given_name="Anna")
    scim.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Chief"})
    browser.open(f"/console/users/{user['id']}")
    assert "ann@new.example" in browser.text
    assert "Anna" in browser.text
    scim.put(f"/Users/{user['id']}", ANN)
    assert "Ann@Old.example" in browser.open(f"/console/users/{user['id']}").text, "the IdP overwrites"
    assert scim.found("/Users", 'emails.value eq "ann@new.example"') == []


def test_an_email_that_is_emptied_is_gone_and_a_first_one_is_for_work(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    user = scim.post("/Users", ANN)
    edited(browser, make, admin, user, email="", given_name="")
    shown = scim.get(f"/Users/{user['id']}")
    assert "emails" not in shown
    assert "givenName" not in shown["name"]
    assert scim.found("/Users", "emails pr or name.givenName pr") == []
    edited(browser, make, admin, user, email="first@acme.example", given_name="A")
    shown = scim.get(f"/Users/{user['id']}")
    assert shown["emails"] == [{"value": "first@acme.example", "type": "work", "primary": True}]
    for found in ('emails[type eq "work"].value eq "first@acme.example"', 'name.givenName eq "a"'):
        assert [each["id"] for each in scim.found("/Users", found)] == [user["id"]], found


def test_an_address_is_found_beside_entries_that_are_none(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    entry = {"value": "no address", "type": "work", "primary": True}
    user = scim.user("ann", emails=[entry])
    edited(browser, make, admin, user, email="ann@acme.example")
    scim.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Chief"})
    assert "ann@acme.example" in browser.open(f"/console/users/{user['id']}").text
    (found,) = scim.found("/Users", 'emails[primary eq true].value eq "ann@acme.example"')
    assert [each.get("primary") for each in found["emails"]] == [None, True]


def test_active_is_shown_again_once_the_console_decided_it(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    user = scim.user("ann")
    assert "active" not in scim.patch(f"/Users/{user['id']}", {"op": "remove", "path": "active"})
    switch(make, admin.space, on=False)
    browser.open(f"/console/users/{user['id']}?tab=security").submit("Disable login")
    switch(make, admin.space, on=True)
    assert scim.get(f"/Users/{user['id']}")["active"] is False


def test_a_full_name_that_fits_no_longer_is_not_read_back(
    browser: Browser, make: Make, admin: Admin, scim: ScimClient
) -> None:
    user = scim.post("/Users", ANN | {"name": {"givenName": "Ann", "familyName": "Old", "formatted": "Ann Old"}})
    edited(browser, make, admin, user, email="ann@new.example")
    assert scim.get(f"/Users/{user['id']}")["name"]["formatted"] == "Ann Old"
    edited(browser, make, admin, user, family_name="New")
    assert scim.get(f"/Users/{user['id']}")["name"] == {"givenName": "Ann", "familyName": "New"}
    assert scim.found("/Users", 'name.formatted eq "ann old"') == []
