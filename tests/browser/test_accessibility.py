"""Every kind of page by axe, in light and in dark: WCAG 2.0 to 2.2, levels A and AA. And what axe cannot see."""

from __future__ import annotations

from typing import Any
from urllib.request import urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect
from sqlalchemy import select

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.guardrails.policies import FULL_ACCESS_DOCUMENT
from portal.core.push import guard
from portal.core.push.models import ScimGuard
from portal.core.space.models import Space
from portal.demo import company
from tests.browser.conftest import Watch
from tests.browser.serving import Site
from tests.browser.steps import open_account, sign_in, sign_in_at_console, try_sign_in

pytestmark = pytest.mark.browser

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
NARROW: ViewportSize = {"width": 320, "height": 640}
UNFOLD = "for (const part of document.querySelectorAll('details')) part.open = true"
THEME = "name => document.documentElement.dataset.bsTheme = name"
RUN = "only => axe.run(document, { resultTypes: ['violations'], runOnly: only }).then(result => result.violations)"
ON_TOP = """box => {
  const { x, y, width, height } = box.getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2) === box;
}"""


class Auditor:
    """Collects what axe finds on each page, so that one run tells everything."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.axe = Axe()
        self.found: list[str] = []

    def open(self, path: str) -> None:
        """A page below the site's address, by a link's target or as written."""
        self.page.goto(path if path.startswith("http") else self.root + path)
        self.look()

    @property
    def root(self) -> str:
        return "/".join(self.page.url.split("/")[:3])

    def follow(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("link", name=name, exact=True).first.click()
        self.look()

    def press(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("button", name=name, exact=True).click()
        self.look()

    def look(self, page: Page | None = None) -> None:
        page = page or self.page
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        page.evaluate(UNFOLD)
        page.evaluate(self.axe.axe_script)
        page.evaluate(THEME, "light")
        self._add(page, "light", page.evaluate(RUN, LEVELS))
        page.evaluate(THEME, "dark")
        self._add(page, "dark", page.evaluate(RUN, COLOURS))

    def _add(self, page: Page, theme: str, faults: list[dict[str, Any]]) -> None:
        for fault in faults:
            for node in fault["nodes"]:
                self.found.append(f"{page.url} {theme} {fault['id']}: {node['html'][:160]} {node['failureSummary']}")

    def conclude(self) -> None:
        assert not self.found, "\n".join(self.found)


@pytest.fixture
def auditor(page: Page) -> Auditor:
    return Auditor(page)


def test_pages_of_the_employee_have_no_violation(auditor: Auditor, page: Page, site: Site, watch: Watch) -> None:
    watch.expected += ["403", "404"]
    auditor.open(f"{site.url}/login")
    auditor.open("/login/acme")
    sign_in(page, site, "heidi")
    auditor.look()
    page.context.clear_cookies()
    sign_in(page, site, "alice")
    auditor.look()
    account = open_account(page, "Log in to production as Administrator")
    account.get_by_label("Action").fill("cvm:RunInstances")
    account.get_by_role("button", name="Decide").click()
    auditor.look(account)
    for name in ("CAM users", "CAM roles", "Identity providers"):
        account.get_by_role("link", name=name).click()
        auditor.look(account)
    account.get_by_role("button", name="Sign out").click()
    auditor.look(account)
    auditor.follow("Log in with a CAM user")
    auditor.open("/home")
    account = open_account(page, "Log in to sandbox as Developer")
    account.goto(f"{account.url}/users")
    expect(account.get_by_role("heading", name="Not allowed")).to_be_visible()
    auditor.look(account)
    auditor.open("/home")
    auditor.follow("Permission details of Developer in sandbox")
    auditor.open("/home/accounts/1/roles/rc-none")
    auditor.open("/home")
    page.get_by_role("button", name="Sign out").click()
    auditor.look()
    auditor.conclude()


def test_pages_of_the_administrator_have_no_violation(auditor: Auditor, page: Page, site: Site) -> None:
    auditor.open(f"{site.url}/console/login")
    sign_in_at_console(page, site.url)
    auditor.look()
    for path in (
        "sso",
        "sso/identity-provider",
        "sso/identity-provider?method=manual",
        "sso/switch",
        "sso/signing-key",
        "sso/signing-key/introduce",
    ):
        auditor.open(f"/console/{path}")
    for path in ("scim", "scim/switch", "scim/guard", "scim/guard/open", "scim/credentials/create"):
        auditor.open(f"/console/{path}")
    assert page.request.get(f"{site.url}/scim/v2/Users").status == 401  # a line of the SCIM log
    auditor.open("/console/scim/log")
    auditor.follow("GET /Users")
    auditor.open("/console/scim/log?q=nothing-like-this")
    for path in ("tasks", "audit", "syncs", "drift"):
        auditor.open(f"/console/{path}")
    auditor.follow("sandbox")
    auditor.open("/console/organization")
    auditor.conclude()


def test_pages_of_a_test_sign_in_have_no_violation(auditor: Auditor, page: Page, site: Site, watch: Watch) -> None:
    watch.expected.append("400")
    sign_in_at_console(page, site.url)
    auditor.open("/console/sso/sign-ins?reference=nothing-like-this")
    with urlopen(f"{site.idp_url}/metadata") as answer:
        metadata = answer.read()
    page.goto(f"{site.url}/console/sso/identity-provider")
    another = metadata.replace(b"/sso", b"/sso?another=1")
    page.get_by_label("Metadata").set_input_files({"name": "x.xml", "mimeType": "application/xml", "buffer": another})
    page.get_by_role("button", name="Preview").click()
    auditor.look()
    auditor.press("Keep and test")
    auditor.press("Trust it now")
    auditor.open("/console/sso")
    auditor.open("/console/sso/offer")
    auditor.press("Discard")
    auditor.press("Test sign-in")
    page.go_back()
    try_sign_in(page, "nobody-of-that-name")
    expect(page.get_by_role("heading", name="Test sign-in failed")).to_be_visible()
    auditor.look()
    page.context.clear_cookies(name="sample_idp")
    page.goto(f"{site.url}/console/sso")
    try_sign_in(page, "alice")
    expect(page.get_by_role("heading", name="Test sign-in passed")).to_be_visible()
    auditor.look()
    auditor.open("/console/sso/sign-ins")
    auditor.conclude()


def test_pages_of_a_paused_push_have_no_violation(auditor: Auditor, page: Page, site: Site) -> None:
    database = Database(f"sqlite:///{site.data_dir / 'portal.db'}")
    with database.transaction() as session:
        space = session.scalars(select(Space).where(Space.name == company.SPACE)).one()
        guard.update_guard(session, SYSTEM, space=space, percent=20)
        used_up = session.get_one(ScimGuard, space.id)
        used_up.taken, used_up.users_at_start, used_up.window_started_at = guard.LEAST, 20, clock.now()
        guard.hold(session, SYSTEM, space_id=space.id, user_id="u-x", user_name="alice", reason="x")
    sign_in_at_console(page, site.url)
    auditor.look()
    auditor.open("/console/scim")
    auditor.follow("Let it through")
    page.get_by_role("button", name="Let it through").click()
    auditor.look()
    with database.transaction() as session:
        guard.reset_guard(session, SYSTEM, space=session.get_one(Space, space.id))
    auditor.conclude()


def test_pages_of_people_have_no_violation(auditor: Auditor, page: Page, site: Site, watch: Watch) -> None:
    watch.expected.append("400")
    sign_in_at_console(page, site.url)
    auditor.open("/console/users")
    auditor.follow("Create user")
    auditor.press("Create")
    auditor.open("/console/users?q=ivan")
    auditor.follow("ivan")
    auditor.follow("Hand over to SCIM")
    page.go_back()
    for tab in ("Security information", "CAM user synchronization", "Permissions"):
        auditor.follow(tab)
    auditor.follow("Edit")
    auditor.open("/console/groups")
    auditor.follow("auditors")
    auditor.follow("Hand over to SCIM")
    page.go_back()
    auditor.follow("Add users")
    auditor.open("/console/groups")
    auditor.follow("Create user group")
    auditor.conclude()


def test_pages_of_access_have_no_violation(auditor: Auditor, page: Page, site: Site) -> None:
    sign_in_at_console(page, site.url)
    auditor.open("/console/configurations")
    auditor.follow("Create permission configuration")
    auditor.open("/console/configurations")
    auditor.follow("Developer")
    auditor.follow("Deployments")
    page.get_by_role("link", name="Undeploy staging").click()
    auditor.look()
    page.go_back()
    page.get_by_role("link", name="Redeploy staging").click()
    auditor.look()
    page.go_back()
    auditor.follow("Preset policies")
    auditor.follow("Add policy")
    auditor.open("/console/accounts")
    auditor.follow("production")
    auditor.follow("Deployed configurations")
    auditor.follow("CAM user synchronization")
    auditor.follow("Details alice production")
    auditor.conclude()


def test_pages_of_service_control_policies_have_no_violation(
    auditor: Auditor, page: Page, site: Site, watch: Watch
) -> None:
    watch.expected.append("400")
    sign_in_at_console(page, site.url)
    auditor.open("/console/organization/policies")
    auditor.follow("Switch on")
    auditor.press("Switch on")
    auditor.follow("Create policy")
    page.get_by_label("Service", exact=True).select_option("cvm")
    auditor.press("Show actions of statement 1")
    auditor.press("Add source IP to statement 1")
    page.get_by_label("Values, one a line").fill("office")
    page.get_by_label("Typed actions").fill("cvm:RunInstances")
    auditor.press("Next")
    auditor.press("JSON editor")
    auditor.press("Next")
    page.get_by_label("Policy document").fill('{"version": "2.0", "statement": 5, "x": 1}')
    auditor.press("Visual editor")
    page.get_by_label("Policy document").fill(FULL_ACCESS_DOCUMENT)
    auditor.press("Next")
    page.get_by_label("Policy name").fill("everything")
    auditor.press("Create")
    auditor.follow("Policy syntax")
    auditor.follow("Bindings 0")
    auditor.follow("Bind")
    page.get_by_role("checkbox", name="Finance").check()
    page.get_by_role("checkbox", name="erp").check()
    auditor.press("Bind")
    auditor.follow("Unbind erp")
    auditor.open("/console/organization/policies")
    auditor.follow("Delete everything")
    auditor.open("/console/organization")
    auditor.follow("Service control policies of billing")
    auditor.follow("Bind policies")
    auditor.open("/console/organization/policies/disable")
    page.get_by_role("main").get_by_role("button", name="Switch off").click()
    auditor.open("/console/organization/policies/create")
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.set_viewport_size({"width": 1280, "height": 900})
    auditor.conclude()


def test_steps_of_the_wizards_have_no_violation(auditor: Auditor, page: Page, site: Site) -> None:
    sign_in_at_console(page, site.url)
    auditor.open("/console/accounts")
    page.get_by_role("checkbox", name="sandbox").check()
    auditor.press("Configure CAM role synchronization")
    page.get_by_role("checkbox", name="bob").check()
    auditor.press("Next")
    page.get_by_role("checkbox", name="Developer").check()
    auditor.press("Next")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("link", name="Completed")).to_be_visible()
    auditor.look()
    page.goto(f"{site.url}/console/accounts")
    page.get_by_role("checkbox", name="sandbox").check()
    auditor.press("Configure CAM user synchronization")
    page.get_by_role("checkbox", name="bob").check()
    auditor.press("Next")
    auditor.press("Next")
    auditor.conclude()


def test_a_chosen_theme_stays_from_page_to_page(page: Page, site: Site) -> None:
    sign_in(page, site, "bob")
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("link", name="Log in with a CAM user").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    assert cookies["portal_theme"] == "dark"


def test_without_a_choice_the_theme_is_that_of_the_system(page: Page, site: Site) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site.url}/login/acme")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_no_page_of_the_employee_scrolls_sideways_on_a_narrow_screen(page: Page, site: Site) -> None:
    """WCAG 1.4.10: reflow at 320 CSS pixels."""
    page.set_viewport_size(NARROW)
    page.goto(f"{site.url}/login")
    assert_fits(page)
    page.goto(f"{site.url}/login/acme")
    assert_fits(page)
    sign_in(page, site, "alice")
    page.evaluate(UNFOLD)
    assert_fits(page)
    account = open_account(page, "Log in to production as Administrator")
    account.set_viewport_size(NARROW)
    account.evaluate(UNFOLD)
    assert_fits(account)
    page.get_by_role("link", name="Permission details of Developer in sandbox").click()
    page.evaluate(UNFOLD)
    assert_fits(page)
    page.goto(f"{site.url}/home?tab=user")
    assert_fits(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert_fits(page)


def assert_fits(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 320, f"{page.url} is {wide} px wide"


def test_the_keyboard_reaches_the_content_first_and_then_everything(page: Page, site: Site) -> None:
    sign_in_at_console(page, site.url)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_what_has_the_focus_is_not_hidden_by_the_bar_below_a_list(page: Page, site: Site) -> None:
    """WCAG 2.4.11: focus not obscured."""
    sign_in_at_console(page, site.url)
    page.set_viewport_size({"width": 1280, "height": 450})
    page.goto(f"{site.url}/console/accounts")
    page.get_by_role("checkbox", name="Choose all of this page").focus()
    for account in sorted(company.ACCOUNTS):
        box = page.get_by_role("checkbox", name=account)
        press_tab_until_focused(box)
        assert box.evaluate(ON_TOP), account


def test_an_account_is_opened_with_the_keyboard_alone(page: Page, site: Site) -> None:
    sign_in(page, site, "bob")
    page.keyboard.type("sand")
    button = page.get_by_role("button", name="Log in to sandbox as Developer")
    press_tab_until_focused(button)
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    expect(opened.value.get_by_role("heading", name="sandbox", level=1)).to_be_visible()


def press_tab_until_focused(target: Locator) -> None:
    for _ in range(10):
        if target.evaluate("target => target === document.activeElement"):
            return
        target.page.keyboard.press("Tab")
    expect(target).to_be_focused()


def test_a_refused_form_leads_to_its_field(page: Page, site: Site, watch: Watch) -> None:
    watch.expected.append("400")
    sign_in_at_console(page, site.url)
    page.goto(f"{site.url}/console/groups/create")
    page.get_by_label("Group name").fill("not a name!")
    page.get_by_role("button", name="Create").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    summary.get_by_role("link").click()
    field = page.get_by_label("Group name")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
