"""Way 2: the identity provider pushes people by SCIM, with a credential that an administrator made in the console."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Page, expect

from tests.browser.serving import Site
from tests.browser.steps import row, sign_in, sign_in_at_console

pytestmark = pytest.mark.browser

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass(frozen=True)
class IdentityProvider:
    """Speaks SCIM with the secret that the console showed."""

    page: Page
    url: str
    secret: str

    def send(self, method: str, path: str, **body: Any) -> APIResponse:
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/scim+json"}
        return self.page.request.fetch(self.url + path, method=method, headers=headers, data=json.dumps(body))

    def push(self, path: str, **body: Any) -> str:
        answer = self.send("POST", path, **body)
        assert answer.status == 201, answer.text()
        return str(answer.json()["id"])


@pytest.fixture
def scim(page: Page, site: Site) -> IdentityProvider:
    """An administrator makes the credential; its secret is shown that once."""
    sign_in_at_console(page, site.url)
    page.get_by_role("link", name="SCIM", exact=True).click()
    page.get_by_role("link", name="Create credential").click()
    page.get_by_role("button", name="Create").click()
    secret = page.locator(".secret code").inner_text()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("heading", name="Credentials")).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text(secret)
    return IdentityProvider(page, f"{site.url}/scim/v2", secret)


def test_pushed_people_appear_read_only_and_lose_their_session_when_deactivated(
    page: Page, site: Site, scim: IdentityProvider
) -> None:
    user_id = scim.push("/Users", userName="mallory", displayName="Mallory Reed", active=True)
    scim.push("/Groups", displayName="Pushed-Group", members=[{"value": user_id}])

    page.get_by_role("link", name="User groups").click()
    expect(row(page, "Pushed-Group")).to_contain_text("SCIM")
    page.get_by_role("link", name="Pushed-Group").click()
    expect(page.get_by_text("This user group comes from SCIM and is read-only here")).to_be_visible()
    page.get_by_role("link", name="mallory").click()
    expect(page.get_by_text("This user comes from SCIM and is read-only here")).to_be_visible()
    for gone in ("Edit", "Delete", "Add to user groups", "Remove"):
        expect(page.get_by_role("main").get_by_text(gone, exact=True)).to_have_count(0)

    portal = page.context.new_page()
    sign_in(portal, site, "mallory")
    expect(portal.get_by_text("Mallory Reed")).to_be_visible()
    operation = {"op": "replace", "path": "active", "value": False}
    answer = scim.send("PATCH", f"/Users/{user_id}", schemas=[PATCH], Operations=[operation])
    assert answer.status == 200, answer.text()
    portal.get_by_role("link", name="Log in with a CAM user").click()
    expect(portal).to_have_url(re.compile("/login/acme"))

    page.get_by_role("link", name="Security information").click()
    expect(page.get_by_role("main").get_by_text("Disabled")).to_be_visible()
