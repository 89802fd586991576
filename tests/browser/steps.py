"""Steps that several journeys begin with."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from portal.demo import company
from tests.browser.serving import Site

BY_ACCOUNT = re.compile(r"/accounts/\d+$")


def sign_in(page: Page, site: Site, user_name: str) -> None:
    """An employee, by the sample IdP, to the page that the answer leads to."""
    page.goto(f"{site.url}/login/{company.SPACE}")
    page.get_by_role("link", name="Redirect").click()
    page.get_by_label("User name").fill(user_name)
    page.get_by_label("Password").fill(company.EMPLOYEE_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: url.startswith(site.url))


def try_sign_in(page: Page, user_name: str) -> None:
    """From a page with the button, by the sample IdP, to the page that tells the verdict."""
    page.get_by_role("button", name="Test sign-in").click()
    page.get_by_role("link", name="Continue to the identity provider").click()
    page.get_by_label("User name").fill(user_name)
    page.get_by_label("Password").fill(company.EMPLOYEE_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/console/sso/tests/\d+$"))


def sign_in_at_console(
    page: Page, url: str, *, account: str = company.SPACE, password: str = company.ADMINISTRATOR_PASSWORD
) -> None:
    page.goto(f"{url}/console/login")
    page.get_by_label("Account").fill(account)
    page.get_by_label("User").fill(company.ADMINISTRATOR)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda here: not here.endswith("/login"))


def row(page: Page, name: str) -> Locator:
    """The row of a table that has a cell or a link of that name."""
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def open_account(page: Page, button: str) -> Page:
    """Press a button of the user portal that logs in; the account's console in its new tab."""
    with page.context.expect_page() as opened:
        page.get_by_role("button", name=button, exact=True).click()
    opened.value.wait_for_url(BY_ACCOUNT)
    return opened.value


def settle(page: Page) -> None:
    """The progress of a batch comes to its end by itself."""
    expect(page.get_by_role("link", name="Completed")).to_be_visible(timeout=20_000)
