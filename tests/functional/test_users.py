"""The pages of users, through their forms (IC-3, IC-5)."""

from __future__ import annotations

from portal.core.directory import users
from portal.core.directory.models import Source
from tests.support.admin import READ_ONLY, sign_in
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.scim import switch


def test_ic_3_an_administrator_creates_two_users_at_a_time(browser: Browser, make: Make) -> None:
    sign_in(browser, make)
    browser.open("/console/users").click("Create user").submit("Add another user", **{"rows-0-user_name": "alice"})
    browser.submit("Create", **{"rows-1-user_name": "bob", "rows-1-email": "bob@example.com"})
    assert "2 users created." in browser.text
    assert "alice" in browser.text
    assert "bob@example.com" in browser.text


def test_one_refused_user_creates_none_and_the_rule_stands_at_its_field(browser: Browser, make: Make) -> None:
    sign_in(browser, make)
    browser.open("/console/users/create").submit("Add another user", **{"rows-0-user_name": "alice"})
    browser.submit("Create", status=400, **{"rows-1-user_name": "a b"})
    assert "1 to 64 letters" in browser.page.find(id="rows-1-user_name-error").get_text()
    assert browser.page.find(id="rows-0-user_name")["value"] == "alice"
    assert "alice" not in browser.open("/console/users").text


def test_a_user_without_a_name_is_asked_for_one(browser: Browser, make: Make) -> None:
    sign_in(browser, make)
    browser.open("/console/users/create").submit("Create", status=400)
    assert "A username is needed." in browser.text


def test_a_crafted_form_without_a_name_is_refused_by_field(browser: Browser, make: Make) -> None:
    sign_in(browser, make)
    for path, data in (
        ("users", {"rows-0-email": "a@example.com"}),
        ("groups", {"remarks": "x"}),
    ):
        token = browser.open(f"/console/{path}/create").page.find(attrs={"name": "csrf_token"})["value"]
        answer = browser.client.post(f"/console/{path}/create", data={"csrf_token": token, **data})
        assert answer.status_code == 400
        assert "letters, digits" in answer.get_data(as_text=True)


def test_ic_3_a_user_is_edited_disabled_and_enabled(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    user = make.user(admin.space, "alice")
    browser.open(f"/console/users/{user.id}").click("Edit").submit("Save", display_name="Alice A", email="a@b.example")
    assert "Alice A" in browser.text
    browser.click("Security information").submit("Disable login")
    assert "Login disabled" in browser.text
    browser.submit("Enable login")
    assert "Login enabled" in browser.text


def test_a_bad_email_leaves_the_user_as_it_was(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    user = make.user(admin.space, "alice", remarks="before")
    browser.open(f"/console/users/{user.id}/edit").submit("Save", status=400, email="nonsense", remarks="after")
    assert "not an e-mail address" in browser.text
    assert "before" in browser.open(f"/console/users/{user.id}").text


def test_ic_3_a_user_in_use_is_not_deleted_and_the_page_says_why(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    user = make.user(admin.space, "alice")
    make.group(admin.space, members=[user])
    browser.open(f"/console/users/{user.id}/delete")
    assert "1 user group" in browser.text
    token = browser.page.find(attrs={"name": "csrf_token"})["value"]
    browser.post(f"/console/users/{user.id}/delete", {"csrf_token": token}, status=409)
    browser.open(f"/console/users/{user.id}").click("Remove").open(f"/console/users/{user.id}/delete").submit(
        "Delete user"
    )
    assert "User alice deleted." in browser.text


def test_ic_5_a_pushed_user_is_read_only(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    user = make.user(admin.space, "pushed", source=Source.SCIM)
    switch(make, admin.space, on=True)
    browser.open(f"/console/users/{user.id}?tab=security")
    assert "read-only while SCIM is on" in browser.text
    assert not [link for link in browser.page.find_all("a") if link.get_text() in ("Edit", "Delete")]
    assert not [button for button in browser.page.find_all("button") if "login" in button.get_text()]
    token = browser.page.find(attrs={"name": "csrf_token"})["value"]
    browser.post(f"/console/users/{user.id}/status", {"csrf_token": token, "enabled": "no"}, status=403)
    browser.open(f"/console/users/{user.id}/edit", status=403)
    with make.transaction() as session:
        assert users.get_user(session, admin.space, user.id).enabled


def test_the_list_is_searched_and_filtered_in_the_url(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    for number in range(21):
        make.user(admin.space, f"user{number:02}")
    make.user(admin.space, "zoe", source=Source.SCIM)
    browser.open("/console/users")
    assert "1–20 of 22" in browser.text
    browser.click("Next page")
    assert "21–22 of 22" in browser.text
    browser.open("/console/users").submit("Search", q="ZOE")
    assert "zoe" in browser.text
    assert "user01" not in browser.text
    browser.submit("Search", q="", source="Manual")
    assert "1–20 of 21" in browser.text
    assert "No user matches" in browser.open("/console/users?q=nobody").text


def test_an_administrator_who_may_only_look_sees_no_buttons_and_is_refused(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make, policies=[READ_ONLY])
    user = make.user(admin.space, "alice")
    assert "Create user" not in browser.open("/console/users").text
    assert "Edit" not in browser.open(f"/console/users/{user.id}").text
    browser.open("/console/users/create", status=403)


def test_a_user_of_another_organization_is_not_found(browser: Browser, make: Make) -> None:
    sign_in(browser, make)
    stranger = make.user(make.space(), "stranger")
    for page in ("", "/edit", "/delete", "/groups"):
        browser.open(f"/console/users/{stranger.id}{page}", status=404)


def test_a_user_joins_several_groups_at_once(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make)
    user, ops, dev = make.user(admin.space, "alice"), make.group(admin.space, "ops"), make.group(admin.space, "dev")
    browser.open(f"/console/users/{user.id}").click("Add to user groups")
    browser.submit("Add to the chosen groups", group=[ops.id, dev.id])
    assert "ops" in browser.text
    assert "dev" in browser.text
