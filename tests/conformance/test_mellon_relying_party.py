"""What we issue, taken by a relying party that is not our code: Apache with mod_auth_mellon as Debian ships it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from lxml import etree

from portal import addresses
from portal.clouds import sites
from saml.issuing import issue_response
from tests.functional.test_user_portal import ROLE, SESSION_NAME, SOURCE_IDENTITY, log_in
from tests.support.access import Access
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.mellon import Mellon, mellon
from tests.support.saml_attack import writing
from tests.support.saml_idp import DS, decoded, encoded, key_pair
from tests.support.sso import BASE_URL, Sso
from tests.support.visitor import Visitor

ISSUER = addresses.issuer(BASE_URL, "acme")
ACCOUNT = "https://account.example.test"
GROUPS = "urn:example:groups"
SHOWN = {"ROLE": ROLE, "SESSION_NAME": SESSION_NAME, "PERSON": SOURCE_IDENTITY, "GROUPS": GROUPS}
LOGIN_PAGE = addresses.login_url(BASE_URL, "acme")
KEYS = {name: key_pair(name) for name in ("space", "next")}
HOUR = timedelta(hours=1)
Edit = Callable[[etree._Element], None]


@pytest.fixture(scope="module")
def account() -> Iterator[Mellon]:
    """It has our metadata with two certificates, as while our key is rolled over."""
    certificates = [certificate for _, certificate in KEYS.values()]
    with mellon(ACCOUNT, addresses.issuer_metadata(BASE_URL, "acme", certificates), SHOWN) as running:
        yield running


def issue(account: Mellon, key: tuple[str, str] = KEYS["space"], edit: Edit | None = None, **lies: Any) -> str:
    honest = {
        "issuer": ISSUER,
        "recipient": account.acs_url,
        "audience": ACCOUNT,
        "name_id": "alice",
        "attributes": {GROUPS: ["员工", "admins"]},
        "in_response_to": None,
        "now": datetime.now(UTC),
    }
    response = issue_response(private_key=key[0], certificate=key[1], **(honest | lies))
    if edit is None:
        return response
    document = decoded(response)
    edit(document)
    return encoded(document)


def post(account: Mellon, visitor: Visitor, response: str) -> int:
    return visitor.open(account.acs_url, {"SAMLResponse": response, "RelayState": account.account_url}).status


def shown(account: Mellon, visitor: Visitor) -> dict[str, str] | None:
    """What its protected page says of who signed in, None if it sends us to sign in."""
    page = visitor.open(account.account_url)
    if page.status != 200:
        assert page.url.partition("?")[0] == LOGIN_PAGE
        return None
    return dict(unescape(line).split("=", 1) for line in page.text.splitlines() if "=" in line)


def unsigned(response: etree._Element) -> None:
    for signature in list(response.iter(f"{DS}Signature")):
        parent = signature.getparent()
        assert parent is not None
        parent.remove(signature)


@pytest.mark.parametrize("key", list(KEYS))
@pytest.mark.parametrize("name_id", ["alice", "o'neil+张三 <&>@example.test"])
def test_it_takes_what_we_issue_with_either_key(account: Mellon, key: str, name_id: str) -> None:
    visitor = account.visitor()
    assert shown(account, visitor) is None

    assert post(account, visitor, issue(account, KEYS[key], name_id=name_id)) == 200
    said = shown(account, visitor) or {}
    assert said["REMOTE_USER"] == said["MELLON_NAME_ID"] == name_id
    assert (said["GROUPS_0"], said["GROUPS_1"], said["GROUPS_N"]) == ("员工", "admins", "2")
    assert shown(account, account.visitor()) is None


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        ({"edit": writing("NameID", "root")}, "Failed to verify signature"),
        ({"edit": writing("AttributeValue", "admins")}, "Failed to verify signature"),
        ({"edit": unsigned}, "Signature element not found"),
        ({"key": key_pair("foreign")}, "Failed to verify signature"),
        ({"key": (key_pair("foreign")[0], KEYS["space"][1])}, "Failed to verify signature"),
        ({"now": datetime.now(UTC) - HOUR}, "NotOnOrAfter in SubjectConfirmationData was in the past"),
        ({"now": datetime.now(UTC) + HOUR}, "NotBefore in Condition was in the future"),
        ({"audience": ACCOUNT + "/other"}, "Invalid Audience in Conditions"),
        ({"recipient": "https://other.example.test/acs"}, "Invalid Destination on Response"),
        ({"issuer": ISSUER + "/other"}, "identifier of a provider is unknown"),
        ({"in_response_to": "_never_asked"}, "lost the cookie"),
    ],
)
def test_it_refuses_what_is_not_ours_for_it_or_for_now(account: Mellon, lies: dict[str, Any], words: str) -> None:
    visitor, before = account.visitor(), len(account.log())

    assert post(account, visitor, issue(account, **lies)) == 400
    assert words in account.log()[before:]
    assert shown(account, visitor) is None


def test_each_answer_opens_it_once(account: Mellon) -> None:
    response = issue(account)

    assert post(account, account.visitor(), response) == 200
    assert post(account, account.visitor(), response) == 400
    assert post(account, account.visitor(), issue(account)) == 200


def test_ic_17_an_employee_logs_in_to_it_from_the_portal(
    browser: Browser, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud is an entry of data: with the addresses of this one, all else is the portal as it is."""
    sso = Sso(make)
    access = Access(make, sso.space)
    alice = make.user(sso.space, "alice")
    production = make.account(sso.space, "production")
    auditor = access.configuration("Auditor")
    access.open_role(alice, production, auditor)
    document = browser.client.get("/saml/acme/idp-metadata").get_data(as_text=True)

    with mellon(ACCOUNT, document, SHOWN) as account:
        site = replace(sites.SITES["local"], role=sites.Door(account.acs_url, ACCOUNT))
        monkeypatch.setattr(sites, "SITES", {"local": site})
        sso.sign_in(browser, "alice")
        browser.open("/home")
        form = log_in(browser, f"/home/accounts/{production.uin}/roles/{auditor.id}/login")
        visitor = account.visitor()
        assert form.pop("action") == account.acs_url
        visitor.open(account.acs_url, form)
        said = shown(account, visitor) or {}

    assert (said["REMOTE_USER"], said["SESSION_NAME"], said["PERSON"]) == ("alice", "alice", alice.id)
    assert f"roleName/{auditor.role_name}," in said["ROLE"]
