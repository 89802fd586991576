"""Recent sign-ins in the console (IC-6): found, paged, and explained."""

from __future__ import annotations

import pytest
from flask import Flask

from portal.core.database import Database
from portal.core.federation import attempts
from portal.core.space.models import Space
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.statements import statements

RESPONSE = "<samlp:Response>shown as it is: <b>&amp;</b></samlp:Response>"


@pytest.fixture
def space(browser: Browser, make: Make) -> Space:
    return admin.sign_in(browser, make).space


def record(make: Make, space: Space, number: int = 1) -> list[int]:
    """Accepted and refused in turn, the oldest first."""
    with make.transaction() as session:
        return [
            attempts.record(
                session,
                space=space,
                accepted=each % 2 == 0,
                reason="" if each % 2 == 0 else "audience",
                detail="" if each % 2 == 0 else "['https://x.example/'] instead of ours",
                reference=f"{each:016x}",
                user_name=f"user{each}",
                checks=[("audience", "failed", "['https://x.example/'] instead of ours")] if each % 2 else [],
                response=RESPONSE,
                address="192.0.2.7",
            ).id
            for each in range(number)
        ]


def names(browser: Browser) -> list[str]:
    return [row.find_all("td")[2].get_text() for row in browser.page.select("tbody tr")]


def test_ic_6_no_sign_in_yet(browser: Browser, space: Space) -> None:
    browser.open("/console/sso").click("Recent sign-ins")
    assert "No sign-ins yet" in browser.text
    assert "kept for 30 days" in browser.text


def test_ic_6_newest_first_in_pages_with_filters(browser: Browser, make: Make, space: Space) -> None:
    record(make, space, 60)
    browser.open("/console/sso/sign-ins")
    assert names(browser) == [f"user{each}" for each in range(59, 9, -1)]
    browser.click("Older")
    assert names(browser) == [f"user{each}" for each in range(9, -1, -1)]
    browser.click("Newer")
    assert names(browser)[0] == "user59"
    browser.submit("Search", result="refused")
    assert names(browser) == [f"user{each}" for each in range(59, 0, -2)]
    browser.submit("Search", result="accepted")
    assert names(browser) == [f"user{each}" for each in range(58, -1, -2)]


def test_ic_6_the_reference_of_a_refusal_leads_to_what_to_change(browser: Browser, make: Make, space: Space) -> None:
    record(make, space, 3)
    user = make.user(space, "user1")
    browser.open("/console/sso/sign-ins")
    browser.submit("Search", reference=f" {1:016x} ")
    assert names(browser) == ["user1"]
    browser.open(str(browser.page.select_one("tbody a")["href"]))
    assert browser.title.startswith("Refused sign-in")
    for text in ("Audience URI", "http://localhost/saml/acme/metadata", "https://x.example/", "192.0.2.7"):
        assert text in browser.text
    assert browser.page.find("pre").get_text() == RESPONSE
    assert browser.page.find("a", href=f"/console/users/{user.id}") is not None
    assert browser.page.find("button", string="Test again") is None
    browser.open("/console/sso/sign-ins?reference=nothing-like-this")
    assert "No sign-in matches" in browser.text


def test_ic_6_an_accepted_one_has_nothing_to_change(browser: Browser, make: Make, space: Space) -> None:
    (number,) = record(make, space)
    browser.open(f"/console/sso/sign-ins/{number}")
    assert browser.title.startswith("Accepted sign-in")
    assert "What to change" not in browser.text
    assert "no such user" in browser.text
    browser.open(f"/console/sso/tests/{number}", status=404)


@pytest.mark.parametrize("query", ["before=x&after=-1", "before=99999999999999999999", "result=x&reference=%3Cb%3E"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nonsense_in_the_address_is_taken_for_nothing(browser: Browser, make: Make, space: Space, query: str) -> None:
    record(make, space)
    browser.open(f"/console/sso/sign-ins?{query}")
    browser.open(f"/console/sso/sign-ins/{10**20}", status=404)


def test_another_organization_sees_none_of_them(app: Flask, browser: Browser, make: Make, space: Space) -> None:
    (number,) = record(make, space)
    stranger = Browser(app)
    admin.sign_in(stranger, make, space="other")
    stranger.open(f"/console/sso/sign-ins/{number}", status=404)
    stranger.open(f"/console/sso/sign-ins?reference={0:016x}")
    assert "No sign-in matches" in stranger.text
    browser.open(f"/console/sso/sign-ins/{number}")


def test_the_list_takes_as_many_statements_for_fifty_as_for_two(
    browser: Browser, make: Make, space: Space, database: Database
) -> None:
    record(make, space, 2)
    counted = []
    for _ in range(2):
        with statements(database) as seen:
            browser.open("/console/sso/sign-ins")
        counted.append(len(seen))
        record(make, space, 58)
    assert counted[0] == counted[1]
