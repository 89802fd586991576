"""Client credentials for an IdP: made, kept as a file, listed, deleted; each state without a violation."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watch
from tests.browser.serving import Site
from tests.browser.steps import row, sign_in_at_console
from tests.browser.test_accessibility import Auditor

pytestmark = pytest.mark.browser


def test_client_credentials_are_shown_once_and_kept_as_a_file(
    page: Page, site: Site, watch: Watch, tmp_path: Path
) -> None:
    watch.expected.append("400")
    auditor = Auditor(page)
    sign_in_at_console(page, site.url)
    page.goto(f"{site.url}/console/scim/credentials/create")
    page.get_by_label("Client credentials").check()
    page.get_by_label("Strict").check()
    page.get_by_label("Access token lifetime").fill("361")
    page.locator("form.panel").evaluate("form => form.noValidate = true")
    auditor.press("Create")
    expect(page.get_by_role("alert")).to_contain_text("60 to 360 minutes")
    page.get_by_label("Access token lifetime").fill("120")
    auditor.press("Create")

    secret = page.locator(".secret code").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    (kept,) = csv.DictReader(file.read_text().splitlines())
    assert (kept["client_secret"], kept["token_endpoint_url"]) == (secret, f"{site.url}/oauth/token")
    assert re.fullmatch(r"scimcred-[a-z0-9]{12}", kept["client_id"])
    assert file.name == f"{kept['client_id']}.csv"

    page.get_by_role("link", name="Done").click()
    auditor.look()
    made = row(page, kept["client_id"])
    expect(made).to_contain_text("tokens of 120 minutes")
    expect(made).to_contain_text("Strict")
    made.get_by_role("link", name="Delete").click()
    auditor.press("Delete")
    expect(row(page, kept["client_id"])).to_have_count(0)
    auditor.conclude()
