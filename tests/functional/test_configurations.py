from __future__ import annotations

import pytest

from tests.support.admin import Admin, sign_in
from tests.support.browser import Browser
from tests.support.granting import make_configuration
from tests.support.make import Make


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make)


def test_the_empty_list_says_what_to_do(browser: Browser, admin: Admin) -> None:
    browser.open("/console/configurations")
    assert "No permission configurations yet" in browser.text
    browser.click("Create permission configuration")


def test_ic_8_create_in_two_steps_where_going_back_loses_nothing(browser: Browser, admin: Admin) -> None:
    browser.open("/console/configurations/create")
    browser.submit("Next", name="ReadOnly", description="Look", session_duration="7200", relay_state="/cvm")
    browser.submit("Search", policy_q="ReadOnlyAccess")
    browser.submit("Search", policy=["ReadOnlyAccess"], policy_q="QcloudCVMFullAccess")
    assert "Also selected: ReadOnlyAccess" in browser.text
    browser.submit("Back", policy=["ReadOnlyAccess", "QcloudCVMFullAccess"])
    browser.submit("Next", description="Look and run machines")
    browser.submit("Create")
    assert "Permission configuration ReadOnly created." in browser.text
    assert "Look and run machines" in browser.text
    assert "TencentCloudSSO-ReadOnly" in browser.text
    assert "2 h" in browser.text
    assert "/cvm" in browser.text
    assert "ReadOnlyAccess" in browser.text
    assert "QcloudCVMFullAccess" in browser.text


def test_ic_8_a_wrong_or_taken_name_is_said_at_the_first_step(browser: Browser, admin: Admin, make: Make) -> None:
    make_configuration(make, admin.space, "Taken")
    browser.open("/console/configurations/create")
    browser.submit("Next", name="taken", status=400)
    assert "exists already in this space" in browser.text
    browser.submit("Next", name="no blanks", status=400)
    assert "letters, digits and hyphens" in browser.text
    browser.submit("Next", name="", status=400)
    assert "Enter a name." in browser.text
    browser.submit("Next", name="Free")
    browser.open("/console/configurations")
    assert "Free" not in browser.text


def test_fields_that_a_form_leaves_out_are_empty(browser: Browser, admin: Admin) -> None:
    browser.open("/console/configurations/create")
    token = browser.page.find("input", attrs={"name": "csrf_token"})["value"]
    browser.post("/console/configurations/create/policies", {"csrf_token": token, "name": "Bare"})
    browser.post("/console/configurations/create/finish", {"csrf_token": token, "name": "Bare"})
    assert "Permission configuration Bare created." in browser.text


def test_ic_8_the_list_searches_and_sorts(browser: Browser, admin: Admin, make: Make) -> None:
    for name in ("Beta", "Alpha", "Gamma"):
        make_configuration(make, admin.space, name)
    browser.open("/console/configurations?sort=-name")
    assert browser.text.index("Gamma") < browser.text.index("Beta") < browser.text.index("Alpha")
    browser.open("/console/configurations").submit("Search", q="alp")
    assert "Alpha" in browser.text
    assert "Gamma" not in browser.text
    browser.open("/console/configurations").submit("Search", q="nothing")
    assert "No permission configuration matches" in browser.text


def test_ic_8_edit_all_but_the_name(browser: Browser, admin: Admin, make: Make) -> None:
    made = make_configuration(make, admin.space, "Developer")
    browser.open(f"/console/configurations/{made.id}").click("Edit")
    browser.submit("Save", description="New words", session_duration="900")
    assert "New words" in browser.text
    assert "15 min" in browser.text
    browser.click("Edit").submit("Save", relay_state="http://elsewhere", status=400)
    assert "begins with https://" in browser.text


def test_ic_8_add_preset_policies_and_remove_one(browser: Browser, admin: Admin, make: Make) -> None:
    made = make_configuration(make, admin.space, "Developer", "ReadOnlyAccess")
    browser.open(f"/console/configurations/{made.id}").click("Add policy")
    browser.submit("Add", status=400)
    assert "Select at least one preset policy." in browser.text
    browser.submit("Search", policy_q="cos", policy=["QcloudCVMFullAccess"])
    assert "Also selected:" in browser.text
    browser.submit("Add")
    assert "QcloudCVMFullAccess" in browser.text
    assert "1 preset policy added." in browser.text
    browser.click("Remove ReadOnlyAccess")
    assert "nothing needs redeployment" in browser.text
    browser.submit("Remove policy")
    assert "Preset policy ReadOnlyAccess removed." in browser.text


def test_ic_8_deletion_names_what_is_in_the_way(browser: Browser, admin: Admin, make: Make) -> None:
    made = make_configuration(make, admin.space, "Developer", "ReadOnlyAccess")
    browser.open(f"/console/configurations/{made.id}/delete")
    assert "cannot be deleted yet" in browser.text
    assert "1 preset policy" in browser.text
    assert "Delete permission configuration" not in browser.text
    browser.open(f"/console/configurations/{made.id}/policies/ReadOnlyAccess/remove").submit("Remove policy")
    browser.click("Delete").submit("Delete permission configuration")
    assert "Permission configuration Developer deleted." in browser.text


def test_a_strangers_configuration_is_not_found(browser: Browser, admin: Admin, make: Make) -> None:
    foreign = make_configuration(make, make.space("other"), "Foreign")
    for path in ("", "/edit", "/delete", "/policies/add", "/policies/ReadOnlyAccess/remove"):
        browser.open(f"/console/configurations/{foreign.id}{path}", status=404)
