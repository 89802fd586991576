"""The pages of user groups, through their forms (IC-4, IC-5)."""

from __future__ import annotations

from portal.core.directory.models import Source
from tests.support.admin import sign_in
from tests.support.browser import Browser
from tests.support.make import Make


def test_ic_4_a_group_is_created_edited_filled_emptied_and_deleted(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    alice, bob = make.user(admin.space, "alice"), make.user(admin.space, "bob")
    browser.open("/console/groups").click("Create user group").submit("Create", name="ops", remarks="on call")
    browser.click("Edit").submit("Save", name="operations")
    assert "operations" in browser.text
    browser.click("Add users").submit("Add to the group", user=[alice.id, bob.id])
    assert "2 users added." in browser.text
    group = browser.url.rsplit("/", 1)[1]
    browser.open(f"/console/groups/{group}/delete")
    assert "2 users" in browser.text
    browser.open(f"/console/groups/{group}").submit("Remove from group", user=[alice.id, bob.id])
    assert "2 users removed." in browser.text
    browser.click("Delete").submit("Delete user group")
    assert "User group operations deleted." in browser.text


def test_ic_4_a_name_that_is_taken_is_refused_at_its_field(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    make.group(admin.space, "ops")
    browser.open("/console/groups/create").submit("Create", status=400, name="OPS")
    assert "exists already" in browser.page.find(id="name-error").get_text()


def test_ic_5_a_pushed_group_is_read_only_with_its_members(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    user = make.user(admin.space, "pushed", source=Source.SCIM)
    group = make.group(admin.space, "Pushed group", members=[user], source=Source.SCIM)
    browser.open(f"/console/groups/{group.id}")
    assert "read-only here" in browser.text
    assert "Remove from group" not in browser.text
    browser.open(f"/console/groups/{group.id}/users", status=403)
    browser.open(f"/console/groups/{group.id}/edit", status=403)


def test_a_group_of_another_organization_is_not_found(browser: Browser, make: Make) -> None:
    sign_in(browser, make)
    stranger = make.group(make.space())
    for page in ("", "/edit", "/delete", "/users"):
        browser.open(f"/console/groups/{stranger.id}{page}", status=404)


def test_strangers_do_not_join(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    group, stranger = make.group(admin.space), make.user(make.space())
    make.user(admin.space)
    browser.open(f"/console/groups/{group.id}/users")
    token = browser.page.find(attrs={"name": "csrf_token"})["value"]
    browser.post(f"/console/groups/{group.id}/users", {"csrf_token": token, "user": stranger.id}, status=404)
