"""An administrator authorizes a department, moves an account away and takes everything away again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Site
from tests.browser.steps import row, settle, sign_in_at_console
from tests.browser.test_accessibility import Auditor

pytestmark = pytest.mark.browser
BLANKS = "\N{NO-BREAK SPACE}" * 4


def test_a_department_is_authorized_and_its_accounts_follow(page: Page, site: Site) -> None:
    sign_in_at_console(page, site.url)
    auditor = Auditor(page)
    page.get_by_role("link", name="Multi-account authorization").click()
    page.get_by_label("Departments").get_by_role("link", name="Finance", exact=True).click()
    auditor.follow("Authorize this department, now and later")
    page.get_by_role("group", name="Users").get_by_label("carol", exact=True).check()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("ReadOnly", exact=True).check()
    auditor.press("Next")
    expect(page.get_by_text("Starts 2 tasks now.")).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    settle(page)
    page.get_by_role("link", name="Completed").click()
    auditor.look()
    expect(row(page, "carol")).to_contain_text("All 2 accounts")

    page.get_by_role("link", name="Members of this department").click()
    page.get_by_label("Choose erp").check()
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_label("To department").select_option(label=f"{BLANKS}Engineering")
    auditor.press("Move")
    expect(page.get_by_text("the member gains 0 authorizations and loses 1 authorization")).to_be_visible()
    page.get_by_role("button", name="Move", exact=True).click()
    settle(page)
    page.get_by_role("link", name="Completed").click()
    page.get_by_label("Choose erp").check()
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_label("To department").select_option(label=f"{BLANKS}Finance")
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_role("button", name="Move", exact=True).click()
    settle(page)
    page.get_by_role("link", name="Completed").click()
    auditor.follow("Create member")

    page.get_by_role("link", name="Multi-account authorization").click()
    page.get_by_role("link", name="erp", exact=True).click()
    expect(row(page, "carol")).to_contain_text("by department Finance")
    auditor.look()
    page.get_by_role("link", name="See department Finance carol").click()
    page.get_by_label("Choose carol, ReadOnly").check()
    auditor.press("Remove permissions")
    expect(page.get_by_text("Takes 2 authorizations from 2 accounts of Finance")).to_be_visible()
    page.get_by_role("button", name="Remove permissions").click()
    settle(page)
    auditor.conclude()
