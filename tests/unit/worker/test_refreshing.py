"""Metadata by URL is read again by the worker: whose turn, how often, what is taken over and what is not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
import xmlsec
from sqlalchemy import select, update
from xmlsec import template

from portal import refreshing
from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent, Result
from portal.core.database import Database
from portal.core.federation import refreshes
from portal.core.federation.models import IdentityProvider, TrustSource
from portal.core.space.models import Space
from portal.settings import Settings
from portal.worker import embedded
from portal.worker.refreshing import Refreshing
from saml.metadata import identity_provider_metadata
from tests.support.make import Make
from tests.support.saml_idp import key_pair
from tests.support.statements import statements
from tests.support.tls import Server, serving
from tests.support.trust import ENTITY_ID, SSO_URL, certificate, fingerprints, pem, trust

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.pages.clear()
    running.asked.clear()
    publish(running, "first")
    return running


@pytest.fixture
def space(make: Make, server: Server) -> Space:
    """Trusts what stood at the address when it was set up; that is due to be read."""
    space = make.space("acme")
    trust(make, space, certificate("first"), source=TrustSource.URL, metadata_url=server.url())
    return space


def publish(server: Server, *names: str, entity_id: str = ENTITY_ID, sso_url: str = SSO_URL, **attributes: str) -> None:
    document = identity_provider_metadata(
        entity_id=entity_id, sso_url=sso_url, certificates=[pem(name) for name in names]
    )
    words = "".join(f' {name}="{value}"' for name, value in attributes.items())
    server.pages["/metadata"] = document.replace(" entityID=", f"{words} entityID=", 1).encode()


def row_of(make: Make, space: Space) -> IdentityProvider:
    with make.transaction() as session:
        return session.get_one(IdentityProvider, space.id)


def events(make: Make) -> Sequence[AuditEvent]:
    with make.transaction() as session:
        refreshed = AuditEvent.action == "sso.refresh_metadata"
        return session.scalars(select(AuditEvent).where(refreshed).order_by(AuditEvent.id)).all()


def run(database: Database, server: Server) -> int:
    return Refreshing(database, server.fetcher()).run()


def test_a_new_certificate_is_taken_over_and_audited(
    make: Make, database: Database, server: Server, space: Space
) -> None:
    assert run(database, server) == 1
    assert events(make) == []
    assert run(database, server) == 0

    publish(server, "first", "second")
    with clock.shifted(DAY):
        assert run(database, server) == 1
        assert fingerprints(make, space) == {certificate("first").fingerprint, certificate("second").fingerprint}
        row = row_of(make, space)
        assert row.refreshed_at is not None
        assert clock.now() - row.refreshed_at < HOUR
        assert row.refresh_at is not None
        assert 0.89 * DAY < row.refresh_at - row.refreshed_at < DAY + HOUR
    (event,) = events(make)
    assert (event.actor_kind, event.organization_id) == ("system", space.organization_id)
    assert event.details["certificates"] == {"added": [certificate("second").fingerprint], "removed": []}


def test_another_identity_provider_is_not_taken_over(
    make: Make, database: Database, server: Server, space: Space
) -> None:
    publish(server, "evil", entity_id="https://evil.example/")
    for _ in range(2):
        assert refreshing.refresh(database, server.fetcher(), space.id) is not None
        with make.transaction() as session:
            session.execute(update(IdentityProvider).values(refresh_at=clock.now()))
    assert fingerprints(make, space) == {certificate("first").fingerprint}
    assert "another identity provider, https://evil.example/" in row_of(make, space).refresh_error
    assert [(event.result, event.actor_kind) for event in events(make)] == [(Result.REFUSED, "system")], "told once"


@pytest.mark.parametrize(
    ("page", "words"), [(b"", "status 404"), (b"<html>", "not well-formed"), (b"<note/>", "not SAML 2.0 metadata")]
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_failure_keeps_the_trust_and_is_tried_again_in_an_hour(
    make: Make, database: Database, server: Server, space: Space, page: bytes, words: str
) -> None:
    server.pages["/metadata"] = page
    assert run(database, server) == 1
    row = row_of(make, space)
    assert words in row.refresh_error
    assert row.refreshed_at is None
    assert fingerprints(make, space) == {certificate("first").fingerprint}
    with clock.shifted(0.9 * HOUR):
        assert run(database, server) == 0
    publish(server, "first")
    with clock.shifted(HOUR):
        assert run(database, server) == 1
    assert row_of(make, space).refresh_error == ""


def test_a_failure_that_nobody_foresaw_is_kept_too(
    make: Make, database: Database, server: Server, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "from_address", lambda *_given, **_more: 1 // 0)
    assert run(database, server) == 1
    assert "An unexpected error" in row_of(make, space).refresh_error


def test_of_many_workers_one_reads(make: Make, database: Database, server: Server, space: Space) -> None:
    """Also one that saw it as due before somebody else took it; and nobody holds a transaction meanwhile."""
    other = Refreshing(database, server.fetcher())
    seen = other._due()

    def meanwhile(host: str, port: int) -> list[str]:
        assert other.run() == 0
        assert refreshing.refresh(database, server.fetcher(), seen[0]) is None
        with make.transaction() as session:
            session.execute(update(Space).values(sso_enabled=True))
        return ["127.0.0.1"]

    assert Refreshing(database, server.fetcher(resolve=meanwhile)).run() == 1
    assert len(server.asked) == 1


def test_who_asks_while_it_is_being_read_is_told_and_what_is_read_counts(
    make: Make, database: Database, server: Server, space: Space
) -> None:
    publish(server, "second")
    told = []

    def meanwhile(host: str, port: int) -> list[str]:
        told.append(refreshing.refresh(database, server.fetcher(), space.id, actor=SYSTEM))
        return ["127.0.0.1"]

    assert Refreshing(database, server.fetcher(resolve=meanwhile)).run() == 1
    assert [outcome and outcome.problem for outcome in told] == [
        "It is being read already, or will be within five minutes. Look again then."
    ]
    assert fingerprints(make, space) == {certificate("second").fingerprint}
    asked = refreshing.refresh(database, server.fetcher(), space.id, actor=SYSTEM)
    assert asked == refreshing.Outcome(), "nobody reads it any more"


def test_a_worker_that_dies_gives_its_turn_up(make: Make, database: Database, server: Server, space: Space) -> None:
    with make.transaction() as session:
        assert refreshes.take(session, space.id) is not None
    assert run(database, server) == 0
    with clock.shifted(timedelta(minutes=6)):
        assert run(database, server) == 1


@pytest.mark.parametrize("change", ["address", "file"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_read_for_an_address_that_was_replaced_meanwhile_is_dropped(
    make: Make, database: Database, server: Server, space: Space, change: str
) -> None:
    publish(server, "second")
    source = {"source": TrustSource.URL, "metadata_url": server.url("/other")} if change == "address" else {}

    def meanwhile(host: str, port: int) -> list[str]:
        trust(make, space, certificate("third"), **source)
        return ["127.0.0.1"]

    assert Refreshing(database, server.fetcher(resolve=meanwhile)).run() == 1
    assert fingerprints(make, space) == {certificate("third").fingerprint}
    assert row_of(make, space).refreshed_at is None
    assert run(database, server) == (1 if change == "address" else 0)


def signed(document: bytes, key: str) -> bytes:
    from lxml import etree

    root = etree.fromstring(document)
    root.set("ID", "_metadata")
    node = template.create(root, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256)
    root.insert(0, node)
    reference = template.add_reference(node, xmlsec.Transform.SHA256, uri="#_metadata")
    template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    xmlsec.tree.add_ids(root, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key_pair(key)[0], xmlsec.KeyFormat.PEM)
    context.sign(node)
    return etree.tostring(root)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_metadata_that_must_be_signed_is_taken_over_when_it_is(
    make: Make, database: Database, server: Server, space: Space
) -> None:
    given = {
        "source": TrustSource.URL,
        "metadata_url": server.url(),
        "metadata_certificates": key_pair("federation")[1],
    }
    for key, words in ((None, "not signed"), ("other", "does not hold"), ("federation", "")):
        trust(make, space, certificate("first"), **given)
        publish(server, "second")
        if key:
            server.pages["/metadata"] = signed(server.pages["/metadata"], key)  # type: ignore[arg-type]
        assert run(database, server) == 1
        assert words in row_of(make, space).refresh_error
        expected = "second" if key == "federation" else "first"
        assert fingerprints(make, space) == {certificate(expected).fingerprint}
    assert row_of(make, space).refresh_error == ""


NOW = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


@pytest.mark.parametrize(
    ("attributes", "least", "most"),
    [
        ("", 0.9 * DAY, DAY),
        ('cacheDuration="PT6H"', 0.9 * 3 * HOUR, 3 * HOUR),
        ('cacheDuration="P7D"', 0.9 * DAY, DAY),
        ('cacheDuration="PT1S"', HOUR, HOUR),
        ('cacheDuration="often"', 0.9 * DAY, DAY),
        ('cacheDuration="P99999999999Y"', 0.9 * DAY, DAY),
        ('validUntil="2026-01-02T00:00:00Z"', 0.9 * 6 * HOUR, 6 * HOUR),
        ('validUntil="2025-01-01T00:00:00Z"', HOUR, HOUR),
        ('validUntil="soon" cacheDuration="PT8H"', 0.9 * 4 * HOUR, 4 * HOUR),
    ],
)
def test_it_is_read_again_in_a_day_or_as_the_metadata_says(attributes: str, least: timedelta, most: timedelta) -> None:
    namespace = "urn:oasis:names:tc:SAML:2.0:metadata"
    document = f'<EntityDescriptor xmlns="{namespace}" {attributes}/>'.encode()
    waits = {refreshing.next_time(document, NOW) - NOW for _ in range(20)}
    assert all(least - timedelta(seconds=1) <= wait <= most for wait in waits), waits
    assert len(waits) > 1 or least == most


def test_nothing_due_is_one_question_a_minute(make: Make, database: Database, server: Server) -> None:
    trust(make, make.space("acme"), certificate("first"))
    looking = Refreshing(database, server.fetcher())
    with statements(database) as seen:
        looking.start_if_due()
        looking.start_if_due()
        assert len(seen) == 1
        with clock.shifted(timedelta(minutes=1)):
            looking.start_if_due()
    assert len(seen) == 2
    assert looking.thread is None


def test_the_embedded_worker_does_it(
    make: Make, database: Database, settings: Settings, server: Server, space: Space
) -> None:
    """By the settings, which allow the usual port only: what is seen is that it tried."""
    handle = embedded.start(database, settings)
    for _ in range(200):
        if row_of(make, space).refresh_error:
            break
        time.sleep(0.05)
    handle.stop()
    database.dispatch = None
    assert "port" in row_of(make, space).refresh_error
