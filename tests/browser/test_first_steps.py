"""Way 5: an empty installation, up to an employee's way to the identity provider."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from portal.demo import company
from tests.browser.conftest import Watch
from tests.browser.serving import Site, free_port, run, served
from tests.browser.steps import sign_in_at_console

pytestmark = pytest.mark.browser

PASSWORD = "a password for the first administrator"


@pytest.fixture
def empty_site(tmp_path: Path, watch: Watch) -> Iterator[tuple[str, str]]:
    """Its address and the number of its admin account."""
    given = ["init", "--organization", "Initech", "--admin", company.ADMINISTRATOR]
    printed = run(*given, data_dir=tmp_path, given=PASSWORD + "\n")
    number = re.search(r"admin account (\d+)", printed)
    assert number, printed
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    watch.origins.append(url)
    with served("serve", "--port", str(port), "--workers", "1", data_dir=tmp_path, until=[f"{url}/readyz"]):
        yield url, number[1]


def test_an_administrator_activates_a_space_and_connects_the_identity_provider(
    empty_site: tuple[str, str], page: Page, site: Site, watch: Watch
) -> None:
    url, number = empty_site
    sign_in_at_console(page, url, account=number, password=PASSWORD)

    expect(page.get_by_role("heading", name="Activate the Identity Center")).to_be_visible()
    page.get_by_label("Space name").fill("initech")
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text(f"{url}/login/initech").first).to_be_visible()
    expect(page.get_by_role("heading", name="What to do next")).to_be_visible()

    page.get_by_role("link", name="SSO", exact=True).click()
    page.get_by_role("link", name="Configure identity provider").click()
    with urlopen(f"{site.idp_url}/metadata") as answer:
        metadata = answer.read()
    page.get_by_label("Metadata").set_input_files(
        {"name": "idp.xml", "mimeType": "application/xml", "buffer": metadata}
    )
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text(f"{site.idp_url}/sso", exact=True)).to_be_visible()
    expect(page.get_by_text("CN=Sample identity provider")).to_be_visible()
    expect(page.get_by_text("none was configured before")).to_be_visible()
    page.get_by_role("button", name="Keep and test").click()
    page.get_by_role("button", name="Test sign-in").click()
    watch.expected.append("400")  # the sample IdP answers its own portal only
    page.get_by_role("link", name="Continue to the identity provider").click()
    expect(page).to_have_url(re.compile(re.escape(f"{site.idp_url}/sso?SAMLRequest=")))
    page.go_back()
    page.get_by_role("link", name="the pending identity provider").click()
    page.get_by_text("Trust it without a test").click()
    page.get_by_label("Yes, trust it untested").check()
    page.get_by_role("button", name="Trust it now").click()

    page.get_by_role("link", name="Switch on").click()
    page.get_by_label("Yes, switch it on untested").check()
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("link", name="Switch off")).to_be_visible()

    page.goto(f"{url}/login/initech")
    page.get_by_role("link", name="Redirect").click()
    expect(page).to_have_url(re.compile(re.escape(f"{site.idp_url}/sso?SAMLRequest=")))
