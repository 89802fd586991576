"""What the portal says, counts and keeps to itself when something fails underneath or a request is a strange one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from portal import create_app
from portal.core.cam.models import CamUser
from portal.core.database import Database
from portal.settings import Settings
from portal.web.forms import MOST_VALUES
from portal.web.permissions import Permission, requires
from portal.web.transactions import db
from tests.support.admin import sign_in
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.processes import free_port
from tests.support.sso import Sso

COOKIES = "portal_employee=x; portal_admin=x; portal_account=x"


@pytest.fixture
def silent(settings: Settings) -> Iterator[Flask]:
    """A portal whose database does not answer."""
    database = Database(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    app = create_app(settings, database)
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app
    database.dispose()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "status"),
    [("/home", 503), ("/console/", 503), ("/accounts/1", 503), ("/login/acme", 503), ("/nothing", 404)],
)
def test_a_silent_database_is_a_page_for_who_was_signed_in_too(silent: Flask, path: str, status: int) -> None:
    response = silent.test_client(use_cookies=False).get(path, headers={"Cookie": COOKIES})
    page = response.get_data(as_text=True)
    assert response.status_code == status
    assert f"<title>Error {status}" in page
    assert response.headers["X-Request-Id"] in page
    assert ("The database does not answer" in page) == (status == 503)


def test_a_statement_that_failed_in_a_public_page_is_a_page(app: Flask) -> None:
    @app.get("/failing")
    @requires(Permission.PUBLIC)
    def failing() -> str:
        return str(db().execute(text("SELECT * FROM nowhere")))

    response = app.test_client(use_cookies=False).get("/failing", headers={"Cookie": COOKIES})
    assert response.status_code in (500, 503)
    assert "<title>Error" in response.get_data(as_text=True)


def test_a_commit_that_failed_is_a_page(
    app: Flask, make: Make, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sso = Sso(make)

    def commit(_session: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(database, "commit", commit)
    response = app.test_client().get(f"/saml/{sso.name}/login")
    assert response.status_code == 500
    assert "Something went wrong on our side" in response.get_data(as_text=True)


def test_what_was_to_be_stored_is_not_told_by_the_error(make: Make) -> None:
    organization = make.organization()
    row = {"account_uin": organization.admin_uin, "name": "x", "name_key": "x", "password_hash": "$argon2id$SECRET"}
    with make.transaction() as session:
        session.add(CamUser(**row))
    with pytest.raises(IntegrityError) as failed, make.transaction() as session:
        session.add(CamUser(**row))
    assert "SECRET" not in str(failed.value)


def test_methods_that_strangers_make_up_are_one_label(app: Flask) -> None:
    client = app.test_client()
    for number in range(3):
        client.open("/nothing", method=f"MADEUP{number}")
    metrics = client.get("/metrics").get_data(as_text=True)
    assert "MADEUP" not in metrics
    assert 'portal_http_requests_total{endpoint="none",method="other",status="404"}' in metrics


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_too_many_chosen_at_once_are_refused_and_none_is_left_out(browser: Browser, make: Make) -> None:
    space = sign_in(browser, make).space
    group = make.group(space)
    browser.open("/console/groups/create")
    token = browser.page.find(attrs={"name": "csrf_token"})
    assert token is not None
    chosen = [f"u-{number}" for number in range(MOST_VALUES + 1)]
    url = f"/console/groups/{group.id}/users/remove"
    browser.post(url, {"csrf_token": token["value"], "user": chosen}, status=400)
    assert f"at most {MOST_VALUES} at once" in browser.text


@pytest.mark.parametrize("raised", [StaleDataError("a row was gone"), IntegrityError("INSERT", {}, Exception("twice"))])
def test_who_comes_second_of_two_at_the_same_moment_is_told_to_try_again(app: Flask, raised: Exception) -> None:
    @app.get("/overtaken")
    @requires(Permission.PUBLIC)
    def overtaken() -> str:
        raise raised

    response = app.test_client().get("/overtaken")
    assert response.status_code == 409
    assert "at the same moment" in response.get_data(as_text=True)
