"""The pages of user groups, through their forms (IC-4, IC-5)."""

from __future__ import annotations

from portal.core.directory import groups, nesting
from portal.core.directory.models import Group, Source
from portal.core.space.models import Space
from tests.support.admin import sign_in
from tests.support.browser import Browser
from tests.support.make import SCIM, Make
from tests.support.scim import switch


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
    switch(make, admin.space, on=True)
    group = make.group(admin.space, "Pushed group", members=[user], source=Source.SCIM)
    browser.open(f"/console/groups/{group.id}")
    assert "read-only while SCIM is on" in browser.text
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


def test_a_pushed_group_shows_the_groups_inside_and_by_which_way_each_user_is_in_it(
    browser: Browser, make: Make
) -> None:
    admin = sign_in(browser, make)
    switch(make, admin.space, on=True)
    ann, bob = (make.user(admin.space, name, source=Source.SCIM) for name in ("ann", "bob"))
    inner = make.group(admin.space, "Inner", members=[bob], source=Source.SCIM)
    middle = make.group(admin.space, "Middle", source=Source.SCIM)
    outer = make.group(admin.space, "Outer", members=[ann], source=Source.SCIM)
    nest(make, admin.space, middle, inner)
    nest(make, admin.space, outer, middle)
    assert rows(browser.open(f"/console/groups/{outer.id}")) == {"ann": "Directly", "bob": "Through Inner"}
    inside = browser.click("Groups inside")
    assert rows(inside) == {"Middle": "1"}
    browser.open(f"/console/groups/{inner.id}?tab=groups")
    assert "No groups in this group" in browser.text
    joined = rows(browser.open(f"/console/users/{bob.id}"))
    assert joined == {"Inner": "Directly", "Middle": "Through Inner", "Outer": "Through Inner"}
    listed = browser.open("/console/groups").page.select("table.list tbody tr")
    assert [row.select_one("td.num").get_text() for row in listed] == ["1", "1", "2"]


def test_a_group_made_by_hand_holds_no_groups_and_speaks_of_none(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    group = make.group(admin.space, "ops", members=[make.user(admin.space, "ann")])
    browser.open(f"/console/groups/{group.id}")
    assert "Groups inside" not in browser.text
    assert "Directly" not in browser.text


def nest(make: Make, space: Space, outer: Group, inner: Group) -> None:
    with make.transaction() as session:
        found = groups.get_group(session, space, outer.id)
        nesting.change_groups(session, SCIM, group=found, add=[inner.id])


def rows(browser: Browser) -> dict[str, str]:
    """Of the list on the page: the name, and the column that says by which way or how many."""
    found = {}
    for row in browser.page.select("table.list tbody tr"):
        cells = [" ".join(cell.get_text().split()) for cell in row.find_all("td")]
        found[cells[0]] = cells[2] if len(cells) > 2 else cells[1]
    return found
