"""Sign-in settings and our own keys, in the console (IC-6)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.federation import saml_keys, saml_settings, sp_keys
from portal.core.federation.models import NameCase, UnknownUsers
from portal.core.federation.saml_settings import Choices
from portal.core.push.credentials import set_scim_enabled
from portal.core.space.models import Space
from saml.keys import read_certificate
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make


@pytest.fixture
def space(browser: Browser, make: Make) -> Space:
    return admin.sign_in(browser, make).space


def chosen(make: Make, space: Space) -> Choices:
    with make.transaction() as session:
        return saml_settings.of(session, space)


def published(make: Make, space: Space) -> list[str]:
    """Fingerprints, the key in use first."""
    with make.transaction() as session:
        return [read_certificate(pem).fingerprint for pem in saml_keys.certificates(session, space, sp_keys.USE)]


def audited(make: Make, start: str) -> list[str]:
    with make.transaction() as session:
        actions = select(AuditEvent.action).where(AuditEvent.action.startswith(start)).order_by(AuditEvent.id)
        return list(session.scalars(actions))


def test_the_settings_are_chosen_kept_and_audited(browser: Browser, make: Make, space: Space) -> None:
    browser.open("/console/sso/settings")
    assert chosen(make, space) == Choices()
    assert "login CSRF" in browser.text
    browser.submit(
        "Save",
        force_authn=True,
        idp_initiated=True,
        name_from="attribute",
        username_attribute=" mail ",
        name_case="exact",
        unknown_users="create",
    )
    expected = Choices(
        force_authn=True,
        idp_initiated=True,
        username_attribute="mail",
        name_case=NameCase.EXACT,
        unknown_users=UnknownUsers.CREATE,
    )
    assert chosen(make, space) == expected
    browser.open("/console/sso/settings").submit("Save")
    assert chosen(make, space) == expected
    browser.open("/console/sso/settings").submit("Save", name_from="name_id", idp_initiated=False)
    assert (chosen(make, space).username_attribute, chosen(make, space).idp_initiated) == ("", False)
    assert audited(make, "sso.choose") == ["sso.choose_settings"] * 2


def test_an_older_page_does_not_turn_a_change_back(browser: Browser, make: Make, space: Space) -> None:
    browser.open("/console/sso/settings")
    older, url = browser.page, browser.url
    browser.submit("Save", force_authn=True)
    browser.page, browser.url = older, url
    browser.submit("Save", idp_initiated=True, status=400)
    assert "Somebody else changed the settings" in browser.text
    assert browser.page.find(attrs={"name": "force_authn"}).has_attr("checked")
    assert chosen(make, space) == Choices(force_authn=True)
    browser.submit("Save", idp_initiated=True)
    assert chosen(make, space) == Choices(force_authn=True, idp_initiated=True)


def test_an_attribute_needs_its_name(browser: Browser, make: Make, space: Space) -> None:
    browser.open("/console/sso/settings").submit("Save", name_from="attribute", status=400)
    assert "Say which attribute" in browser.page.find("p", class_="error").get_text()


def test_users_are_not_made_at_sign_in_while_scim_is_on(browser: Browser, make: Make, space: Space) -> None:
    with make.transaction() as session:
        set_scim_enabled(session, SYSTEM, space=session.get_one(Space, space.id), enabled=True)
    browser.open("/console/sso/settings").submit("Save", unknown_users="create", status=400)
    assert "SCIM is on" in browser.page.find("p", class_="error").get_text()
    assert chosen(make, space) == Choices()


@pytest.mark.parametrize("setting", saml_settings.NEED_A_KEY)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_needs_a_key_leads_to_making_one(browser: Browser, make: Make, space: Space, setting: str) -> None:
    browser.open("/console/sso/settings").submit("Save", **{setting: True}, status=400)
    assert "there is none yet" in browser.page.find("p", class_="error").get_text()
    assert chosen(make, space) == Choices()
    link = browser.page.find("a", string="Needs a key: make one first.")["href"]
    browser.open(link).click("Make a key")
    browser.open("/console/sso/settings").submit("Save", **{setting: True})
    assert getattr(chosen(make, space), setting)

    browser.open("/console/sso/keys").click("Remove the key")
    assert "Switch that off first" in browser.text
    assert not browser.page.select(".btn-danger")
    browser.open("/console/sso/settings").submit("Save", **{setting: False})
    browser.open("/console/sso/keys").click("Remove the key").click("Remove the key")
    assert published(make, space) == []


def test_the_key_rolls_over_with_both_published(browser: Browser, make: Make, space: Space) -> None:
    metadata = "/saml/acme/metadata"
    browser.open("/console/sso/keys")
    assert "AD FS" in browser.text
    assert 'use="encryption"' not in browser.open(metadata).response.text
    browser.open("/console/sso/keys").click("Make a key")
    (first,) = published(make, space)
    assert first in browser.text
    browser.click(f"Download {first}")
    assert read_certificate(browser.response.text).fingerprint == first
    assert "BEGIN PRIVATE" not in browser.response.text

    browser.open("/console/sso/keys").click("Publish a new key")
    assert published(make, space)[0] == first
    second = published(make, space)[1]
    assert "Published, not used yet" in browser.text
    assert browser.open(metadata).response.text.count('use="encryption"') == 2
    browser.open("/console/sso/keys").click("Use the new key")
    assert published(make, space) == [second, first]
    browser.click("Remove the old key")
    assert published(make, space) == [second]
    assert audited(make, "saml_key.") == [f"saml_key.{step}" for step in ("introduce", "switch") * 2] + [
        "saml_key.retire"
    ]


def test_a_step_out_of_turn_is_refused(browser: Browser, make: Make, space: Space) -> None:
    """Two administrators, two pages: what the second one sees is no longer so."""
    browser.open("/console/sso/keys")
    make_a_key = browser.page
    browser.click("Make a key")
    before = published(make, space)
    browser.page = make_a_key
    browser.click("Make a key", status=412)
    assert published(make, space) == before

    browser.open("/console/sso/keys").click("Remove the key")
    remove_it = browser.page, browser.url
    browser.open("/console/sso/keys").click("Publish a new key")
    remove_the_new_one = browser.page, browser.url
    browser.click("Use the new key")
    before = published(make, space)
    browser.page, browser.url = remove_the_new_one
    browser.click("Remove the new key", status=412)
    assert published(make, space) == before
    browser.open("/console/sso/keys").click("Remove the old key")
    browser.page, browser.url = remove_it
    browser.submit("Remove the key", status=400)
    assert "gone on since this page was loaded" in browser.text
    assert published(make, space) == before[:1]
    browser.submit("Remove the key")
    assert published(make, space) == []


def test_the_key_warns_before_it_expires(browser: Browser, make: Make, space: Space) -> None:
    browser.open("/console/sso/keys").click("Make a key")
    for ahead, words in ((3600, None), (3652 - 29, "expires soon"), (3653, "has expired")):
        with clock.shifted(timedelta(days=ahead)):
            admin.enter(browser, "acme", "admin")
            browser.open("/console/sso/keys")
            assert (words is None) == ("Publish a new key and go through the steps" not in browser.text)
            assert words is None or words in browser.text
