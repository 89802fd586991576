"""Way 2: the identity provider pushes people by SCIM, with a credential that an administrator made in the console."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Page, expect
from sqlalchemy import update

from portal.core import clock
from portal.core.database import Database
from portal.core.directory.models import User
from portal.core.push.guard import LEAST, TRIAL
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
def scim(page: Page, site: Site) -> Iterator[IdentityProvider]:
    """An administrator makes the credential, its secret is shown that once, and deletes it afterwards."""
    sign_in_at_console(page, site.url)
    page.get_by_role("link", name="SCIM", exact=True).click()
    page.get_by_role("link", name="Create credential").click()
    page.get_by_role("button", name="Create").click()
    secret = page.locator(".secret code").inner_text()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("heading", name="Credentials")).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text(secret)
    yield IdentityProvider(page, f"{site.url}/scim/v2", secret)
    page.goto(f"{site.url}/console/scim")
    page.get_by_role("link", name="Delete").last.click()
    page.get_by_role("button", name="Delete").click()


def test_pushed_people_appear_read_only_and_lose_their_session_when_deactivated(
    page: Page, site: Site, scim: IdentityProvider
) -> None:
    user_id = scim.push("/Users", userName="mallory", displayName="Mallory Reed", active=True)
    scim.push("/Groups", displayName="Pushed-Group", members=[{"value": user_id}])

    page.get_by_role("link", name="User groups").click()
    expect(row(page, "Pushed-Group")).to_contain_text("SCIM")
    page.get_by_role("link", name="Pushed-Group").click()
    expect(page.get_by_text("This user group comes from SCIM and is read-only while SCIM is on")).to_be_visible()
    page.get_by_role("link", name="mallory").click()
    expect(page.get_by_text("This user comes from SCIM and is read-only while SCIM is on")).to_be_visible()
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


def test_ic_7_a_push_that_takes_many_away_waits_for_the_administrator(
    page: Page, site: Site, scim: IdentityProvider
) -> None:
    users = [scim.push("/Users", userName=f"leaver{number}") for number in range(LEAST + 2)]
    with Database(f"sqlite:///{site.data_dir / 'portal.db'}").transaction() as session:  # they came a while ago
        session.execute(update(User).where(User.id.in_(users)).values(created_at=clock.now() - TRIAL))
    statuses = [scim.send("DELETE", f"/Users/{user}").status for user in users]
    assert statuses == [204] * LEAST + [503] * 2

    page.get_by_role("link", name="Overview").click()
    notice = page.get_by_role("region", name="The push of the identity provider is paused")
    expect(notice).to_contain_text("2 attempts were held back, the latest for leaver6, leaver5.")
    notice.get_by_role("link", name="Let it through").click()
    page.get_by_role("button", name="Let it through").click()
    expect(page.get_by_text("Deletions and deactivations are let through.")).to_be_visible()
    expect(notice).to_have_count(0)
    assert [scim.send("DELETE", f"/Users/{user}").status for user in users[LEAST:]] == [204, 204]
    page.get_by_role("button", name="Watch again now").click()
    expect(page.get_by_text("Watching")).to_be_visible()


def test_ic_5_a_push_of_a_name_made_by_hand_works_once_it_is_handed_over(
    page: Page, site: Site, scim: IdentityProvider
) -> None:
    page.goto(f"{site.url}/console/users/create")
    page.get_by_label("Username").fill("handmade")
    page.get_by_role("button", name="Create", exact=True).click()
    refused = scim.send("POST", "/Users", userName="handmade")
    assert refused.status == 409
    assert "hand it over to SCIM" in refused.json()["detail"]

    page.get_by_role("link", name="handmade").click()
    user_id = page.url.rpartition("/")[2]
    page.get_by_role("link", name="Hand over to SCIM").click()
    page.get_by_role("button", name="Hand over to SCIM").click()
    expect(page.get_by_text("handmade is handed over to SCIM.")).to_be_visible()
    assert scim.send("PUT", f"/Users/{user_id}", userName="handmade", displayName="By the IdP").status == 200
    page.reload()
    expect(page.get_by_role("main")).to_contain_text("By the IdP")


def test_an_administrator_finds_out_in_the_log_why_a_push_failed_and_what_to_do(
    page: Page, site: Site, scim: IdentityProvider
) -> None:
    answer = scim.send("POST", "/Users", userName="oscar", password="hush-hush")
    assert answer.status == 409, answer.text()

    page.get_by_role("link", name="SCIM", exact=True).click()
    page.get_by_role("link", name="Log", exact=True).click()
    failed = page.get_by_role("row").filter(has_text="409").first
    expect(failed).to_contain_text("exists already in this space")
    advice = failed.get_by_text("made by hand in the console, and a push never takes")
    expect(advice).to_be_hidden()
    failed.locator("summary", has_text="What you can do").click()
    expect(advice).to_be_visible()

    failed.get_by_role("link", name="POST /Users").click()
    expect(page.get_by_role("heading", name="What you can do")).to_be_visible()
    body = page.get_by_role("region", name="Body")
    expect(body).to_contain_text('"password": "(removed)"')
    expect(page.get_by_role("main")).not_to_contain_text("hush-hush")
    page.get_by_role("link", name=re.compile("^Open the user u-")).click()
    expect(page.get_by_role("heading", name="oscar", level=1)).to_be_visible()


def test_reads_stand_in_the_log_a_moment_later(page: Page, site: Site, scim: IdentityProvider) -> None:
    assert scim.page.request.get(
        f'{scim.url}/Users?filter=userName eq "nobody-{site.url[-5:]}"',
        headers={"Authorization": f"Bearer {scim.secret}"},
    ).ok
    page.goto(f"{site.url}/console/scim/log?method=GET")
    for _ in range(20):
        if page.get_by_role("row").filter(has_text=f"nobody-{site.url[-5:]}").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    expect(page.get_by_role("row").filter(has_text=f"nobody-{site.url[-5:]}")).to_contain_text("200")
