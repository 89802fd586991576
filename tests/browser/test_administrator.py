"""Way 3: an administrator grants, follows the tasks, changes and takes away; the employee sees it at once."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, Route, expect

from portal.demo import company
from tests.browser.conftest import Watch
from tests.browser.serving import Site
from tests.browser.steps import row, settle, sign_in, sign_in_at_console

pytestmark = pytest.mark.browser


@pytest.fixture
def console(page: Page, site: Site) -> Page:
    sign_in_at_console(page, site.url)
    return page


def open_accounts(console: Page) -> None:
    console.get_by_role("link", name="Multi-account authorization").click()


def test_a_wrong_password_of_an_administrator_is_refused_plainly(page: Page, site: Site, watch: Watch) -> None:
    watch.expected.append("400")
    page.goto(f"{site.url}/console/login")
    page.get_by_label("Account").fill(company.SPACE)
    page.get_by_label("User").fill("nobody")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_focused()


def test_an_idp_that_takes_posts_may_lead_on_to_another_host(console: Page, site: Site, watch: Watch) -> None:
    """The browser holds what follows a form to the policy of our page."""

    class Idp(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(303)
            self.send_header("Location", f"http://127.0.0.1:{elsewhere.server_port}/sign-in")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>Sign in</title><link rel=icon href=data:,><h1>Who are you?</h1>")

    with urlopen(f"{site.idp_url}/metadata") as answer:
        metadata = answer.read().replace(b"bindings:HTTP-Redirect", b"bindings:HTTP-POST")
    with ThreadingHTTPServer(("127.0.0.1", 0), Idp) as idp, ThreadingHTTPServer(("127.0.0.1", 0), Idp) as elsewhere:
        for server in (idp, elsewhere):
            watch.origins.append(f"http://127.0.0.1:{server.server_port}")
            Thread(target=server.serve_forever, daemon=True).start()
        console.goto(f"{site.url}/console/sso/identity-provider")
        there = metadata.replace(f"{site.idp_url}/sso".encode(), f"http://127.0.0.1:{idp.server_port}/sso".encode())
        console.get_by_label("Metadata").set_input_files(
            {"name": "idp.xml", "mimeType": "application/xml", "buffer": there}
        )
        console.get_by_role("button", name="Preview").click()
        console.get_by_role("button", name="Keep and test").click()
        console.get_by_role("button", name="Test sign-in").click()
        console.get_by_role("button", name="Continue to the identity provider").click()
        expect(console.get_by_role("heading", name="Who are you?")).to_be_visible()
        console.goto(f"{site.url}/console/sso/offer")
        console.get_by_role("button", name="Discard").click()
        for server in (idp, elsewhere):
            server.shutdown()


def test_ic_13_a_grant_in_three_steps_is_in_the_employees_portal_when_its_tasks_have_settled(
    console: Page, site: Site
) -> None:
    open_accounts(console)
    for account in ("erp", "log-archive"):
        console.get_by_role("checkbox", name=account).check()
    expect(console.get_by_text("Selected: 2")).to_be_visible()
    console.get_by_role("button", name="Configure CAM role synchronization").click()

    console.get_by_role("checkbox", name="oscar").check()
    console.get_by_role("checkbox", name="auditors").check()
    console.get_by_role("button", name="Next").click()

    console.get_by_role("checkbox", name="DataAnalyst").check()
    console.get_by_role("button", name="Next").click()

    expect(console.get_by_text("Starts 4 tasks: 2 accounts × 2 users and groups × 1 configuration.")).to_be_visible()
    selected = console.get_by_role("region", name="What was selected")
    for name in ("erp", "log-archive", "oscar", "auditors", "DataAnalyst"):
        expect(selected).to_contain_text(name)
    console.get_by_role("button", name="Submit").click()

    expect(console.get_by_role("progressbar")).to_be_visible()
    settle(console)
    expect(console.get_by_text("Finished: all 4 tasks succeeded.")).to_be_visible()

    portal = console.context.new_page()
    sign_in(portal, site, "oscar")
    for account in ("erp", "log-archive"):
        expect(portal.get_by_role("button", name=f"Log in to {account} as DataAnalyst")).to_be_visible()


def test_the_browsers_back_button_leads_to_the_step_before_with_what_was_picked(console: Page) -> None:
    open_accounts(console)
    console.get_by_role("checkbox", name="erp").check()
    console.get_by_role("button", name="Configure CAM role synchronization").click()
    console.get_by_role("checkbox", name="oscar").check()
    console.get_by_role("button", name="Next").click()
    console.get_by_role("checkbox", name="ReadOnly").check()
    console.get_by_role("button", name="Next").click()
    expect(console.get_by_role("button", name="Submit")).to_be_visible()
    console.go_back()
    expect(console.get_by_role("checkbox", name="ReadOnly")).to_be_checked()
    console.go_back()
    expect(console.get_by_role("checkbox", name="oscar")).to_be_checked()
    console.get_by_role("button", name="Next").click()
    expect(console.get_by_role("checkbox", name="ReadOnly")).to_be_visible()


def test_what_exists_already_is_said_in_the_review_and_fails_with_that_reason(console: Page) -> None:
    open_accounts(console)
    console.get_by_role("checkbox", name="billing").check()
    console.get_by_role("button", name="Configure CAM role synchronization").click()
    console.get_by_role("checkbox", name="Finance Team").check()
    console.get_by_role("button", name="Next").click()
    console.get_by_role("checkbox", name="Billing").check()
    console.get_by_role("button", name="Next").click()
    expect(console.get_by_text("1 authorization exists already and will fail with that reason.")).to_be_visible()
    console.get_by_role("button", name="Submit").click()
    settle(console)
    expect(console.get_by_text("Finished: nothing succeeded.")).to_be_visible()


def test_ic_13_removed_permissions_close_the_account_to_the_employee_at_the_next_click(
    console: Page, site: Site
) -> None:
    portal = console.context.new_page()
    sign_in(portal, site, "grace")
    button = portal.get_by_role("button", name="Log in to data-lake as DataAnalyst")
    expect(button).to_be_visible()

    open_accounts(console)
    console.get_by_role("link", name="data-lake").click()
    console.get_by_role("link", name="Remove permissions grace").click()
    expect(
        console.get_by_text("Logging in with these roles is refused at once, and who is inside is put out.")
    ).to_be_visible()
    console.get_by_role("button", name="Remove permissions").click()
    settle(console)

    portal.reload()
    expect(portal.get_by_role("searchbox")).to_be_visible()
    expect(button).to_have_count(0)


def test_ic_10_a_changed_configuration_asks_for_redeployment_until_it_is_redeployed(console: Page) -> None:
    console.get_by_role("link", name="Permission configurations").first.click()
    console.get_by_role("main").get_by_role("link", name="Billing", exact=True).click()
    console.get_by_role("link", name="Add policy").click()
    console.get_by_role("searchbox").fill("CVMReadOnly")
    console.get_by_role("checkbox", name="QcloudCVMReadOnlyAccess").check()
    console.get_by_role("button", name="Add").click()

    console.get_by_role("link", name="Deployments").click()
    expect(row(console, "billing")).to_contain_text("Redeployment required")
    expect(row(console, "erp")).to_contain_text("Redeployment required")
    console.get_by_role("checkbox", name="Choose all of this page").check()
    expect(console.get_by_text("Selected: 2")).to_be_visible()
    console.get_by_role("button", name="Redeploy selected").click()
    expect(console.get_by_text("Brings 2 CAM roles to what their permission configurations say now")).to_be_visible()
    console.get_by_role("button", name="Redeploy").click()
    settle(console)
    console.get_by_role("link", name="Completed").click()
    for account in ("billing", "erp"):
        expect(row(console, account)).to_contain_text("Deployed")
        expect(row(console, account)).not_to_contain_text("Redeployment required")


def test_ic_11_undeploying_says_who_loses_access_and_takes_the_role_away(console: Page, site: Site) -> None:
    portal = console.context.new_page()
    sign_in(portal, site, "dave")
    expect(portal.get_by_role("button", name="Log in to shared-services as Administrator")).to_be_visible()

    open_accounts(console)
    console.get_by_role("link", name="shared-services").click()
    console.get_by_role("link", name="Deployed configurations").click()
    console.get_by_role("link", name="Undeploy Administrator").click()
    expect(console.get_by_text("1 user or group loses this configuration in this account:")).to_be_visible()
    expect(console.get_by_role("link", name="dave")).to_be_visible()
    console.get_by_role("button", name="Next").click()
    expect(console.get_by_text("Removes 1 authorization, then the CAM role")).to_be_visible()
    console.get_by_role("button", name="Undeploy").click()
    settle(console)
    console.get_by_role("link", name="Completed").click()
    expect(console.get_by_text("No permission configuration is deployed here")).to_be_visible()

    portal.reload()
    expect(portal.get_by_role("searchbox")).to_be_visible()
    expect(portal.get_by_text("shared-services")).to_have_count(0)


def test_ic_14_a_user_synchronization_gives_the_employee_a_user_in_the_account(console: Page, site: Site) -> None:
    open_accounts(console)
    console.get_by_role("checkbox", name="staging").check()
    console.get_by_role("button", name="Configure CAM user synchronization").click()
    console.get_by_role("checkbox", name="frank").check()
    console.get_by_role("button", name="Next").click()
    console.get_by_role("button", name="Next").click()
    expect(console.get_by_text("Starts 1 task: 1 account × 1 user or group.")).to_be_visible()
    console.get_by_role("button", name="Submit").click()
    settle(console)

    portal = console.context.new_page()
    sign_in(portal, site, "frank")
    portal.get_by_role("link", name="Log in with a CAM user").click()
    expect(portal.get_by_role("button", name="Log in to staging as frank")).to_be_visible()


def test_progress_that_is_fetched_again_takes_nobodys_place_away(page: Page, site: Site) -> None:
    """A batch that never settles: who stands on a link with the keyboard, or scrolled the table, stays there."""
    answers: list[str] = []

    def unsettled(route: Route) -> None:
        answer = route.fetch()
        answers.append(answer.text().replace("data-settled", ""))
        number = f"<i>answer {len(answers)}</i>" if len(answers) < 2 else "<i>the last one</i>"
        route.fulfill(response=answer, body=answers[-1].replace("</section>", f"{number}</section>", 1))

    sign_in_at_console(page, site.url)
    page.set_viewport_size({"width": 400, "height": 600})
    page.goto(f"{site.url}/console/tasks")
    address = str(page.locator("td a[href*='/batches/']").first.get_attribute("href"))
    page.route(f"**{address}", unsettled)
    page.goto(f"{site.url}{address}")
    link = page.locator("td a").first
    link.focus()
    scrolled = page.locator(".table-wrap").evaluate("wrap => { wrap.scrollLeft = 40; return wrap.scrollLeft; }")
    assert scrolled == 40
    expect(page.get_by_text("the last one")).to_be_visible()
    expect(link).to_be_focused()
    assert page.locator(".table-wrap").evaluate("wrap => wrap.scrollLeft") == scrolled
    link.evaluate("link => { link.dataset.mine = 'yes'; }")
    with page.expect_response(f"**{address}"):
        pass
    with page.expect_response(f"**{address}"):
        pass
    assert link.get_attribute("data-mine") == "yes"
