"""The user portal: accounts by role and by CAM user, permission details, logging in (IC-16, IC-17)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.core.access.models import Authorization, AuthorizationStatus, Configuration
from portal.core.audit import AuditEvent
from portal.core.directory.models import User
from portal.core.organization.models import Account
from saml.metadata import parse_identity_provider
from saml.parties import ServiceProvider
from saml.rules import Assertion
from saml.service_provider import accept_response
from tests.support.access import Access
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.sso import Sso

ROLE = "https://cloud.tencent.com/SAML/Attributes/Role"
SESSION_NAME = "https://cloud.tencent.com/SAML/Attributes/RoleSessionName"
SOURCE_IDENTITY = "https://cloud.tencent.com/SAML/Attributes/SourceIdentity"


@pytest.fixture
def sso(make: Make) -> Sso:
    return Sso(make)


@pytest.fixture
def access(make: Make, sso: Sso) -> Access:
    return Access(make, sso.space)


@pytest.fixture
def alice(make: Make, sso: Sso, browser: Browser) -> User:
    """Signed in."""
    user = make.user(sso.space, "alice", display_name="Alice Liddell")
    sso.sign_in(browser, "alice")
    return user


@pytest.fixture
def production(make: Make, sso: Sso) -> Account:
    return make.account(sso.space, "production")


def log_in(browser: Browser, path: str) -> dict[str, str]:
    """The fields of the form that goes to the account, and its address as `action`."""
    form = browser.page.find("form", attrs={"action": path})
    assert form is not None, f"no form for {path}"
    token = form.find("input", attrs={"name": "csrf_token"})
    assert token is not None
    browser.post(path, {"csrf_token": token["value"]})
    posted = browser.page.find("form", attrs={"data-auto-submit": True})
    assert posted is not None
    fields = {str(field["name"]): str(field["value"]) for field in posted.find_all("input")}
    return {"action": str(posted["action"]), **fields}


def as_the_account_reads_it(browser: Browser, account: Account, saml_response: str) -> Assertion:
    metadata = browser.client.get("/saml/acme/idp-metadata").get_data()
    address = f"http://localhost/accounts/{account.uin}"
    return accept_response(
        ServiceProvider(entity_id=address, acs_url=f"{address}/saml/acs"),
        parse_identity_provider(metadata),
        saml_response,
        request_id=None,
        now=datetime.now(UTC),
    )


def test_the_portal_asks_to_sign_in_first(browser: Browser, sso: Sso) -> None:
    assert browser.open("/home").url.startswith("/login")
    assert browser.open("/home/accounts/1/roles/rc-x").url.startswith("/login")


def test_ic_16_with_no_account_the_portal_says_what_to_do(browser: Browser, alice: User) -> None:
    browser.open("/home")
    assert "No account is open to you by a CAM role" in browser.text
    browser.click("Log in with a CAM user")
    assert "No account is open to you by a CAM user" in browser.text


def test_ic_16_accounts_are_listed_with_their_roles_and_found_without_javascript(
    browser: Browser, make: Make, sso: Sso, access: Access, alice: User, production: Account
) -> None:
    team = make.group(sso.space, "team", [alice])
    testing = make.account(sso.space, "testing")
    reader, admin = access.configuration("Reader"), access.configuration("Admin", description="Everything")
    access.open_role(alice, production, reader)
    access.open_role(team, production, admin)
    access.open_role(team, testing, access.configuration("Tester"))
    browser.open("/home")
    assert [tag.get_text() for tag in browser.page.select(".account-name")] == ["production", "testing"]
    assert "2 roles" in browser.text
    assert "Everything" in browser.text
    assert browser.page.find("input", attrs={"name": "q", "autofocus": True})
    browser.submit("Search", q="reader")
    assert [tag.get_text() for tag in browser.page.select(".account-name")] == ["production"]
    browser.submit("Search", q=str(testing.uin))
    assert [tag.get_text() for tag in browser.page.select(".account-name")] == ["testing"]
    browser.submit("Search", q="nothing like it")
    assert "No account matches" in browser.text
    browser.click("Show all")
    assert len(browser.page.select(".account-name")) == 2


def test_ic_16_permission_details_show_the_policies_with_their_documents(
    browser: Browser, access: Access, alice: User, production: Account
) -> None:
    access.open_role(alice, production, access.configuration("Reader", "ReadOnlyAccess", "Unheard"))
    browser.open("/home").click("Permission details")
    assert "Permission details of Reader" in browser.title
    assert "ReadOnlyAccess" in browser.text
    assert '"statement"' in browser.text
    assert "The document of this policy is not known here." in browser.text
    assert "changed lately" not in browser.text


def test_permission_details_say_when_the_account_has_earlier_policies(
    browser: Browser, make: Make, access: Access, alice: User, production: Account
) -> None:
    configuration = access.configuration("Reader")
    access.open_role(alice, production, configuration)
    with make.transaction() as session:
        session.execute(update(Configuration).values(revision=2))
    browser.open(f"/home/accounts/{production.uin}/roles/{configuration.id}")
    assert "These policies were changed lately." in browser.text


def test_ic_17_logging_in_posts_a_signed_response_for_the_role(
    browser: Browser, make: Make, access: Access, alice: User, production: Account
) -> None:
    configuration = access.configuration("Reader", relay_state="https://console.example.test/<x>")
    access.open_role(alice, production, configuration)
    browser.open("/home")
    form = log_in(browser, f"/home/accounts/{production.uin}/roles/{configuration.id}/login")
    assert form["action"] == f"http://localhost/accounts/{production.uin}/saml/acs"
    assert form["RelayState"] == "https://console.example.test/<x>"
    assert "csrf_token" not in form
    assert browser.response.headers["Cache-Control"] == "no-store"
    assert "form-action 'self' http://localhost http:;" in browser.response.headers["Content-Security-Policy"]
    assert browser.page.find("button", string="Continue to production")
    assertion = as_the_account_reads_it(browser, production, form["SAMLResponse"])
    uin, provider = production.uin, access.space.provider_name
    assert assertion.name_id == "alice"
    assert assertion.attributes == {
        ROLE: (f"qcs::cam::uin/{uin}:roleName/TencentCloudSSO-Reader,qcs::cam::uin/{uin}:saml-provider/{provider}",),
        SESSION_NAME: ("alice",),
        SOURCE_IDENTITY: (alice.id,),
    }
    with make.transaction() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "account.log_in")).one()
        assert (event.actor_name, event.account_uin) == ("alice", production.uin)


def test_ic_17_a_cam_user_logs_in_under_its_own_name(
    browser: Browser, access: Access, alice: User, production: Account
) -> None:
    name = access.open_user(alice, production)
    browser.open("/home?tab=user")
    assert "production" in browser.text
    form = log_in(browser, f"/home/accounts/{production.uin}/user/login")
    assert "RelayState" not in form
    assertion = as_the_account_reads_it(browser, production, form["SAMLResponse"])
    assert assertion.name_id == name
    assert assertion.attributes == {SOURCE_IDENTITY: (alice.id,)}


@pytest.mark.parametrize("kind", ["role", "user"])
def test_ic_17_the_account_takes_the_response_once(
    browser: Browser, access: Access, alice: User, production: Account, kind: str
) -> None:
    configuration = access.configuration("Reader", "ReadOnlyAccess")
    access.open_role(alice, production, configuration)
    access.open_user(alice, production)
    browser.open(f"/home?tab={kind}")
    last = f"roles/{configuration.id}" if kind == "role" else "user"
    form = log_in(browser, f"/home/accounts/{production.uin}/{last}/login")
    browser.post(form["action"], {"SAMLResponse": form["SAMLResponse"]})
    assert browser.url == f"/accounts/{production.uin}"
    assert "alice" in browser.text
    browser.post(form["action"], {"SAMLResponse": form["SAMLResponse"]}, status=403)


def test_ic_17_an_account_of_another_cloud_gets_what_that_cloud_asks_for(
    browser: Browser, make: Make, access: Access, alice: User, production: Account
) -> None:
    configuration = access.configuration("Reader")
    access.open_role(alice, production, configuration)
    access.open_user(alice, production)
    with make.transaction() as session:
        session.execute(update(Account).values(cloud="aws"))
    browser.open("/home")
    form = log_in(browser, f"/home/accounts/{production.uin}/roles/{configuration.id}/login")
    assert form["action"] == "https://signin.aws.amazon.com/saml"
    assert (
        "form-action 'self' https://signin.aws.amazon.com https:;"
        in browser.response.headers["Content-Security-Policy"]
    )
    provider = parse_identity_provider(browser.client.get("/saml/acme/idp-metadata").get_data())
    cloud = ServiceProvider("urn:amazon:webservices", form["action"])
    assertion = accept_response(cloud, provider, form["SAMLResponse"], request_id=None, now=datetime.now(UTC))
    assert assertion.attributes["https://aws.amazon.com/SAML/Attributes/SessionDuration"] == ("3600",)
    assert assertion.attributes["https://aws.amazon.com/SAML/Attributes/RoleSessionName"] == ("alice",)
    assert assertion.session_not_on_or_after is not None
    assert 3600 <= (assertion.session_not_on_or_after - datetime.now(UTC)).total_seconds() <= 3600 + 120
    browser.open("/home?tab=users")
    token = browser.page.find("input", attrs={"name": "csrf_token"})["value"]
    browser.post(f"/home/accounts/{production.uin}/user/login", {"csrf_token": token}, status=400)
    assert "takes no sign-on as a user" in browser.text


def test_ic_17_the_right_is_checked_when_the_button_is_pressed(
    browser: Browser, make: Make, access: Access, alice: User, production: Account
) -> None:
    configuration = access.configuration("Reader")
    access.open_role(alice, production, configuration)
    browser.open("/home")
    with make.transaction() as session:
        session.execute(update(Authorization).values(status=AuthorizationStatus.REMOVING))
    browser.submit("Log in", status=403)
    assert "not open to you" in browser.text
    assert browser.page.find("form", attrs={"data-auto-submit": True}) is None
    with make.transaction() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.result == "refused")).all()
        assert [event.actor_name for event in events] == ["alice"]


def test_another_persons_roles_are_not_open(
    browser: Browser, make: Make, sso: Sso, access: Access, alice: User, production: Account
) -> None:
    configuration = access.configuration("Reader")
    access.open_role(make.user(sso.space, "bob"), production, configuration)
    access.open_user(make.user(sso.space, "carol"), production)
    assert "No account is open to you" in browser.open("/home").text
    browser.open(f"/home/accounts/{production.uin}/roles/{configuration.id}", status=403)
    browser.open(f"/home/accounts/{10**30}/roles/{configuration.id}", status=404)


def test_a_login_without_the_form_of_our_page_is_refused(
    browser: Browser, access: Access, alice: User, production: Account
) -> None:
    configuration = access.configuration("Reader")
    access.open_role(alice, production, configuration)
    browser.post(f"/home/accounts/{production.uin}/roles/{configuration.id}/login", status=400)


def test_a_long_user_name_is_cut_for_the_session_and_whole_as_the_subject(
    app: Flask, make: Make, sso: Sso, access: Access, production: Account
) -> None:
    name = "a-very-long-name+" + "x" * 40
    user, browser = make.user(sso.space, name), Browser(app)
    configuration = access.configuration("Reader")
    access.open_role(user, production, configuration)
    sso.sign_in(browser, name)
    browser.open("/home")
    form = log_in(browser, f"/home/accounts/{production.uin}/roles/{configuration.id}/login")
    assertion = as_the_account_reads_it(browser, production, form["SAMLResponse"])
    assert assertion.attributes[SESSION_NAME] == (f"{name[:25]}-{user.id[-6:]}",)
    assert assertion.name_id == name
