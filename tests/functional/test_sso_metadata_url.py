"""Metadata of the identity provider by URL, in the console and on the command line (IC-6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner
from flask import Flask

from portal.cli import main
from portal.core import clock
from portal.core.database import Database
from portal.core.federation.models import IdentityProvider, TrustSource
from portal.core.space.models import Space
from portal.settings import Settings
from saml.metadata import identity_provider_metadata
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.tls import Server, serving
from tests.support.trust import ENTITY_ID, SSO_URL, certificate, fingerprints, pem, trust, trusted

PAGE = "/console/sso/metadata-url"
FIRST, SECOND = certificate("first").fingerprint, certificate("second").fingerprint


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def server(running: Server, app: Flask) -> Server:
    running.pages.clear()
    publish(running, "first")
    app.extensions["fetcher"] = running.fetcher()
    return running


@pytest.fixture
def space(browser: Browser, make: Make) -> Space:
    return admin.sign_in(browser, make).space


def publish(server: Server, *names: str, entity_id: str = ENTITY_ID, sso_url: str = SSO_URL) -> None:
    server.pages["/metadata"] = identity_provider_metadata(
        entity_id=entity_id, sso_url=sso_url, certificates=[pem(name) for name in names]
    ).encode()


def row_of(make: Make, space: Space) -> IdentityProvider | None:
    with make.transaction() as session:
        return session.get(IdentityProvider, space.id)


def test_metadata_is_read_previewed_trusted_and_refreshed(
    browser: Browser, make: Make, space: Space, server: Server
) -> None:
    browser.open("/console/sso").click("Set address of the metadata")
    browser.submit("Read and keep", metadata_url=server.url())
    for words in (ENTITY_ID, SSO_URL, FIRST, server.url()):
        assert words in browser.text
    assert row_of(make, space) is None
    browser.submit("Trust it now", untested=True)
    idp = trusted(make, space)
    assert (idp.source, idp.metadata_url, idp.entity_id) == (TrustSource.URL, server.url(), ENTITY_ID)
    assert "Not read again yet" in browser.text

    browser.click("Refresh now")
    assert "Nothing has changed" in browser.text
    publish(server, "first", "second")
    browser.click("Refresh now")
    assert "what changed is trusted now" in browser.text
    assert fingerprints(make, space) == {FIRST, SECOND}
    assert "is replaced then" in browser.open("/console/sso/certificates").text

    publish(server, "first", entity_id="https://other.example/")
    browser.open("/console/sso").click("Refresh now")
    assert "another identity provider, https://other.example/" in browser.page.find(class_="notice-bad").get_text()
    assert fingerprints(make, space) == {FIRST, SECOND}
    assert "Metadata of the identity provider is not read" in browser.open("/console").text
    assert "another identity provider" in browser.open("/console/sso").text


def test_another_login_address_is_not_taken_over_by_itself(
    browser: Browser, make: Make, space: Space, server: Server
) -> None:
    browser.open(PAGE).submit("Read and keep", metadata_url=server.url())
    browser.submit("Trust it now", untested=True)
    publish(server, "second", sso_url="https://idp.example/new")
    browser.click("Refresh now")
    assert "The new data waits to be tested and trusted." in browser.text
    assert "names another login address than the one in use" in browser.text
    assert (trusted(make, space).sso_url, fingerprints(make, space)) == (SSO_URL, {FIRST})
    assert "Test the identity provider" in browser.open("/console").text
    browser.open("/console/sso/offer").submit("Trust it now", untested=True)
    assert (trusted(make, space).sso_url, fingerprints(make, space)) == ("https://idp.example/new", {SECOND})
    assert "names another login address" not in browser.text


def test_nobody_waits_for_a_transaction_while_an_address_is_read(
    app: Flask, browser: Browser, make: Make, space: Space, server: Server
) -> None:
    """On SQLite there is one writer; the name server of this test is one."""

    def resolve(_host: str, _port: int) -> list[str]:
        make.user(space)
        return ["127.0.0.1"]

    app.extensions["fetcher"] = server.fetcher(resolve=resolve)
    browser.open(PAGE).submit("Read and keep", metadata_url=server.url())
    browser.submit("Trust it now", untested=True).click("Refresh now")
    assert "Nothing has changed" in browser.text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://idp.example.com/metadata", "must begin with https://"),
        ("https://user:password@idp.example.com/", "no user name"),
        ("https://127.0.0.1/metadata", "private network"),
        ("https://idp.example.com:8443/metadata", "usual port"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_without_the_operators_leave_only_the_outside_world_is_read(
    browser: Browser, make: Make, space: Space, url: str, words: str
) -> None:
    browser.open(PAGE).submit("Read and keep", metadata_url=url, status=400)
    assert words in browser.page.find("p", class_="error").get_text()
    assert browser.page.find(id="metadata_url")["value"] == url


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_no_metadata_or_not_signed_is_refused_at_the_field(
    browser: Browser, make: Make, space: Space, server: Server
) -> None:
    browser.open(PAGE).submit("Read and keep", metadata_url=server.url(), certificate=pem("signer"), status=400)
    assert "is not signed" in browser.page.find("p", class_="error").get_text()
    browser.open(PAGE).submit("Read and keep", metadata_url=server.url(), certificate="hello", status=400)
    assert "cannot be read" in browser.page.find("p", class_="error").get_text()
    browser.open(PAGE).submit("Read and keep", metadata_url=server.url("/nowhere"), status=400)
    assert "status 404" in browser.page.find("p", class_="error").get_text()
    assert row_of(make, space) is None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_runs_out_stands_on_the_first_page_and_on_sso(browser: Browser, make: Make, space: Space) -> None:
    trust(make, space, certificate("first"))
    browser.open("/console/sso/keys").click("Make a key")
    for page in ("/console", "/console/sso"):
        assert "xpire" not in browser.open(page).text, page
    trust(make, space, certificate("first"), certificate("soon", 20.5))
    assert "has expired or expires soon" in browser.open("/console").text
    assert "1 expired or expiring soon" in browser.open("/console/sso").text
    with clock.shifted(timedelta(days=3652 - 20, hours=-1)):
        admin.enter(browser.open("/console/login"), "acme", "admin")
        assert "Exchange the service provider key" in browser.text
        assert "Expires in 20 days" in browser.open("/console/sso").text


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, server: Server) -> CliRunner:
    monkeypatch.setenv("PORTAL_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PORTAL_SECRET_KEY", settings.secret_key)
    monkeypatch.setenv("PORTAL_SAML_METADATA_CA_FILE", str(server.ca_file))
    return CliRunner()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command_line_sets_and_refreshes(
    command: CliRunner, make: Make, database: Database, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = make.space("acme")
    url = f"https://127.0.0.1:{server.port}/metadata"
    given = ["idp", "set", "--space", "acme", "--metadata-url", url]
    refused = command.invoke(main, given)
    assert (refused.exit_code, "usual port" in refused.output) == (1, True)
    monkeypatch.setenv("PORTAL_SAML_METADATA_PRIVATE_NETWORKS", "true")
    assert command.invoke(main, given).output == f"Space acme trusts {ENTITY_ID}.\n"
    publish(server, "second")
    refresh = ["idp", "refresh", "--space", "acme"]
    assert command.invoke(main, refresh).output == "What changed is trusted now.\n"
    assert command.invoke(main, refresh).output == "Nothing has changed.\n"
    assert fingerprints(make, space) == {SECOND}
    server.pages["/metadata"] = b""
    failed = command.invoke(main, refresh)
    assert (failed.exit_code, "status 404" in failed.output) == (1, True)
    assert command.invoke(main, given[:4]).exit_code == 2
