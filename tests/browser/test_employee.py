"""Way 1 and way 4: an employee signs in, finds the accounts, opens one as a role or a user, and leaves."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Watch
from tests.browser.serving import Site
from tests.browser.steps import open_account, sign_in

pytestmark = pytest.mark.browser


def test_an_employee_signs_in_at_the_company_and_finds_an_account_by_typing(page: Page, site: Site) -> None:
    sign_in(page, site, "alice")
    expect(page).to_have_url(f"{site.url}/home")
    search = page.get_by_role("searchbox", name="Find an account or a role")
    expect(search).to_be_focused()
    expect(page.get_by_text("sandbox")).to_be_visible()
    page.keyboard.type("prod")
    expect(page.get_by_text("production")).to_be_visible()
    expect(page.get_by_text("sandbox")).to_be_hidden()
    search.fill("analyst")
    expect(page.get_by_text("data-lake")).to_be_visible()
    expect(page.get_by_text("production")).to_be_hidden()
    search.fill("nothing like that")
    expect(page.get_by_text("No account matches.")).to_be_visible()


def test_one_match_and_enter_show_the_roles_of_the_account(page: Page, site: Site) -> None:
    sign_in(page, site, "alice")
    page.keyboard.type("sandb")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log in to sandbox as Developer")).to_be_visible()
    expect(page.get_by_text("production")).to_have_count(0)


def test_a_role_of_an_account_tells_what_it_allows_before_it_is_used(page: Page, site: Site) -> None:
    sign_in(page, site, "alice")
    page.locator("summary", has_text="sandbox").click()
    expect(page.get_by_role("button", name="Log in to sandbox as Administrator")).to_be_visible()
    page.get_by_role("link", name="Permission details of Developer in sandbox").click()
    expect(page.get_by_role("heading", name="Developer", level=1)).to_be_visible()
    page.locator("summary", has_text="QcloudCVMFullAccess").click()
    expect(page.get_by_text('"cvm:*"')).to_be_visible()


def test_ic_17_a_role_opens_the_account_in_a_tab_of_its_own_with_just_that_role(page: Page, site: Site) -> None:
    sign_in(page, site, "alice")
    page.locator("summary", has_text="sandbox").click()
    account = open_account(page, "Log in to sandbox as Developer")
    expect(page).to_have_url(f"{site.url}/home")
    expect(account.get_by_role("heading", name="sandbox", level=1)).to_be_visible()
    expect(account.get_by_role("region", name="Who you are here")).to_contain_text("TencentCloudSSO-Developer")

    account.get_by_label("Action").fill("cvm:RunInstances")
    account.get_by_role("button", name="Decide").click()
    decision = account.get_by_role("region", name="Ask for an access decision").get_by_role("status")
    expect(decision).to_contain_text("Allowed")
    expect(account.get_by_role("table", name="How it was decided")).to_contain_text("QcloudCVMFullAccess")

    account.get_by_label("Action").fill("cdb:DropDatabases")
    account.get_by_role("button", name="Decide").click()
    expect(decision).to_contain_text("Denied")
    expect(decision).to_contain_text("cdb:DropDatabases")
    expect(decision.locator("p")).to_have_count(2)

    account.get_by_role("button", name="Sign out").click()
    expect(account.get_by_role("heading", name="You are not signed in to this account")).to_be_visible()
    page.reload()
    expect(page.get_by_role("searchbox")).to_be_visible()


def test_ic_17_a_synchronized_user_opens_the_account_under_the_name_it_has_there(page: Page, site: Site) -> None:
    sign_in(page, site, "alice")
    page.get_by_role("link", name="Log in with a CAM user").click()
    account = open_account(page, "Log in to production as alice_cic")
    who = account.get_by_role("region", name="Who you are here")
    expect(who).to_contain_text("Signed in as CAM user")
    expect(who).to_contain_text("alice_cic")
    expect(account.get_by_text("No policy applies")).to_be_visible()


def test_a_session_in_one_account_opens_no_other(page: Page, site: Site) -> None:
    sign_in(page, site, "alice")
    numbers = page.locator("summary .id").all_inner_texts()
    page.locator("summary", has_text="sandbox").click()
    account = open_account(page, "Log in to sandbox as Developer")
    own = account.url.rsplit("/", 1)[1]
    other = next(number for number in numbers if number != own)
    account.goto(f"{site.url}/accounts/{other}")
    expect(account.get_by_role("heading", name="You are not signed in to this account")).to_be_visible()
    account.goto(f"{site.url}/accounts/{own}")
    expect(account.get_by_role("heading", name="sandbox", level=1)).to_be_visible()


def test_after_signing_out_the_portal_asks_to_sign_in_again(page: Page, site: Site) -> None:
    sign_in(page, site, "bob")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    page.goto(f"{site.url}/home")
    expect(page).to_have_url(f"{site.url}/login/acme?next=/home")
    expect(page.get_by_role("link", name="Redirect")).to_be_visible()


def test_somebody_without_access_reads_what_to_do(page: Page, site: Site) -> None:
    sign_in(page, site, "carol")
    expect(page.get_by_text("No account is open to you by a CAM role")).to_be_visible()
    page.get_by_role("link", name="Log in with a CAM user").click()
    expect(page.get_by_text("No account is open to you by a CAM user")).to_be_visible()


@pytest.mark.parametrize("user_name", ["heidi", "nobody-here"])
def test_a_disabled_and_an_unknown_user_are_refused_alike_with_a_reference(
    page: Page, site: Site, watch: Watch, user_name: str
) -> None:
    watch.expected.append("403")
    sign_in(page, site, user_name)
    expect(page.get_by_role("heading", name="You were not signed in")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Reference \w+"))).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text(user_name)
    page.goto(f"{site.url}/home")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_portal_works_without_scripts(context: BrowserContext, site: Site) -> None:
    """The forms that send themselves have a button."""
    assert context.browser
    plain = context.browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"{site.url}/login/acme")
    page.get_by_role("link", name="Redirect").click()
    page.get_by_label("User name").fill("bob")
    page.get_by_label("Password").fill("welcome-to-acme")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Go to the portal").click()
    with plain.expect_page() as opened:
        page.get_by_role("button", name="Log in to sandbox as Developer").click()
    opened.value.get_by_role("button", name="Continue to sandbox").click()
    expect(opened.value.get_by_role("heading", name="sandbox", level=1)).to_be_visible()
    plain.close()
