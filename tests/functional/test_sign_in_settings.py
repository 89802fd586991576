"""What a space has chosen is what happens at its sign-ins (IC-6, IC-16)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.directory.models import Source, User
from portal.core.limits import Limits, allowed, set_limits
from portal.core.push import credentials
from portal.core.space.models import Space
from tests.support.browser import Browser, query_of
from tests.support.make import Make
from tests.support.saml_attack import setting
from tests.support.saml_encryption import encrypting
from tests.support.sign_ins import (
    assert_refused,
    count,
    failed_checks,
    is_signed_in,
    last_attempt,
    last_event,
    sessions_of,
)
from tests.support.sso import Sso

MAIL = "urn:oid:0.9.2342.19200300.100.1.3"


@pytest.fixture
def sso(make: Make) -> Sso:
    return Sso(make)


@pytest.fixture
def alice(make: Make, sso: Sso) -> User:
    return make.user(sso.space, "alice")


def created(make: Make, name: str) -> User:
    with make.transaction() as session:
        user = session.scalars(select(User).where(User.user_name == name)).one()
        session.expunge(user)
    return user


def test_an_accepted_sign_in_can_be_looked_at(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    response = sso.sign_in(browser, "ALICE")
    attempt = last_attempt(make)
    assert (attempt.accepted, attempt.user_name, attempt.reason) == (True, "alice", "")
    assert attempt.reference == response.headers["X-Request-Id"] == last_event(make).request_id
    assert attempt.idp_entity_id == sso.idp.entity_id
    assert attempt.user_agent.startswith("Werkzeug")
    assert failed_checks(attempt) == []
    assert "ALICE</saml:NameID>" in attempt.response
    assert "characters)</ds:SignatureValue>" in attempt.response
    (kept,) = sessions_of(make)
    assert (kept.name_id, kept.idp_entity_id) == ("ALICE", sso.idp.entity_id)
    assert kept.session_index


def test_a_refused_one_tells_every_check(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    lies = {"audience": "https://other.example.test", "recipient": "https://other.example.test"}
    attempt = assert_refused(sso.post(browser, sso.answer(sso.begin(browser), "alice", **lies)), make, sso, "recipient")
    assert failed_checks(attempt) == ["recipient", "audience"]
    assert "other.example.test" in attempt.response


def test_requests_are_signed_where_that_is_chosen(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.give_key()
    assert "Signature" not in query_of(sso.begin(browser))
    sso.choose(sign_requests=True)
    asked = sso.begin(browser)
    assert query_of(asked)["SigAlg"].endswith("rsa-sha256")
    assert sso.post(browser, sso.answer(asked, "alice")).status_code == 303


def test_who_has_to_authenticate_anew_cannot_come_with_an_earlier_sign_in(
    browser: Browser, make: Make, sso: Sso, alice: User
) -> None:
    earlier = setting("AuthnStatement", "AuthnInstant", f"{clock.now() - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}")
    assert sso.post(browser, sso.answer(sso.begin(browser), "alice", edit=earlier)).status_code == 303
    sso.choose(force_authn=True)
    response = sso.post(browser, sso.answer(sso.begin(browser), "alice", edit=earlier))
    assert failed_checks(assert_refused(response, make, sso, "authentication")) == ["authentication"]
    sso.sign_in(browser, "alice")


def test_an_assertion_in_clear_is_refused_where_only_encrypted_ones_are_taken(
    browser: Browser, make: Make, sso: Sso, alice: User
) -> None:
    certificate = sso.give_key()
    sso.choose(encrypted_only=True)
    assert_refused(sso.post(browser, sso.answer(sso.begin(browser), "alice")), make, sso, "not-encrypted")
    sealed = sso.answer(sso.begin(browser), "alice", edit_signed=encrypting(certificate))
    assert sso.post(browser, sealed).status_code == 303
    assert "alice</saml:NameID>" in last_attempt(make).response, "administrators see what was inside"


def test_an_attribute_can_tell_the_user_name(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.choose(username_attribute="login")
    form = sso.answer(sso.begin(browser), "00u1x", attributes={"login": ["alice"]})
    assert sso.post(browser, form).status_code == 303
    assert last_attempt(make).user_name == "alice"
    assert sessions_of(make)[0].name_id == "00u1x", "for single logout"
    assert_refused(sso.post(browser, sso.answer(sso.begin(browser), "alice")), make, sso, "username")


@pytest.mark.parametrize("name", ["ALICE", "\u212alice"])
def test_an_exact_name_is_compared_with_case(browser: Browser, make: Make, sso: Sso, alice: User, name: str) -> None:
    sso.choose(name_case="exact")
    assert_refused(sso.post(browser, sso.answer(sso.begin(browser), name)), make, sso, "unknown-user")
    sso.sign_in(browser, "alice")


def test_an_unknown_user_is_created_where_that_is_chosen(browser: Browser, make: Make, sso: Sso) -> None:
    sso.choose(unknown_users="create")
    attributes = {MAIL: ["bob@example.test"], "givenName": ["Bob"], "SN": ["Builder"], "displayName": ["Bob B."]}
    assert sso.post(browser, sso.answer(sso.begin(browser), "bob", attributes=attributes)).status_code == 303
    assert "Bob B." in browser.open("/home").text
    bob = created(make, "bob")
    assert (bob.email, bob.given_name, bob.family_name, bob.enabled, bob.source) == (
        "bob@example.test", "Bob", "Builder", True, Source.MANUAL,
    )  # fmt: skip
    event = last_event(make, "user.create")
    assert (event.actor_kind, event.actor_name, event.target_id) == ("system", "First sign-in", bob.id)
    sso.sign_in(browser, "BOB")
    assert count(make, User) == 1


def test_what_an_attribute_cannot_tell_is_left_out(browser: Browser, make: Make, sso: Sso) -> None:
    sso.choose(unknown_users="create")
    attributes = {"mail": ["no address", "x" * 200 + "@example.test"], "sn": ["x" * 65], "givenName": [" Bob "]}
    assert sso.post(browser, sso.answer(sso.begin(browser), "bob", attributes=attributes)).status_code == 303
    bob = created(make, "bob")
    assert (bob.email, bob.given_name, bob.family_name, bob.display_name) == (None, "Bob", "", "")


@pytest.mark.parametrize(
    ("name", "attributes", "words"),
    [
        ("o'hara", {}, "A username has 1 to 64"),
        ("a" * 65, {}, "A username has 1 to 64"),
        ("bob", {"mail": ["alice@example.test"]}, "A user with the e-mail alice@example.test exists"),
    ],
)
def test_who_cannot_be_created_is_refused(
    browser: Browser, make: Make, sso: Sso, name: str, attributes: dict[str, Any], words: str
) -> None:
    make.user(sso.space, "alice", email="alice@example.test")
    sso.choose(unknown_users="create")
    response = sso.post(browser, sso.answer(sso.begin(browser), name, attributes=attributes))
    attempt = assert_refused(response, make, sso, "not-created")
    assert words in attempt.detail
    assert "no user of that name may sign in" in response.get_data(as_text=True)
    assert count(make, User) == 1
    sso.post(browser, sso.answer(sso.begin(browser), "bob"))
    assert count(make, User) == 2


@pytest.mark.parametrize("name", ["ALICE", "b\u03bfb"])
def test_a_name_that_is_nearly_another_is_not_created(browser: Browser, make: Make, sso: Sso, name: str) -> None:
    make.user(sso.space, "alice")
    sso.choose(unknown_users="create", name_case="exact")
    response = sso.post(browser, sso.answer(sso.begin(browser), name))
    assert_refused(response, make, sso, "not-created" if name.isascii() else "unknown-user")
    assert count(make, User) == 1


def test_nobody_is_created_beyond_the_limit(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.choose(unknown_users="create")
    before = allowed("users_per_space")
    set_limits(Limits(users_per_space=1))
    try:
        attempt = assert_refused(sso.post(browser, sso.answer(sso.begin(browser), "bob")), make, sso, "not-created")
    finally:
        set_limits(Limits(users_per_space=before))
    assert "users_per_space" in attempt.detail


def test_while_scim_is_on_only_the_push_makes_users(browser: Browser, make: Make, sso: Sso) -> None:
    sso.choose(unknown_users="create")
    with make.transaction() as session:
        credentials.set_scim_enabled(session, SYSTEM, space=session.get_one(Space, sso.space.id), enabled=True)
    attempt = assert_refused(sso.post(browser, sso.answer(sso.begin(browser), "bob")), make, sso, "not-created")
    assert "SCIM is on" in attempt.detail
    assert count(make, User) == 0


def test_a_session_whose_names_are_too_long_to_keep_begins_all_the_same(
    browser: Browser, make: Make, sso: Sso, alice: User
) -> None:
    long = setting("NameID", "NameQualifier", "x" * 1025)
    assert sso.post(browser, sso.answer(sso.begin(browser), "alice", edit=long)).status_code == 303
    assert is_signed_in(browser)
    assert sessions_of(make)[0].name_id is None
